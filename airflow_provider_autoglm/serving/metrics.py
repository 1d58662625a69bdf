"""What a gateway counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from airflow_provider_autoglm.serving.router import Outcome
from airflow_provider_autoglm.serving.status import GatewayStatus

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._assigned = Counter(
            "autoglm_assigned_requests",
            "Requests by the version that was to answer and how it did.",
            ["version", "status"],
            registry=registry,
        )
        self._served = Counter(
            "autoglm_served_requests", "Requests by the version that answered.", ["version"], registry=registry
        )
        self._seconds = Histogram(
            "autoglm_request_seconds", "Seconds to an answer.", registry=registry, buckets=_BUCKETS_S
        )
        self._answers = Counter(
            "autoglm_http_answers", "Answers by path and code.", ["path", "code"], registry=registry
        )
        self._plain = {name: Gauge(f"autoglm_{name}", text, registry=registry) for name, text in _PLAIN.items()}
        self._versions = Gauge(
            "autoglm_version_ready", "1 for a version that is loaded and warm.", ["version"], registry=registry
        )
        self._breakers = Gauge(
            "autoglm_breaker_open", "1 for a version that is out of traffic.", ["version"], registry=registry
        )

    def observe(self, outcome: Outcome, *, seconds: float) -> None:
        """Count a request that had a version to answer it."""
        self._assigned.labels(outcome.assigned_version, outcome.assigned_status).inc()
        if outcome.served_version is not None:
            self._served.labels(outcome.served_version).inc()
        self._seconds.observe(seconds)

    def count_answer(self, path: str, code: int) -> None:
        """Count an HTTP answer."""
        self._answers.labels(path, str(code)).inc()

    def render(self, status: GatewayStatus) -> bytes:
        """The page, with ``status`` as the moment it shows."""
        values = {
            "ready": float(not status.not_ready),
            "challenger_weight_percent": status.effective_weight,
            "lease_left_seconds": status.lease_left_s or 0.0,
            "requests_in_flight": status.in_flight,
            "routes_generation": status.generation,
            "state_reachable": float(not status.problem),
            "log_backlog_rows": status.log_backlog_rows,
            "log_spooled_bytes": status.log_spooled_bytes,
            "log_dropped_rows": status.log_dropped_rows,
        }
        for name, value in values.items():
            self._plain[name].set(value)
        self._versions.clear()
        self._breakers.clear()
        for version, state in status.versions.items():
            self._versions.labels(version).set(state.state == "ready")
            self._breakers.labels(version).set(state.is_breaker_open)
        return generate_latest(self._registry)


_PLAIN = {
    "ready": "1 if requests can be answered.",
    "challenger_weight_percent": "Percentage of requests that the challenger is given now.",
    "lease_left_seconds": "Seconds until the champion gets all requests; 0 without a lease.",
    "requests_in_flight": "Requests that are being answered or wait for a model.",
    "routes_generation": "Generation of the routes in force.",
    "state_reachable": "1 if the state could be used at the last look.",
    "log_backlog_rows": "Rows of the prediction log that wait in memory.",
    "log_spooled_bytes": "Bytes of the prediction log that wait on disk for the state.",
    "log_dropped_rows": "Rows of the prediction log that had no room, since the start.",
}
