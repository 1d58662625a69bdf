from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import CrawlProcessError, CrawlRunningError
from airflow_provider_autoglm.settings import CrawlSettings
from tests.corpus.crawl.conftest import FAST, Site

PAGES = 20
CRAWL_IN_A_TASK = """
import json, signal, sys
from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.exceptions import CrawlStoppedError
if "--with-handler" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: print("on_kill", flush=True))
try:
    settings = json.loads(sys.argv[4]) | {"timeout_s": 60, "pages_per_shard": int(sys.argv[3])}
    crawl([sys.argv[1]], sys.argv[2], settings)
except CrawlStoppedError:
    print("stopped", flush=True)
"""


@pytest.fixture
def stuck(site: Site) -> Site:
    """A site of many pages, one of which is answered only when the test says so."""
    site.add("/", *(f"/{number}" for number in range(PAGES)))
    for number in range(PAGES):
        site.add(f"/{number}")
    site.held.add("/7")
    return site


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.kill()
        process.communicate()


def start_task(
    started: list[subprocess.Popen[str]], stuck: Site, destination: Path, *options: str, pages_per_shard: int = 4
) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A task that crawls, and its child, once all pages but the stuck one have been asked for."""
    task = subprocess.Popen(
        [
            sys.executable,
            "-c",
            CRAWL_IN_A_TASK,
            stuck.url,
            str(destination),
            str(pages_per_shard),
            json.dumps(FAST),
            *options,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    started.append(task)
    stuck.wait_for_requests(PAGES + 2)
    (child,) = psutil.Process(task.pid).children()
    return task, child


def assert_gone(child: psutil.Process) -> None:
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive


def pages_of(uri: str) -> set[tuple[str, str]]:
    return {(row["url"], row["content_sha256"]) for row in Corpus.open(uri).to_table().to_pylist()}


def test_a_killed_crawl_leaves_no_child_and_its_retry_gives_the_same_pages(
    stuck: Site, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    task, child = start_task(started, stuck, tmp_path / "out")

    task.send_signal(signal.SIGKILL)

    assert task.wait(30) == -signal.SIGKILL
    assert_gone(child)
    assert list((tmp_path / "out").glob("*.parquet")), "the crawl was not killed between two shards"
    assert not list((tmp_path / "out").glob("_manifest*"))
    stuck.release.set()
    retried = crawl([stuck.url], str(tmp_path / "out"), CrawlSettings(**FAST))
    undisturbed = crawl([stuck.url], str(tmp_path / "other"), CrawlSettings(**FAST))
    assert retried.rows_out == PAGES + 1
    assert pages_of(retried.uri) == pages_of(undisturbed.uri)


def test_sigterm_ends_the_task_and_its_child_which_writes_what_it_has(
    stuck: Site, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    task, child = start_task(started, stuck, tmp_path / "out", pages_per_shard=1_000)

    task.terminate()

    assert task.wait(30) == -signal.SIGTERM
    assert_gone(child)
    rows = sum(pq.read_metadata(file).num_rows for file in (tmp_path / "out").glob("*.parquet"))
    assert PAGES + 1 - CrawlSettings().concurrency <= rows <= PAGES
    assert not list((tmp_path / "out").glob("_manifest*"))


def test_sigterm_in_a_task_with_its_own_handler_calls_it_and_ends_the_crawl(
    stuck: Site, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    task, child = start_task(started, stuck, tmp_path / "out", "--with-handler")

    task.terminate()

    output, _ = task.communicate(timeout=30)
    assert output.split() == ["on_kill", "stopped"]
    assert_gone(child)


def test_the_second_of_two_tasks_with_one_crawl_is_refused(stuck: Site, tmp_path: Path) -> None:
    settings = CrawlSettings(**FAST | {"timeout_s": 60})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(crawl, [stuck.url], str(tmp_path / "out"), settings)
        stuck.wait_for_requests(PAGES + 2)

        with pytest.raises(CrawlRunningError, match="wait for it, or stop it"):
            crawl([stuck.url], str(tmp_path / "out"), settings)

        stuck.release.set()
        result = first.result()
    assert Corpus.open(result.uri).rows == PAGES + 1
    assert crawl([stuck.url], str(tmp_path / "out"), settings).reused


def test_a_child_that_dies_is_a_named_error(stuck: Site, tmp_path: Path) -> None:
    servers_of_other_tests = set(psutil.Process().children())
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(crawl, [stuck.url], str(tmp_path / "out"), CrawlSettings(**FAST | {"timeout_s": 60}))
        stuck.wait_for_requests(PAGES + 2)
        (child,) = set(psutil.Process().children()) - servers_of_other_tests
        child.kill()
        with pytest.raises(CrawlProcessError) as raised:
            attempt.result()

    assert raised.value.exit_code == -signal.SIGKILL
    assert not list((tmp_path / "out").glob("_manifest*"))


def test_storage_secrets_reach_the_child_by_its_pipe_alone(stuck: Site, tmp_path: Path) -> None:
    storage = Storage(LocalFileSystem(secret="marked-secret"), "file:///")
    servers_of_other_tests = set(psutil.Process().children())
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(
            crawl, [stuck.url], str(tmp_path / "out"), CrawlSettings(**FAST | {"timeout_s": 60}), storage=storage
        )
        stuck.wait_for_requests(PAGES + 2)
        (child,) = set(psutil.Process().children()) - servers_of_other_tests
        visible = " ".join([*child.cmdline(), *child.environ().values()])
        stuck.release.set()
        attempt.result()

    assert "crawl.child" in visible
    assert "marked-secret" not in visible
    assert "marked-secret" not in "".join(file.read_text() for file in (tmp_path / "out").glob("*.json"))


def test_importing_the_crawl_loads_no_crawler() -> None:
    code = (
        "import sys, airflow_provider_autoglm.corpus.crawl;"
        "print([m for m in ('scrapy', 'twisted', 'selectolax', 'resiliparse', 'airflow') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
