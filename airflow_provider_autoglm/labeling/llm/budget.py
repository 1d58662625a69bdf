"""What a run may spend on a language model, over all its tasks and their retries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from pydantic import ValidationError

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.llm.usage import Usage
from airflow_provider_autoglm.settings.llm import LlmSettings

_WRITE_EVERY_S = 1.0
_READ_EVERY_S = 5.0


class LimitReachedError(Exception):
    """The next request would exceed a limit; says which, and what was spent."""

    def __init__(self, setting: str, limit: str, spent: str) -> None:
        self.setting = setting
        self.limit = limit
        self.spent = spent
        super().__init__(f"{spent} of {setting} = {limit}")


class Budget:
    """The limits of ``settings``, against what this task has used, and all others with the same folder.

    Each keeps a file in ``folder`` that tells what it has used, written once a second at most; the others' are read
    every five seconds if there is a limit. What requests under way will use is estimated and counted, so that one task
    stays below the limit, and several exceed it by what they use in five seconds at most.

    :param folder: URI; empty counts this task alone.
    """

    def __init__(self, settings: LlmSettings, storage: Storage, folder: str) -> None:
        self._settings = settings
        self._storage = storage
        self._folder = folder
        self._file = f"{folder}/{uuid4().hex}.json"
        self._lock = threading.Lock()
        self._own = Usage()
        self._others = Usage()
        self._under_way = Usage()
        self._written_at = self._read_at = float("-inf")

    @property
    def spent(self) -> Usage:
        """What this task has used."""
        return self._own

    def cost(self, usage: Usage) -> float:
        """By the prices of the settings."""
        return usage.cost(self._settings.price_per_million_input, self._settings.price_per_million_output)

    @contextmanager
    def request(self, estimate: Usage) -> Iterator[Callable[[Usage], None]]:
        """Leave room for one request, and take what it really used.

        :raises LimitReachedError: if there is no room.
        """
        with self._lock:
            self._read_others()
            self._check(estimate)
            self._under_way += estimate
        try:
            yield self._book
        finally:
            with self._lock:
                self._under_way = _less(self._under_way, estimate)

    def flush(self) -> None:
        """Write what was used, if anything was."""
        with self._lock:
            if self._own.requests:
                self._write()

    def _book(self, usage: Usage) -> None:
        with self._lock:
            self._own += usage
            if time.monotonic() - self._written_at >= _WRITE_EVERY_S:
                self._write()

    def _check(self, next_request: Usage) -> None:
        spent = self._own + self._others
        planned = spent + self._under_way + next_request
        tokens, cost = self._settings.max_tokens_total, self._settings.max_cost
        if tokens is not None and planned.tokens > tokens:
            raise LimitReachedError("label.llm.max_tokens_total", str(tokens), f"{spent.tokens} tokens")
        if cost is not None and self.cost(planned) > cost:
            raise LimitReachedError("label.llm.max_cost", f"{cost:g}", f"{self.cost(spent):.4g}")

    def _read_others(self) -> None:
        is_limited = self._settings.max_tokens_total is not None or self._settings.max_cost is not None
        if not self._folder or not is_limited or time.monotonic() - self._read_at < _READ_EVERY_S:
            return
        self._others = used_in(self._folder, self._storage, without=self._file)
        self._read_at = time.monotonic()

    def _write(self) -> None:
        self._written_at = time.monotonic()
        if self._folder:
            self._storage.replace(self._file, self._own.model_dump_json().encode())


def used_in(folder: str, storage: Storage, *, without: str = "") -> Usage:
    """What the tasks that share ``folder`` have used, but for the one whose file is ``without``."""
    total = Usage()
    for uri in storage.list(folder):
        if uri.endswith(".json") and uri != without:
            with suppress(FileNotFoundError, ValidationError):
                total += Usage.model_validate_json(storage.read(uri))
    return total


def _less(total: Usage, part: Usage) -> Usage:
    return Usage(
        requests=total.requests - part.requests,
        sent=total.sent - part.sent,
        received=total.received - part.received,
    )
