from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.crawl.frontier import Found, Frontier, Limits, Visit
from airflow_provider_autoglm.corpus.crawl.job import CrawlJob, FinalReport, ProgressReport
from airflow_provider_autoglm.corpus.crawl.ledger import Ledger
from airflow_provider_autoglm.corpus.crawl.sink import CrawledRow, PageSink, Placed
from airflow_provider_autoglm.corpus.handover import filesystem_to_json
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import CrawlRunningError, StorageError
from airflow_provider_autoglm.settings import CrawlSettings, Source

SITE = "example.org:443"
LIMITS = Limits(max_pages=100, max_pages_per_host=100, max_depth=10, concurrency=10)


class Books:
    """A ledger over a frontier in a folder; ``shipped`` counts its commits, ``reports`` are what it told.

    With ``lost`` the claim on that frontier is lost at the first commit.
    """

    def __init__(self, folder: Path, *, lost: str | None = None, **settings: object) -> None:
        self.folder = folder
        self.shipped = 0
        self.lost = lost
        self.reports: list[ProgressReport] = []
        job = CrawlJob(
            filesystem=filesystem_to_json(Storage.local()),
            storage_root="file:///",
            destination=f"file://{folder}/out",
            attempt="attempt",
            work="work",
            sources=(Source(url="https://example.org/"),),
            settings=CrawlSettings(**settings),
        )
        self.frontier = Frontier(folder / "frontier.sqlite", LIMITS)
        self.ledger = Ledger(self.frontier, PageSink(job), job.settings, ship=self.ship, send=self.reports.append)

    def ship(self) -> None:
        if self.lost is not None:
            raise CrawlRunningError(self.lost)
        self.shipped += 1

    def begin(self, path: str) -> Visit:
        """A page is found and asked for."""
        self.ledger.find([Found(url=f"https://{SITE}/{path}", site=SITE)])
        visit = self.ledger.take({})
        assert visit is not None
        return visit

    def visit(self, path: str, reason: str | None = None) -> None:
        """A page is found, asked for, and becomes a row."""
        visit = self.begin(path)
        row = CrawledRow(
            url=visit.url,
            source="example.org",
            depth=0,
            host=SITE,
            fetched_at=datetime.now(UTC),
            text=f"text of {path}",
        )
        self.ledger.place(visit.key, Placed(row, "rejected/", reason) if reason else Placed(row))
        self.ledger.settle(visit.key)

    def knows(self, path: str) -> bool:
        """Whether another process, which was :meth:`reopened`, knows a page."""
        frontier = Frontier(self.folder / "frontier.sqlite", LIMITS)
        known = frontier.knows(f"https://{SITE}/{path}")
        frontier.close()
        return known

    def reopened(self) -> FinalReport:
        """What another process finds."""
        self.frontier.close()
        books = Books(self.folder)
        final = books.ledger.final(is_stopped=False)
        books.frontier.close()
        return final


def test_rows_are_recorded_together_with_the_shards_that_hold_them(tmp_path: Path) -> None:
    books = Books(tmp_path, pages_per_shard=2)
    books.visit("a")
    books.visit("b", "dns")
    assert books.shipped == 0
    books.visit("c")
    books.visit("d")

    final = books.reopened()

    assert books.shipped == 1
    names = [shard.name for lane in ("", "rejected/") for shard in final.shards[lane]]
    assert [pq.read_metadata(tmp_path / "out" / name).num_rows for name in names] == [2, 1]
    assert final.counts["rejected/dns"] == 1
    assert not books.knows("d"), "what was found after the commit is known"


def test_a_visit_that_is_put_back_brings_nothing(tmp_path: Path) -> None:
    books = Books(tmp_path)
    visit = books.begin("a")
    row = CrawledRow(url=visit.url, source="s", depth=0, host=SITE, fetched_at=datetime.now(UTC))
    books.ledger.place(visit.key, Placed(row))
    assert books.ledger.has_rows(visit.key)

    books.ledger.put_back(visit.key)

    assert books.ledger.take({}) == visit
    assert not books.ledger.has_rows(visit.key)


def test_a_shard_that_cannot_be_written_leaves_its_pages_to_the_next_try(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    books = Books(tmp_path)
    books.visit("a")

    with pytest.raises(StorageError, match="out"):
        books.ledger.commit()

    assert isinstance(books.ledger.failure, StorageError)
    final = books.reopened()
    assert final.shards == {"": (), "rejected/": (), "removed/": (), "known/": ()}
    assert final.counts == {}


def test_after_a_failure_nothing_is_recorded_any_more(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.visit("a")
    books.ledger.commit()
    under_way = books.begin("b")
    books.frontier.close()

    with pytest.raises(StorageError, match="cannot write the frontier of the crawl") as raised:
        books.ledger.find([Found(url=f"https://{SITE}/c", site=SITE)])

    for attempt in (
        lambda: books.ledger.count("bytes"),
        lambda: books.ledger.take({}),
        lambda: books.ledger.settle(under_way.key),
        books.ledger.commit,
    ):
        with pytest.raises(StorageError) as again:
            attempt()
        assert again.value is raised.value
    assert books.shipped == 1
    assert [shard.rows for shard in books.reopened().shards[""]] == [1]


def test_a_claim_that_was_lost_ends_the_crawl(tmp_path: Path) -> None:
    books = Books(tmp_path, lost="s3://bucket/run")
    books.visit("a")

    with pytest.raises(CrawlRunningError):
        books.ledger.commit()

    assert isinstance(books.ledger.failure, CrawlRunningError)


@pytest.mark.parametrize(
    ("budget", "settings"),
    [("max_total_bytes", {"max_total_bytes": 10}), ("max_duration_s", {"max_duration_s": 5.0})],
)
def test_when_a_budget_is_used_up_nothing_more_is_asked_for(
    tmp_path: Path, budget: str, settings: dict[str, float]
) -> None:
    books = Books(tmp_path, **settings)
    books.visit("a")
    books.ledger.count("bytes", 10)
    books.ledger.count("seconds", 5)
    books.ledger.find([Found(url=f"https://{SITE}/b", site=SITE)])

    assert books.ledger.take({}) is None

    assert books.ledger.is_over
    assert books.ledger.final(is_stopped=False).left == {budget: 1}


def test_what_was_done_before_a_kill_is_told_by_the_next_try(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.visit("a")
    books.visit("b", "dns")
    books.ledger.count("bytes", 100)
    books.ledger.commit()
    books.frontier.close()

    retried = Books(tmp_path)
    retried.visit("c")
    retried.ledger.commit()

    report = retried.reports[-1]
    assert (report.done, report.found, report.bytes, report.rejected) == (3, 3, 100, {"dns": 1})
