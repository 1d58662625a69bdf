"""Predictions and feedback on their way to the state, behind the answer: queued, written in batches, spooled."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from airflow_provider_autoglm.exceptions import AutoGLMError
from airflow_provider_autoglm.serving.records import Record, size_of
from airflow_provider_autoglm.serving.spool import Spool
from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.predictions import Feedback, Prediction, log_feedback, log_predictions

_log = logging.getLogger(__name__)
_BATCH_ROWS = 500
_BATCH_S = 0.5
_MAX_QUEUED_ROWS = 20_000
_MAX_QUEUED_BYTES = 64 * 1024**2
_LONGEST_PAUSE_S = 2.0
_ADOPT_EVERY_S = 10.0


class PredictionLog:
    """Takes records without waiting; a thread writes them, to the state or, while it is away, to the spool.

    Records reach the state in the order in which they came: while some wait in the spool, new ones go behind them.
    """

    def __init__(self, database: Database, spool: Spool) -> None:
        self._database = database
        self._spool = spool
        self._queue: deque[Record] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._pause_s = 0.0
        self._try_at = 0.0
        self._adopt_at = 0.0
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """Rows that wait in memory."""
        return len(self._queue)

    @property
    def spooled_bytes(self) -> int:
        """Bytes that wait on disk."""
        return self._spool.bytes

    def start(self) -> None:
        """Begin to write, first what gateways before this one have left."""
        self._thread.start()

    def add(self, records: Sequence[Record]) -> bool:
        """Queue the records of one request; False, and they are dropped, if there is no room."""
        size = sum(size_of(record) for record in records)
        with self._changed:
            is_room = len(self._queue) < _MAX_QUEUED_ROWS and self._queued_bytes + size <= _MAX_QUEUED_BYTES
            if is_room:
                self._queue.extend(records)
                self._queued_bytes += size
                self._changed.notify()
            else:
                self.dropped += len(records)
        return is_room

    def close(self) -> None:
        """Write what is queued, to the spool if the state does not take it, and end."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()
        self._spool.close()

    def _run(self) -> None:
        while True:
            batch = self._take()
            if not batch and self._is_closing:
                return
            try:
                self._write(batch)
            except Exception:  # the log must outlive what nobody thought of
                self._count_dropped(len(batch))
                self._try_at = time.monotonic() + _LONGEST_PAUSE_S
                _log.exception("up to %d rows of the prediction log are dropped", len(batch))

    def _take(self) -> list[Record]:
        """The next rows: once 500 are there or half a second has passed, at once when closing or replaying."""
        with self._changed:
            self._changed.wait_for(self._is_due, timeout=_BATCH_S)
            batch: list[Record] = []
            taken = 0
            while self._queue and len(batch) < _BATCH_ROWS and taken < _MAX_QUEUED_BYTES // 8:
                batch.append(self._queue.popleft())
                taken += size_of(batch[-1])
            self._queued_bytes -= taken
            return batch

    def _is_due(self) -> bool:
        is_replaying = not self._spool.is_empty and self._may_try()
        return self._is_closing or is_replaying or len(self._queue) >= _BATCH_ROWS

    def _write(self, batch: Sequence[Record]) -> None:
        if self._spool.is_empty and self._may_try() and self._reaches_state(batch):
            self._adopt()
            return
        if batch:
            self._count_dropped(self._spool.append(batch))
        if self._may_try() and not self._is_closing and self._reaches_state(self._spool.read(_BATCH_ROWS)):
            self._spool.forget()

    def _may_try(self) -> bool:
        return time.monotonic() >= self._try_at

    def _count_dropped(self, rows: int) -> None:
        with self._changed:
            self.dropped += rows

    def _adopt(self) -> None:
        if time.monotonic() >= self._adopt_at:
            self._spool.adopt()
            self._adopt_at = time.monotonic() + _ADOPT_EVERY_S

    def _reaches_state(self, batch: Sequence[Record]) -> bool:
        try:
            if batch:
                self._insert(batch)
        except AutoGLMError as error:
            if self._pause_s == 0:
                _log.warning("predictions go to the spool: %s", error)
            self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s or _BATCH_S)
            self._try_at = time.monotonic() + self._pause_s
            return False
        if self._pause_s and batch:
            _log.info("the state takes predictions again")
            self._pause_s = 0.0
        return True

    def _insert(self, batch: Sequence[Record]) -> None:
        try:
            self._insert_together(batch)
        except AutoGLMError:
            raise
        except Exception:  # no outage: it holds a row that the database will never take
            self._insert_one_by_one(batch)

    def _insert_together(self, batch: Sequence[Record]) -> None:
        with self._database.transaction() as connection:
            log_predictions(connection, [record for record in batch if isinstance(record, Prediction)])
            log_feedback(connection, [record for record in batch if isinstance(record, Feedback)])

    def _insert_one_by_one(self, batch: Sequence[Record]) -> None:
        for record in batch:
            try:
                self._insert_together([record])
            except AutoGLMError:
                raise
            except Exception as error:
                self._count_dropped(1)
                kind = type(error).__name__
                _log.error("the state refuses the row of request %s, it is dropped: %s", record.request_id, kind)
