"""The crawl's child process: ``python -m airflow_provider_autoglm.corpus.crawl.child``, its job on standard input.

It ends at once when standard input ends, since then the task is gone; on SIGTERM it writes what it has and says so.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import IO

from airflow_provider_autoglm.corpus.crawl.crawler import run_crawl
from airflow_provider_autoglm.corpus.crawl.job import CrawlJob, Failure, FinalReport, ProgressReport
from airflow_provider_autoglm.exceptions import CrawlRunningError, OwnSpiderError, SettingsError, StorageError

_STDIN, _STDOUT, _STDERR = 0, 1, 2

Send = Callable[[ProgressReport | FinalReport], None]


def main() -> int:
    """Do the job and report; returns the exit status."""
    # Scrapy's cookies would look for the newest list of public suffixes in the web; the one that is installed will do.
    os.environ.setdefault("TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS", "")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    reports = _take_over_stdout()

    def send(report: ProgressReport | FinalReport) -> None:
        reports.write(report.model_dump_json() + "\n")
        reports.flush()

    job = CrawlJob.model_validate_json(sys.stdin.buffer.readline())
    # At the end, so that nothing there shadows a module of the child.
    sys.path.extend(folder for folder in job.import_path if folder not in sys.path)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    outcome = _outcome(job, send)
    send(outcome)
    if outcome.is_stopped:
        # Requests under way hold threads and connections that nobody waits for.
        os._exit(0)
    return 0


def _outcome(job: CrawlJob, send: Send) -> FinalReport:
    try:
        return run_crawl(job, send)
    except CrawlRunningError as error:
        return FinalReport(failure=Failure(kind="running", uri=error.uri))
    except SettingsError as error:
        return FinalReport(failure=Failure(kind="settings", uri=job.destination, cause=" ".join(error.problems)))
    except StorageError as error:
        return FinalReport(failure=Failure(kind="storage", action=error.action, uri=error.uri, cause=error.cause))
    except OwnSpiderError as error:
        return FinalReport(failure=Failure(kind="spider", uri=error.spider, cause=error.problem))


def _take_over_stdout() -> IO[str]:
    """The pipe to the task; whatever else prints goes to standard error."""
    reports = os.fdopen(os.dup(_STDOUT), "w", encoding="utf-8")
    os.dup2(_STDERR, _STDOUT)
    return reports


def _end_with_parent() -> None:
    while os.read(_STDIN, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
