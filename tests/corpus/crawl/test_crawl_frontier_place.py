from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.frontier import Found, Frontier, Limits
from airflow_provider_autoglm.corpus.crawl.frontier_place import FrontierPlace, forget_frontier, frontier_place
from airflow_provider_autoglm.corpus.handover import filesystem_to_json
from airflow_provider_autoglm.corpus.manifest import Shard
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import CrawlRunningError, CrawlStoppedError, StorageError
from airflow_provider_autoglm.settings import CrawlSettings
from tests.conftest import REPOSITORY
from tests.corpus.crawl.conftest import FAST, Site
from tests.corpus.crawl.killing import children_of
from tests.gateway import wait_until
from tests.s3_server import S3Server

LEASE_S = 1.0
WORK = "0123abcd-1"
LIMITS = Limits(max_pages=100, max_pages_per_host=100, max_depth=10, concurrency=10)
HOLD = """
import sys
from airflow_provider_autoglm.corpus.crawl.frontier import Found, Frontier
from airflow_provider_autoglm.corpus.crawl.frontier_place import frontier_place
from airflow_provider_autoglm.corpus.handover import storage_from_json
from airflow_provider_autoglm.exceptions import CrawlRunningError
from tests.corpus.crawl.test_crawl_frontier_place import LEASE_S, LIMITS, WORK, record
storage = storage_from_json(sys.stdin.readline(), "s3://")
with frontier_place(storage, sys.argv[1], WORK, lease_s=LEASE_S) as place:
    frontier = Frontier(place.path, LIMITS)
    record(frontier, place, "a")
    print("holds", flush=True)
    sys.stdin.readline()
    try:
        record(frontier, place, "b")
    except CrawlRunningError:
        print("fenced", flush=True)
    else:
        print("recorded", flush=True)
"""


def record(frontier: Frontier, place: FrontierPlace, name: str) -> None:
    """A page is visited, and its shard written."""
    frontier.add([Found(url=f"https://example.org/{name}", site="example.org:443")])
    visit = frontier.next()
    assert visit is not None
    frontier.settle(visit.key)
    frontier.commit({"": [Shard(name=f"{name}.parquet", rows=1, bytes=1, sha256="0")]}, {})
    place.finish()


def recorded(place: FrontierPlace) -> list[str]:
    frontier = Frontier(place.path, LIMITS)
    names = [shard.name for _, shard in frontier.shards()]
    frontier.close()
    return names


@pytest.fixture
def corpus_uri(s3_server: S3Server) -> str:
    return f"s3://{s3_server.new_bucket()}/run/crawl"


@pytest.fixture
def storage(s3_server: S3Server) -> Storage:
    return s3_server.storage()


@contextmanager
def holder(storage: Storage, corpus_uri: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the place, as soon as it has recorded something."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, corpus_uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(filesystem_to_json(storage) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "holds\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_on_object_storage_another_worker_goes_on_where_the_last_one_left(storage: Storage, corpus_uri: str) -> None:
    with frontier_place(storage, corpus_uri, WORK) as place:
        first = place.path
        frontier = Frontier(place.path, LIMITS)
        record(frontier, place, "a")
        frontier.close()

    with frontier_place(storage, corpus_uri, WORK) as place:
        assert place.path != first
        assert not first.exists()
        assert recorded(place) == ["a.parquet"]
    with frontier_place(storage, corpus_uri, "other-work-1") as place:
        assert recorded(place) == []


def test_copies_are_made_no_more_often_than_they_are_cheap(
    storage: Storage, corpus_uri: str, s3_server: S3Server
) -> None:
    with frontier_place(storage, corpus_uri, WORK) as place:
        frontier = Frontier(place.path, LIMITS)
        s3_server.requests()

        for _ in range(5):
            place.ship()

        assert sum(request.path.endswith(".zst") for request in s3_server.requests()) == 1
        frontier.close()


def test_while_one_process_holds_the_frontier_another_one_is_refused(storage: Storage, corpus_uri: str) -> None:
    with (
        holder(storage, corpus_uri) as other,
        pytest.raises(CrawlRunningError) as raised,
        frontier_place(storage, corpus_uri, WORK, lease_s=LEASE_S),
    ):
        pytest.fail("both hold it")
    assert corpus_uri in raised.value.uri
    assert other.returncode == -signal.SIGKILL


def test_of_two_that_claim_it_at_once_one_is_refused(storage: Storage, corpus_uri: str) -> None:
    def claim(_: int) -> str:
        try:
            with frontier_place(storage, corpus_uri, WORK, lease_s=LEASE_S) as place:
                record(Frontier(place.path, LIMITS), place, "a")
                return "held"
        except CrawlRunningError:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(claim, range(4)))

    assert "held" in outcomes
    assert set(outcomes) <= {"held", "refused"}


