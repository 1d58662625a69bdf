"""Metrics of a training over time, in its MLflow run."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.tracking.server import SERVER_ERRORS, check_reachable, explain

log = logging.getLogger(__name__)

_METRICS_OF_A_REQUEST = 1_000  # MLflow's limit
_WAIT_AFTER_FAILURE_S = 60.0


@dataclass
class History:
    """Metrics on their way to a run: while MLflow is away they wait, and training goes on."""

    client: MlflowClient
    run_id: str
    _pending: list[Metric] = field(default_factory=list, init=False)
    _next_try: float = field(default=0.0, init=False)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log the finite ones of ``values`` for an optimizer step, now or when MLflow is back."""
        now_ms = int(time.time() * 1000)
        self._pending += [Metric(name, value, now_ms, step) for name, value in values.items() if math.isfinite(value)]
        if time.monotonic() < self._next_try:
            return
        try:
            self._send()
        except SERVER_ERRORS as error:
            self._next_try = time.monotonic() + _WAIT_AFTER_FAILURE_S
            log.warning("%d metrics wait: %s", len(self._pending), explain(self.client.tracking_uri, error))

    def finish(self) -> None:
        """Log what waits.

        :raises TrackingUnavailableError: if MLflow cannot be used.
        """
        with explained(self.client):
            self._send()

    def _send(self) -> None:
        check_reachable(self.client.tracking_uri)
        while self._pending:
            self.client.log_batch(self.run_id, metrics=self._pending[:_METRICS_OF_A_REQUEST])
            del self._pending[:_METRICS_OF_A_REQUEST]


@contextmanager
def explained(client: MlflowClient) -> Iterator[None]:
    """Put what MLflow raises into our words.

    :raises TrackingUnavailableError: if MLflow cannot be used.
    """
    try:
        yield
    except SERVER_ERRORS as error:
        raise explain(client.tracking_uri, error) from error
