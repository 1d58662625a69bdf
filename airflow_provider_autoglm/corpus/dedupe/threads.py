"""Threads for kernels, which run without the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_WAITING_EACH = 2


def in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """``work`` of each item, in order, on as many threads as this process may use cores; few results wait at a time."""
    remaining = iter(items)
    first = list(islice(remaining, 2))
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads == 1 or len(first) == 1:
        yield from map(work, first)
        yield from map(work, remaining)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="autoglm-dedupe") as pool:
        waiting: deque[Future[_Result]] = deque(pool.submit(work, item) for item in first)
        for item in remaining:
            if len(waiting) >= _WAITING_EACH * threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
