"""The database's time without asking the database."""

from __future__ import annotations

import time


class DatabaseClock:
    """The database's time, as estimated from when it was last asked; the machine's own before that."""

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def set(self, database_now: float, *, monotonic: float) -> None:
        """The database said ``database_now`` when this process's monotonic clock stood at ``monotonic``."""
        self._offset_s = database_now - monotonic

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() if self._offset_s is None else time.monotonic() + self._offset_s
