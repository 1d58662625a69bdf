"""The crawl's child process: ``python -m airflow_provider_autoglm.corpus.crawl.child``, its job on standard input.

It ends at once when standard input ends, since then the task is gone; on SIGTERM it writes what it has and says so.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import IO

from airflow_provider_autoglm.corpus.crawl.download import run_with_downloader
from airflow_provider_autoglm.corpus.crawl.job import CrawlJob, FinalReport, ShardReport, StorageFailure
from airflow_provider_autoglm.corpus.crawl.sink import PageSink
from airflow_provider_autoglm.corpus.crawl.visitor import SiteVisitor
from airflow_provider_autoglm.exceptions import StorageError

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def main() -> int:
    """Do the job and report; returns the exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    reports = _take_over_stdout()

    def send(report: ShardReport | FinalReport) -> None:
        reports.write(report.model_dump_json() + "\n")
        reports.flush()

    job = CrawlJob.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sink = PageSink(job, send)
    visitor = SiteVisitor(job.sources, job.settings, sink)
    is_complete, failure = False, None
    try:
        is_complete = run_with_downloader(job.settings, visitor.sites, visitor.run)
        sink.finish()
    except* StorageError as group:
        failure = _describe(group)
    send(FinalReport(answered=visitor.answered, is_stopped=not is_complete, failure=failure))
    return 0


def _take_over_stdout() -> IO[str]:
    """The pipe to the task; whatever else prints goes to standard error."""
    reports = os.fdopen(os.dup(_STDOUT), "w", encoding="utf-8")
    os.dup2(_STDERR, _STDOUT)
    return reports


def _end_with_parent() -> None:
    while os.read(_STDIN, 1):
        pass
    os._exit(1)


def _describe(group: BaseExceptionGroup[StorageError]) -> StorageFailure:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, StorageError)
    return StorageFailure(action=error.action, uri=error.uri, cause=str(error.__cause__))


if __name__ == "__main__":
    sys.exit(main())
