"""The circuit breaker of a challenger in one gateway: what opens it, and that it stays open."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_autoglm.state.predictions import Status


class Breaker:
    """Takes a version out of traffic; once open it stays open, since only the end of a rollout makes it good again.

    :param failures: failures in a row that open it.
    :param on_open: is told the reason, once.
    """

    def __init__(self, failures: int, on_open: Callable[[str], None]) -> None:
        self._failures = failures
        self._on_open = on_open
        self._in_a_row = 0
        self._reason = ""

    @property
    def is_open(self) -> bool:
        """Whether the version may get no requests."""
        return bool(self._reason)

    @property
    def reason(self) -> str:
        """The status of the failure that opened it, such as ``invalid_output`` or ``crash``; empty while closed."""
        return self._reason

    def record_success(self) -> None:
        """The version has answered a request: failures are counted from none again."""
        self._in_a_row = 0

    def record_failure(self, status: Status) -> None:
        """The version has failed a request: a crash opens the breaker at once, others when enough come in a row."""
        self._in_a_row += 1
        if status == "crash" or self._in_a_row >= self._failures:
            self.open(status)

    def open(self, reason: str) -> None:
        """Take the version out of traffic at once: it was ready and is not any more."""
        if not self.is_open:
            self._reason = reason
            self._on_open(reason)
