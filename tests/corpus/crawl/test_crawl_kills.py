from __future__ import annotations

import random
import signal
from itertools import count
from pathlib import Path

import psutil
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.result import Progress, StageResult
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import CrawlProcessError, StorageError
from airflow_provider_autoglm.settings import CrawlSettings
from tests.conftest import REPOSITORY
from tests.corpus.crawl.conftest import FAST, Reply, Site
from tests.corpus.crawl.dying_storage import DyingFileSystem, RefusingFileSystem
from tests.corpus.crawl.killing import Work, children_of, differences, web_of
from tests.gateway import wait_until

PAGES = 200
KILLS = 5
COUNTED = ("rows_in", "rows_out", "rejected", "removed")
TIMED = ("bytes", "duration_s", "rows_per_s", "seconds/crawl")


@pytest.fixture
def shelf(site: Site) -> Site:
    """A small site with rows of each kind."""
    site.add("/", *(f"/{number}" for number in range(12)))
    for number in range(0, 12, 2):
        site.add(f"/{number}")
    for number in (1, 5):
        site.pages[f"/{number}"] = Reply(status=301, headers={"Location": f"/{number + 1}"})
    return site


def test_a_crawl_that_is_killed_again_and_again_visits_what_an_undisturbed_one_visits(tmp_path: Path) -> None:
    with web_of(PAGES) as web:
        undisturbed = Work(tmp_path / "undisturbed", web.urls, {"max_pages": 150})
        expected = undisturbed.finish()
        requests = len(web.served)
        killed = Work(tmp_path / "killed", web.urls, {"max_pages": 150})

        killed.end_at_bad_moments(web, KILLS, requests, random.Random(6))
        result = killed.finish()

        assert web.disallowed == []
    assert differences(killed, undisturbed) == []
    assert result["rows_in"] == 150
    assert {name: result[name] for name in COUNTED} == {name: expected[name] for name in COUNTED}
    assert untimed(result["metrics"]) == untimed(expected["metrics"])


def test_the_items_of_a_spider_survive_kills_as_well(tmp_path: Path) -> None:
    with web_of(60) as web:
        spider = {
            "path": "tests.corpus.crawl.spiders.ArticleSpider",
            "arguments": {"start": f"{web.urls[0]}/"},
        }
        undisturbed = Work(tmp_path / "undisturbed", spider=spider)
        expected = undisturbed.finish()
        requests = len(web.served)
        killed = Work(tmp_path / "killed", spider=spider)

        killed.end_at_bad_moments(web, 2, requests, random.Random(7))
        result = killed.finish()

        assert web.disallowed == []
    assert expected["rows_out"] > 30
    assert same_pages(killed) == same_pages(undisturbed)
    assert {name: result[name] for name in COUNTED} == {name: expected[name] for name in COUNTED}


def test_a_crawl_that_is_killed_after_each_shard_names_those_alone_that_it_recorded(
    shelf: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    settings = CrawlSettings(**FAST, pages_per_shard=3)
    expected = crawl([shelf.url], str(tmp_path / "undisturbed"), settings)
    kills = 0

    for shards in count(1):
        storage = Storage(DyingFileSystem(shards=shards), "file:///")
        try:
            result = crawl([shelf.url], str(tmp_path / "killed"), settings, storage=storage)
            break
        except CrawlProcessError:
            kills += 1

    assert kills >= 3, "it was never killed between the shards of one commit"
    assert rows_of(result) == rows_of(expected)
    assert (result.rows_in, result.rejected, result.removed) == (13, 4, 2)
    on_storage = {file.name for file in (tmp_path / "killed").rglob("*.parquet")}
    manifest = Corpus.open(result.uri).manifest
    named = {Path(shard.name).name for shard in (*manifest.shards, *manifest.rejected, *manifest.removed)}
    assert named < on_storage, "no shard was left over by a kill"


def test_a_task_that_is_killed_between_the_last_record_and_the_manifest_visits_nothing_again(
    shelf: Site, tmp_path: Path
) -> None:
    class KilledError(BaseException):
        """As if it were."""

    def kill_when_the_child_is_gone(_: Progress) -> None:
        if not children_of(psutil.Process()):
            raise KilledError

    with pytest.raises(KilledError):
        crawl([shelf.url], str(tmp_path / "out"), CrawlSettings(**FAST), progress=kill_when_the_child_is_gone)
    assert not list((tmp_path / "out").glob("_manifest*"))
    asked = len(shelf.served)

    result = crawl([shelf.url], str(tmp_path / "out"), CrawlSettings(**FAST))

    assert result.rows_in == 13
    assert [path for path in shelf.served[asked:] if path != "/robots.txt"] == []
    assert not list((tmp_path / "out" / "_frontier").iterdir()), "the frontier is of no use any more"


@pytest.mark.parametrize(("shards", "pages_per_shard"), [(4, 3), (1, 100)], ids=["on the way", "at the end"])
def test_a_storage_that_refuses_a_shard_is_a_named_error_and_a_retry_goes_on(
    shelf: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int, pages_per_shard: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    settings = CrawlSettings(**FAST, pages_per_shard=pages_per_shard)
    storage = Storage(RefusingFileSystem(shards=shards), "file:///")

    with pytest.raises(StorageError, match="No space left on device"):
        crawl([shelf.url], str(tmp_path / "out"), settings, storage=storage)

    result = crawl([shelf.url], str(tmp_path / "out"), settings)
    assert (result.rows_in, result.rejected, result.removed) == (13, 4, 2)
    assert sorted(url for url, _ in rows_of(result)) == sorted(
        {f"{shelf.url}/", *(f"{shelf.url}/{number}" for number in range(0, 12, 2))}
    )


def test_a_disk_that_is_full_loses_nothing(tmp_path: Path) -> None:
    with web_of(90) as web:
        undisturbed = Work(tmp_path / "undisturbed", web.urls)
        undisturbed.finish()
        full = Work(tmp_path / "full", web.urls, max_file_bytes=16 * 1024)

        assert "StorageError: cannot open" in full.fail()
        full.max_file_bytes = 40 * 1024
        assert "StorageError: cannot write the frontier of the crawl" in full.fail()

        assert not list((tmp_path / "full").glob("_manifest*"))
        full.max_file_bytes = None
        full.finish()
    assert differences(full, undisturbed) == []


def test_a_task_that_is_terminated_before_its_child_is_ready_ends_by_that_signal(site: Site, tmp_path: Path) -> None:
    site.add("/")
    task = Work(tmp_path / "out", [site.url]).start()
    parent = psutil.Process(task.pid)
    wait_until("a child", lambda: children_of(parent))

    task.terminate()

    assert task.wait(60) == -signal.SIGTERM
    assert not list((tmp_path / "out").glob("_manifest*"))


def untimed(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in TIMED}


def same_pages(work: Work) -> list[tuple[str, str]]:
    """What was found, without how far from the start it was found, which is as the answers came."""
    return sorted((row["url"], row["text"]) for row in Corpus.open(str(work.destination)).to_table().to_pylist())


def rows_of(result: StageResult) -> list[tuple[str, str]]:
    return sorted((row["url"], row["text"]) for row in Corpus.open(result.uri).to_table().to_pylist())
