"""The gateway's side of a model host: one child process, a bounded queue before it, and checked answers out of it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from airflow_provider_autoglm.serving.frames import (
    BrokenFrameError,
    Failed,
    Floats,
    Loaded,
    LoadFailed,
    Output,
    Request,
    encode,
)
from airflow_provider_autoglm.serving.host_process import HostProcess
from airflow_provider_autoglm.state.predictions import Status
from airflow_provider_autoglm.state.replicas import VersionState, VersionStatus

log = logging.getLogger(__name__)

_LONGEST_RETRY_AFTER_S = 60
_NEWEST_WEIGHT = 0.1


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of n texts: shapes are right and all values finite.

    :param labels: the names of the classes in the order of the logits' columns (not one for each text).
    :param logits: float32[n, classes].
    :param embedding: float32[n, d].
    """

    labels: tuple[str, ...]
    logits: Floats
    embedding: Floats


class HostFailure(Exception):  # noqa: N818 - an outcome that is counted, not a mistake of the caller
    """A version did not answer a request. ``status`` is what counts against it, ``detail`` is for the log."""

    def __init__(self, status: Status, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(f"{status}: {detail}")


class QueueFull(Exception):  # noqa: N818 - an outcome, as above
    """Too many requests wait for this model; ``retry_after_s`` (whole seconds, >= 1) is when there may be room."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many requests wait for the model; try again in {retry_after_s} s")


@dataclass(eq=False)
class _Waiting:
    id: int
    frame: bytes
    timeout_s: float
    output: asyncio.Future[Output]


class ModelHost:
    """One child process that holds one model. It is used once: after a failure a new one is made (by the fleet).

    The child works on one request at a time. What a caller gives up is still waited for, up to its timeout, so that
    no answer reaches the wrong request; a child that takes longer is killed.

    :param folder: of the packaged model.
    :param name: what lines in the log begin with.
    :param max_queue: requests that may wait behind the one that runs.
    :param on_outcome: is told how each request ended: ``ok`` or the status of its failure.
    """

    def __init__(
        self,
        folder: str,
        *,
        name: str,
        load_timeout_s: float,
        max_queue: int,
        on_outcome: Callable[[Status], None] = lambda status: None,
    ) -> None:
        self._folder = folder
        self._name = name
        self._load_timeout_s = load_timeout_s
        self._max_queue = max_queue
        self._on_outcome = on_outcome
        self._state: VersionState = "loading"
        self._failure: HostFailure | None = None
        self._labels: tuple[str, ...] = ()
        self._queue: deque[_Waiting] = deque()
        self._running: _Waiting | None = None
        self._has_work = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_stopping = False
        self._has_ended = asyncio.Event()
        self._process: HostProcess | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._last_id = 0
        self._mean_s = 0.0

    @property
    def status(self) -> VersionStatus:
        """``loading``, ``ready``, or ``failed`` with the reason; knows nothing of a breaker."""
        return VersionStatus(self._state, reason="" if self._failure is None else str(self._failure))

    @property
    def pid(self) -> int | None:
        """The child's process id; None before it was started."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the child and wait until the model is loaded and warm.

        :raises HostFailure: if it cannot be loaded within ``load_timeout_s``.
        """
        self._process = process = await HostProcess.spawn(self._folder, name=self._name)
        try:
            self._labels = await self._loaded(process)
        except HostFailure as failure:
            self._state, self._failure = "failed", failure
            raise
        finally:
            if not self._labels:
                process.kill()
                await process.end()
        self._state = "ready"
        server = asyncio.create_task(self._serve(process))
        self._tasks = [server, asyncio.create_task(self._watch(process, server))]

    async def predict(self, texts: Sequence[str], *, timeout_s: float) -> Answer:
        """Ask the model. May be cancelled at any time.

        :param timeout_s: seconds for waiting and answering together.
        :raises HostFailure: if it did not answer, or not well. ``on_outcome`` has been told.
        :raises QueueFull: at once, if too many requests wait; ``on_outcome`` is not told.
        """
        try:
            answer = await self._predict(tuple(texts), timeout_s)
        except HostFailure as failure:
            self._on_outcome(failure.status)
            raise
        self._on_outcome("ok")
        return answer

    async def ended(self) -> HostFailure:
        """Wait until the child has ended without having been told to; returns why."""
        await self._has_ended.wait()
        assert self._failure is not None
        return self._failure

    async def stop(self) -> None:
        """Refuse what comes, answer what waits, and end the child."""
        self._is_stopping = True
        if self._process is None or not self._tasks:
            return
        await self._is_idle.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._process.end()
        self._state, self._failure = "failed", self._failure or HostFailure("unavailable", "it was stopped")

    async def _loaded(self, process: HostProcess) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(self._load_timeout_s):
                message = await process.receive()
        except TimeoutError:
            raise HostFailure("timeout", f"not loaded and warm within {self._load_timeout_s:g} s") from None
        except EOFError:
            raise HostFailure("crash", f"it ended while it was loaded ({await process.wait()})") from None
        except BrokenFrameError as error:
            raise HostFailure("crash", f"while it was loaded: {error}") from None
        if isinstance(message, Loaded) and message.labels:
            return message.labels
        detail = message.detail if isinstance(message, LoadFailed) else "it names no labels"
        raise HostFailure("error", detail)

    async def _predict(self, texts: tuple[str, ...], timeout_s: float) -> Answer:
        if self._state != "ready" or self._is_stopping:
            raise HostFailure("unavailable", str(self._failure or f"{self._name} is not ready"))
        waiting = self._enqueue(texts, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                output = await waiting.output
        except TimeoutError:
            raise HostFailure("timeout", f"no answer within {timeout_s:g} s") from None
        finally:
            self._forget(waiting)
        return checked(output, len(texts), self._labels)

    def _enqueue(self, texts: tuple[str, ...], timeout_s: float) -> _Waiting:
        ahead = len(self._queue) + (self._running is not None)
        if ahead > self._max_queue:
            raise QueueFull(min(max(1, math.ceil(ahead * self._mean_s)), _LONGEST_RETRY_AFTER_S))
        self._last_id += 1
        frame = encode(Request(self._last_id, texts))
        waiting = _Waiting(self._last_id, frame, timeout_s, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._has_work.set()
        self._is_idle.clear()
        return waiting

    def _forget(self, waiting: _Waiting) -> None:
        """Free its place in the queue; if it runs, its answer comes and nobody gets it."""
        if waiting in self._queue:
            self._queue.remove(waiting)
            self._note_idleness()

    def _note_idleness(self) -> None:
        if not self._queue:
            self._has_work.clear()
            if self._running is None:
                self._is_idle.set()

    async def _serve(self, process: HostProcess) -> None:
        """Give the child one request after the other; ends with the child."""
        while True:
            while not self._queue:
                await self._has_work.wait()
            self._running = running = self._queue.popleft()
            started = time.monotonic()
            try:
                async with asyncio.timeout(running.timeout_s):
                    await process.send(running.frame)
                    self._settle(running, await process.receive())
            except TimeoutError:
                return self._give_up(process, HostFailure("timeout", f"no answer within {running.timeout_s:g} s"))
            except BrokenFrameError as error:
                return self._give_up(process, HostFailure("crash", str(error)))
            except (EOFError, OSError):
                return process.kill()  # the watcher knows how it ended
            self._running = None
            self._note_idleness()
            newest_s = time.monotonic() - started
            self._mean_s += _NEWEST_WEIGHT * (newest_s - self._mean_s) if self._mean_s else newest_s

    def _settle(self, running: _Waiting, message: object) -> None:
        if not isinstance(message, Output | Failed) or message.id != running.id:
            raise BrokenFrameError("the answer is not the one to this request")
        if running.output.done():
            return
        if isinstance(message, Failed):
            running.output.set_exception(HostFailure(message.status, message.detail))
        else:
            running.output.set_result(message)

    def _give_up(self, process: HostProcess, failure: HostFailure) -> None:
        self._failure = self._failure or failure
        process.kill()

    async def _watch(self, process: HostProcess, server: asyncio.Task[None]) -> None:
        """Wait for the end of the child, and fail everything that waits for it."""
        end = await process.wait()
        server.cancel()
        self._state = "failed"
        self._failure = failure = self._failure or HostFailure("crash", f"its process ended ({end})")
        log.warning("%s: %s; %d requests waited", self._name, failure, len(self._queue))
        for waiting in filter(None, (self._running, *self._queue)):
            if not waiting.output.done():
                waiting.output.set_exception(HostFailure(failure.status, failure.detail))
        self._running = None
        self._queue.clear()
        self._note_idleness()
        self._has_ended.set()
        await process.end()


def checked(output: Output, texts: int, labels: tuple[str, ...]) -> Answer:
    """The answer in ``output``, if it is one.

    :param texts: how many were asked about.
    :param labels: the classes of the model.
    :raises HostFailure: ``invalid_output``, if shapes, values or labels are wrong: the largest of NaNs is class 0.
    """
    logits, embedding = output.logits, output.embedding
    if logits.shape != (texts, len(labels)):
        raise HostFailure("invalid_output", f"logits of shape {logits.shape} and not {(texts, len(labels))}")
    if embedding.ndim != 2 or len(embedding) != texts or not embedding.shape[1]:  # noqa: PLR2004
        raise HostFailure("invalid_output", f"embedding of shape {embedding.shape} for {texts} texts")
    for name, values in (("logits", logits), ("embedding", embedding)):
        if not np.isfinite(values).all():
            raise HostFailure("invalid_output", f"{name} that are no finite numbers")
    if output.label != tuple(labels[row] for row in logits.argmax(axis=1)):
        raise HostFailure("invalid_output", "labels that are not those of the largest logits")
    return Answer(labels, logits, embedding)
