"""Gateways as the state knows them: they report what they have loaded, and log what they were asked.

They keep to the contract of a real gateway: a lease that is over gives the traffic back and is written down once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from uuid import uuid4

import sqlalchemy as sa

from airflow_provider_autoglm.exceptions import StateUnavailableError
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.events import Event, record_event
from airflow_provider_autoglm.state.predictions import Prediction, log_predictions
from airflow_provider_autoglm.state.replicas import Replica, VersionStatus, report_replica
from airflow_provider_autoglm.state.routes import Routes, mark_lease_lost, routes_in

READY = VersionStatus("ready")


class Gateways:
    """So many gateways of one pipeline.

    :param statuses: what a gateway says of a version, if it is not ready and warm.
    :param failing: of how many requests that a version gets, one fails.
    """

    def __init__(
        self,
        database: Database,
        pipeline: str,
        *,
        replicas: int = 2,
        statuses: Mapping[str, VersionStatus] | None = None,
        failing: Mapping[str, int] | None = None,
    ) -> None:
        self.database = database
        self.pipeline = pipeline
        self.replicas = replicas
        self.statuses = dict(statuses or {})
        self.failing = dict(failing or {})
        self._numbers = count()
        self._asked: dict[str, int] = {}
        self._id = uuid4().hex[:8]

    def poll(self, requests: int = 0) -> Routes:
        """Read the routes, say what is loaded, and answer so many requests; returns the routes that were read."""
        with self.database.transaction() as connection:
            routes = routes_in(connection, self.pipeline)
            versions = {model.version: self.statuses.get(model.version, READY) for model in routes.models()}
            for number in range(self.replicas):
                report_replica(connection, Replica(self.pipeline, f"gateway-{number}", routes.generation, versions))
            if routes.lease_s is not None and routes.lease_s <= 0:
                self._lose_lease(connection, routes)
            now = float(connection.execute(sa.select(database_now())).scalar_one())
            log_predictions(connection, [self._asked_for(routes, now) for _ in range(requests)])
        return routes

    @contextmanager
    def running(self, requests: int = 0, every_s: float = 0.05) -> Iterator[None]:
        """Poll again and again in a thread, also through an outage of the state."""
        stopping = threading.Event()

        def run() -> None:
            while not stopping.wait(every_s):
                with suppress(StateUnavailableError):
                    self.poll(requests)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def open_breaker(self, routes: Routes, version: str, reason: str = "invalid_output") -> None:
        """Let the first gateway take a version out of traffic."""
        detail = {"reason": reason, "gateway_id": "gateway-0"}
        key = f"rollout/{routes.rollout_id}/breaker/{version}/gateway-0"
        with self.database.transaction() as connection:
            record_event(
                connection,
                Event(self.pipeline, key, "breaker", rollout_id=routes.rollout_id, version=version, detail=detail),
            )

    def _lose_lease(self, connection: sa.Connection, routes: Routes) -> None:
        if mark_lease_lost(connection, self.pipeline, routes.generation):
            key = f"routes/{routes.generation}/lease_lost"
            event = Event(self.pipeline, key, "lease_lost", routes.rollout_id, generation=routes.generation)
            record_event(connection, event)

    def _asked_for(self, routes: Routes, now: float) -> Prediction:
        number = next(self._numbers)
        weight = routes.challenger_weight if (routes.lease_s or 0) > 0 else 0
        # 61 and 100 have no common divisor: each hundred requests hold exactly the weight, well mixed.
        model = routes.challenger if number * 61 % 100 < weight else routes.champion
        assert model is not None
        self._asked[model.version] = asked = self._asked.get(model.version, 0) + 1
        every = self.failing.get(model.version)
        return Prediction(
            pipeline=self.pipeline,
            request_id=f"{self._id}-{number}",
            position=0,
            assigned_version=model.version,
            assigned_status="error" if every and asked % every == 0 else "ok",
            gateway_id="gateway-0",
            at=now,
            rollout_id=routes.rollout_id,
            served_version=model.version,
        )