def test_what_a_killed_process_held_is_taken_over_when_its_lease_is_over(storage: Storage, corpus_uri: str) -> None:
    with holder(storage, corpus_uri) as other:
        other.kill()
        other.wait()

    with frontier_place(storage, corpus_uri, WORK, lease_s=LEASE_S) as place:
        assert recorded(place) == ["a.parquet"]


def test_a_holder_that_was_silent_too_long_is_fenced_when_it_comes_back(storage: Storage, corpus_uri: str) -> None:
    with holder(storage, corpus_uri) as other:
        other.send_signal(signal.SIGSTOP)
        with frontier_place(storage, corpus_uri, WORK, lease_s=LEASE_S) as place:
            frontier = Frontier(place.path, LIMITS)
            record(frontier, place, "c")
            other.send_signal(signal.SIGCONT)
            assert other.stdin is not None
            assert other.stdout is not None
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == "fenced\n"
            frontier.close()

    with frontier_place(storage, corpus_uri, WORK, lease_s=LEASE_S) as place:
        assert recorded(place) == ["a.parquet", "c.parquet"]


def test_a_holder_whose_beats_fail_for_a_moment_goes_on(
    storage: Storage, corpus_uri: str, s3_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        frontier_place(storage, corpus_uri, WORK, lease_s=0.2),
        s3_server.behaving(method="PUT", fail=403, code="AccessDenied", times=1),
    ):
        wait_until("a warning", lambda: "could not be renewed" in caplog.text)


def test_a_frontier_that_is_of_no_use_any_more_leaves_nothing(storage: Storage, corpus_uri: str) -> None:
    for work in (WORK, "other-work-1"):
        with frontier_place(storage, corpus_uri, work) as place:
            record(Frontier(place.path, LIMITS), place, "a")

    forget_frontier(storage, corpus_uri, WORK)

    left = [uri.rpartition("/")[2] for uri in storage.list(f"{corpus_uri}/_frontier")]
    assert left == [f"other-work-1.sqlite.{kind}" for kind in ("beat-1", "claim-1", "zst")]


def test_on_a_file_system_it_is_a_file_of_the_corpus(tmp_path: Path) -> None:
    storage = Storage.local()
    with frontier_place(storage, f"file://{tmp_path}/out", WORK) as place:
        record(Frontier(place.path, LIMITS), place, "a")
        place.ship()

    assert place.path == tmp_path / "out" / "_frontier" / f"{WORK}.sqlite"
    forget_frontier(storage, f"{tmp_path}/out", WORK)
    assert list(place.path.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")

    with (
        pytest.raises(StorageError, match="_frontier"),
        frontier_place(Storage.local(), f"file://{tmp_path}/out", WORK),
    ):
        pytest.fail("there is no place")


def test_a_crawl_into_object_storage_that_was_stopped_is_resumed_by_another_worker(
    new_site: Callable[[], Site], storage: Storage, corpus_uri: str
) -> None:
    site = new_site()
    site.add("/", *(f"/{number}" for number in range(20)))
    for number in range(20):
        site.add(f"/{number}")
    site.held.add("/7")
    settings = CrawlSettings(**FAST | {"timeout_s": 60})
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(crawl, [site.url], corpus_uri, settings, storage=storage)
        site.wait_for_requests(22)
        (child,) = children_of(psutil.Process())
        child.terminate()
        with pytest.raises(CrawlStoppedError):
            attempt.result()
    site.release.set()
    asked = len(site.served)

    result = crawl([site.url], corpus_uri, settings, storage=storage)

    assert Corpus.open(result.uri, storage=storage).rows == 21
    again = [path for path in site.served[asked:] if path != "/robots.txt"]
    assert "/7" in again
    assert len(again) <= settings.concurrency
    assert storage.list(f"{corpus_uri}/_frontier") == []
