"""One gateway: its parts put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from airflow_provider_autoglm.serving.database_clock import DatabaseClock
from airflow_provider_autoglm.serving.fleet import Fleet
from airflow_provider_autoglm.serving.metrics import Metrics
from airflow_provider_autoglm.serving.model_host import HostFailure
from airflow_provider_autoglm.serving.poller import Poller
from airflow_provider_autoglm.serving.prediction_log import PredictionLog
from airflow_provider_autoglm.serving.protocol import FeedbackRequest
from airflow_provider_autoglm.serving.records import feedback_of, predictions_of
from airflow_provider_autoglm.serving.route_table import RouteTable
from airflow_provider_autoglm.serving.router import NoChampionError, Outcome, Router
from airflow_provider_autoglm.serving.spool import Spool
from airflow_provider_autoglm.serving.status import GatewayStatus
from airflow_provider_autoglm.settings.serving import ServingSettings
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.routes import Model, Routes

_log = logging.getLogger(__name__)


class Gateway:
    """Answers requests, and logs them. Belongs to the event loop on which it is started.

    :param settings: as :func:`~airflow_provider_autoglm.serving.config.complete` returns them.
    """

    def __init__(self, settings: ServingSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._clock = DatabaseClock()
        self._fleet = Fleet(settings, on_breaker_open=self._note_breaker)
        self._router = Router(self._table, self._fleet, timeout_s=settings.request_timeout_s)
        self._poller = Poller(
            settings, database=database, fleet=self._fleet, clock=self._clock, champion=self._answering
        )
        spool = Spool(
            settings.spool_dir,
            pipeline=settings.pipeline,
            state_name=database.name,
            max_bytes=settings.max_spool_bytes,
        )
        self._log = PredictionLog(database, spool)
        self._polling: asyncio.Task[None] | None = None
        self._in_flight = 0
        self.metrics = Metrics()

    def start(self) -> None:
        """Begin to poll, to load models and to write the log."""
        self._log.start()
        self._polling = asyncio.create_task(self._poller.run(), name="poller")

    async def stop(self) -> None:
        """Say goodbye, let the models go and write what is left of the log."""
        assert self._polling is not None
        try:
            await self._poller.stop(self._polling)
            await self._fleet.close()
        finally:
            await asyncio.to_thread(self._log.close)
            self._database.close()

    async def answer(self, request_id: str, texts: Sequence[str]) -> Outcome:
        """Answer one request and queue its rows for the log.

        :raises NoChampionError: if no version can answer yet.
        """
        began = time.monotonic()
        at = self._clock.now()
        self._in_flight += 1
        try:
            outcome = await self._router.answer(request_id, texts)
        finally:
            self._in_flight -= 1
        if isinstance(outcome.refusal, HostFailure):
            # Its detail is what the model said, which may quote the text.
            _log.warning("request %s was not answered: %s", request_id, outcome.refusal.status)
        rows = predictions_of(outcome, request_id=request_id, texts=texts, at=at, settings=self._settings)
        self._log.add(rows)
        self.metrics.observe(outcome, seconds=time.monotonic() - began)
        return outcome

    def take_feedback(self, request: FeedbackRequest) -> bool:
        """Queue a feedback for the log; False if there is no room."""
        return self._log.add([feedback_of(request, pipeline=self._settings.pipeline, at=self._clock.now())])

    def status(self) -> GatewayStatus:
        """What the gateway does right now."""
        now = time.monotonic()
        table = self._table() or RouteTable(Routes(self._settings.pipeline))
        answering, not_ready = self._readiness()
        return GatewayStatus(
            pipeline=self._settings.pipeline,
            gateway_id=self._settings.gateway_id,
            generation=table.routes.generation,
            champion=_version(table.routes.champion),
            answering=answering,
            challenger=_version(table.routes.challenger),
            challenger_weight=table.routes.challenger_weight,
            effective_weight=self._router.challenger_weight() if answering else 0,
            lease_left_s=table.lease_left_s(now),
            is_lease_lost=table.routes.is_lease_lost,
            rollout_id=table.routes.rollout_id,
            versions=dict(self._fleet.statuses()),
            in_flight=self._in_flight,
            state_age_s=None if table.asked_at is None else now - table.asked_at,
            problem=self._poller.problem,
            not_ready=not_ready,
            log_text=self._settings.log_text,
            log_backlog_rows=self._log.backlog,
            log_spooled_bytes=self._log.spooled_bytes,
            log_dropped_rows=self._log.dropped,
        )

    def _readiness(self) -> tuple[str | None, str]:
        try:
            return self._router.champion().version, ""
        except NoChampionError as error:
            problem = f"; the state cannot be used: {self._poller.problem}" if self._poller.problem else ""
            return None, f"{error}{problem}"

    def _table(self) -> RouteTable | None:
        return self._poller.table

    def _answering(self) -> Model | None:
        try:
            return self._router.champion()
        except NoChampionError:
            return None

    def _note_breaker(self, model: Model, reason: str) -> None:
        self._poller.note_breaker(model, reason)


def _version(model: Model | None) -> str | None:
    return None if model is None else model.version
