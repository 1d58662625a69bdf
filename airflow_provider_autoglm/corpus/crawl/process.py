"""The task's side of the crawl's child process: start it, listen to it, and never leave it behind."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self

from airflow_provider_autoglm.corpus.crawl.job import CrawlJob, FinalReport, ProgressReport, parse_report
from airflow_provider_autoglm.exceptions import CrawlProcessError, CrawlStoppedError
from airflow_provider_autoglm.settings.base import redact_userinfo

log = logging.getLogger(__name__)

SECONDS_TO_STOP = 10.0
_MODULE = "airflow_provider_autoglm.corpus.crawl.child"
_LINES_KEPT = 20
_CHARACTERS_OF_A_LINE = 300
_LOG_LINE = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)")


class CrawlProcess:
    """A context that holds the child: it is gone when the context ends, stopped if it is not through and then killed.

    Its standard input stays open as long as this process lives: the child ends when it closes, so that not even
    SIGKILL of the task leaves it running.
    """

    def __init__(self, job: CrawlJob) -> None:
        self._job = job
        self._has_reported = False
        self._last_lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            # -P: nothing in the task's working directory shadows a module of the child.
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._relay = threading.Thread(target=self._relay_log, daemon=True)
        self._relay.start()
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):
            self._child.stdin.write(self._job.model_dump_json().encode() + b"\n")
            self._child.stdin.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._has_reported:
            self.stop()
        try:
            self._child.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._relay.join()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()

    def reports(self) -> Iterator[ProgressReport | FinalReport]:
        """What the child reports, up to its final report.

        :raises CrawlProcessError: if it ends without one.
        """
        assert self._child.stdout is not None
        for line in self._child.stdout:
            report = parse_report(line)
            self._has_reported = isinstance(report, FinalReport)
            yield report
            if self._has_reported:
                return
        exit_code = self._child.wait()
        self._relay.join()
        raise CrawlProcessError(exit_code, " | ".join(self._last_lines) or "it wrote nothing")

    def stop(self) -> None:
        """Ask the child to write what it has and to end."""
        if self._child.poll() is None:
            self._child.terminate()

    def _relay_log(self) -> None:
        assert self._child.stderr is not None
        level = logging.WARNING
        for raw in self._child.stderr:
            line = redact_userinfo(raw.decode("utf-8", "replace").rstrip())[:_CHARACTERS_OF_A_LINE]
            if match := _LOG_LINE.match(line):
                level, line = logging.getLevelNamesMapping()[match[1]], match[2]
            self._last_lines.append(line)
            log.log(level, "%s", line)


@contextmanager
def stopping_on_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Within this context SIGTERM calls ``stop``; when the context ends it has the effect it had before.

    Does nothing outside the main thread, where Python takes no signals.

    :raises CrawlStoppedError: at the end, if a SIGTERM came and the previous handler let the task go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_terminated = False

    def terminate(number: int, frame: FrameType | None) -> None:
        nonlocal is_terminated
        is_terminated = True
        stop()
        if callable(previous):
            previous(number, frame)

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except CrawlProcessError:
        # Stopped before it had begun it has nothing to say.
        if not is_terminated:
            raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    if is_terminated:
        if previous is signal.SIG_DFL:
            signal.raise_signal(signal.SIGTERM)
        raise CrawlStoppedError
