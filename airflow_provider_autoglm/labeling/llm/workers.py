"""Threads that wait for a server, and end when they are told to."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

_Item = TypeVar("_Item")

_GRACE_S = 3.0


def work_off(items: Iterable[_Item], work: Callable[[_Item], None], *, threads: int, stop: threading.Event) -> None:
    """Call ``work`` with each item, by so many threads at once.

    The first exception ends it: ``stop`` is set, what is under way comes to its end, and the exception is raised. A
    signal that raises in the calling thread (SIGTERM in a task, Ctrl-C) does not wait for longer than three seconds:
    the threads are daemons, and hold no process back.
    """
    waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    # Not Thread.join: one that a signal has interrupted takes the thread for ended (CPython issue 89437).
    ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def labour() -> None:
        try:
            _labour(waiting, work, stop)
        except BaseException as error:  # handed to the caller, whatever it is
            ends.put(error)
            stop.set()
        else:
            ends.put(None)

    crew = [threading.Thread(target=labour, daemon=True) for _ in range(min(threads, waiting.qsize()))]
    ended: list[BaseException | None] = []
    try:
        for thread in crew:
            thread.start()
        while len(ended) < len(crew):
            ended.append(ends.get())
    except BaseException:
        stop.set()
        _wait_for(ends, sum(thread.ident is not None for thread in crew) - len(ended))
        raise
    for failure in filter(None, ended):
        raise failure


def _labour(waiting: queue.SimpleQueue[_Item], work: Callable[[_Item], None], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            item = waiting.get_nowait()
        except queue.Empty:
            return
        work(item)


def _wait_for(ends: queue.SimpleQueue[BaseException | None], threads: int) -> None:
    ends_at = time.monotonic() + _GRACE_S
    with suppress(queue.Empty):
        for _ in range(threads):
            ends.get(timeout=max(0.0, ends_at - time.monotonic()))
