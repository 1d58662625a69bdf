"""Rules that run in Python's ``re``, one text after the other, each within a limit of processor time."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from airflow_provider_autoglm.exceptions import RuleTooSlowError

LIMIT_S = 10.0
"""Processor seconds that a rule may take for one text."""

_Value = TypeVar("_Value")


def for_each_text(
    act: Callable[[str], _Value], texts: Iterable[str | None], *, rule: str, limit_s: float = LIMIT_S
) -> list[_Value | None]:
    """``act`` of every text, None for null.

    The limit needs the main thread, which is where Airflow runs a task; elsewhere there is none. ``re`` looks for
    signals while it searches, so a pattern that backtracks for ever is stopped.

    :raises RuleTooSlowError: if one text takes more than ``limit_s`` of user time of this process.
    """
    with _limit(rule, limit_s) as start:
        found: list[_Value | None] = []
        for text in texts:
            if text is None:
                found.append(None)
                continue
            start()
            found.append(act(text))
        return found


@contextmanager
def _limit(rule: str, limit_s: float) -> Iterator[Callable[[], object]]:
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise RuleTooSlowError(rule, limit_s)

    # SIGALRM is Airflow's own, for execution_timeout.
    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def replacer(pattern: re.Pattern[str], replacement: str) -> Callable[[str], str]:
    """A substitution; in ``replacement`` only ``\\0`` to ``\\9`` and ``\\\\`` mean something, as in RE2."""
    template = re.sub(r"\\(.)", lambda found: rf"\g<{found[1]}>" if found[1].isdigit() else found[0], replacement)
    return lambda text: pattern.sub(template, text)
