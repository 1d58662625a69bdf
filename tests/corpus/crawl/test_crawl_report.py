"""What is read again of a crawl, from real crawls and from corpora with rows of other kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.report import Report, report_of
from airflow_provider_autoglm.corpus.parts import join_corpora
from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import CrawlSettings
from tests.corpus.crawl.conftest import FAST, Reply, Site, serve

SECRET = "https://me:hidden@other.example/"


def page(number: int, **columns: Any) -> dict[str, Any]:
    """A row of a crawl."""
    url = f"https://site.example/{number}"
    row = {"doc_id": f"{number:05d}", "url": url, "host": "site.example", "status": 200, "depth": 1, "charset": "utf-8"}
    return row | {"text": "x" * 40, "truncated": False} | columns


def committed(
    uri: Path | str,
    *,
    kept: list[dict[str, Any]] | pa.Table,
    rejected: list[dict[str, Any]] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Corpus:
    attempt = StageAttempt("crawl", [], str(uri), CrawlSettings().model_dump(mode="json"))
    table = kept if isinstance(kept, pa.Table) else pa.Table.from_pylist(kept, CRAWL_SCHEMA)
    attempt.write(table)
    aside = pa.schema([*CRAWL_SCHEMA, ("reason", pa.string())])
    attempt.reject(pa.Table.from_pylist(rejected or [], aside))
    attempt.count_in(table.num_rows + len(rejected or []))
    attempt.commit(metrics=metrics)
    return Corpus.open(str(uri))


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Report]]:
    """A site, and the report of a crawl of it."""
    site = Site()
    server = serve(site)
    site.add("/", "/long", "/missing", "/moved", "/hidden", "/huge", "/nothing")
    site.add("/long", text="Something that is said at length. " * 100)
    site.pages["/moved"] = Reply(status=301, headers={"Location": "/long"})
    site.add("/hidden", title="Hidden")
    site.pages["/hidden"].headers["X-Robots-Tag"] = "noindex"
    site.pages["/huge"] = Reply(b"<p>This goes on and on. " + b"on and on " * 1_000)
    site.pages["/nothing"] = Reply(b"<html></html>")
    settings = CrawlSettings(**FAST, max_page_bytes=8_192)
    result = crawl([f"{site.url}/"], f"{tmp_path_factory.mktemp('crawl')}/crawl", settings)
    yield site, report_of(Corpus.open(result.uri))
    server.shutdown()
    server.server_close()


def test_a_real_crawl_is_told_by_status_depth_host_length_and_reason(crawled: tuple[Site, Report]) -> None:
    site, report = crawled
    visits = report.visits
    assert (visits.pages, visits.records, visits.truncated) == (7, 0, 1)
    assert visits.statuses == {"200": 5, "404": 1, "301": 1}
    assert visits.depths == {0: 1, 1: 6}
    (host,) = visits.hosts(10)
    assert (host.host, host.attempted, host.kept, host.removed, host.rejected) == (
        site.url.removeprefix("http://"),
        7,
        3,
        2,
        2,
    )
    assert sum(visits.charsets.values()) == report.lengths.texts == report.counters.rows_out == 3
    assert [(entry.reason, entry.rows) for entry in report.rejected] == [("empty_text", 1), ("http_404", 1)]
    missing = report.rejected[1].examples[0]
    assert (missing.document.url, dict(missing.notes)) == (f"{site.url}/missing", {"status": "404"})
    noindex, moved = report.removed
    assert (noindex.reason, noindex.examples[0].document.title) == ("noindex", "Hidden")
    assert moved.examples[0].notes == {"status": "301", "final_url": f"{site.url}/long"}
    assert report.sources == (f"{site.url}/",)
    assert report.settings.max_page_bytes == 8_192
    assert report.bytes is not None
    assert report.bytes > 4_000
    assert report.seconds > 0


def test_the_numbers_are_json_without_texts_and_the_same_each_time(crawled: tuple[Site, Report]) -> None:
    _, report = crawled
    numbers = json.dumps(report.to_dict())
    assert numbers == json.dumps(report_of(Corpus.open(report.uri)).to_dict())
    assert "Something that is said" not in numbers
    assert "Hidden" not in numbers
    read = json.loads(numbers)
    assert (read["rows_in"], read["rows_out"], read["removed"], read["rejected"]) == (7, 3, 2, 2)
    assert read["statuses"] == {"200": 5, "301": 1, "404": 1}
    assert read["rejected_by_reason"] == {"empty_text": 1, "http_404": 1}
    assert read["lengths"]["texts"] == 3


def test_what_limits_kept_out_and_bytes_add_up_over_the_parts_of_a_mapped_crawl(tmp_path: Path) -> None:
    metrics = {"not_visited/max_pages": 3.0, "bytes": 1_000.0, "unlinked": 2.0, "duration_s": 1.5}
    parts = [
        committed(
            f"{tmp_path}/part={number:03d}", kept=[page(number, host=f"{number}.example")] * 2, metrics=metrics
        ).uri
        for number in range(2)
    ]
    report = report_of(Corpus.open(join_corpora(parts, str(tmp_path), stage="crawl").uri))
    assert report.is_joined
    assert report.not_visited == {"max_pages": 6}
    assert (report.bytes, report.unlinked, report.seconds) == (2_000, 4, 3.0)
    assert [(host.host, host.kept) for host in report.visits.hosts(10)] == [("0.example", 2), ("1.example", 2)]


def test_records_of_files_are_no_pages_even_with_columns_of_the_same_names(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"line {number} of a file", "status": "open", "host": 7}) for number in range(3)]
    (tmp_path / "lines.jsonl").write_text("\n".join([*lines, "no json"]))
    settings = CrawlSettings(max_rejected_fraction=1)
    report = report_of(Corpus.open(crawl([str(tmp_path / "lines.jsonl")], f"{tmp_path}/crawl", settings).uri))
    assert (report.visits.pages, report.visits.records) == (0, 4)
    assert report.visits.statuses == {}
    assert report.lengths.texts == 3
    (broken,) = report.rejected
    assert broken.reason == "invalid_record"
    assert "problem" in broken.examples[0].notes
    assert report.bytes is None


def test_pages_that_are_gone_or_have_no_status_are_counted_as_such(tmp_path: Path) -> None:
    rejected = [
        page(1, status=404, reason="gone"),
        page(2, status=None, depth=None, reason="robots"),
        page(3, status=None, reason="timeout"),
    ]
    metrics = {"unlinked": 4, "not_visited/calendar": 2, "not_visited/max_pages": 9, "not_visited/twins": 0}
    report = report_of(committed(tmp_path, kept=[page(0, charset=None)], rejected=rejected, metrics=metrics))
    assert (report.gone, report.unlinked) == (1, 4)
    assert report.visits.statuses == {"200": 1, "404": 1, "none": 2}
    assert report.visits.depths == {1: 3}
    assert report.visits.charsets == {}
    assert list(report.not_visited) == ["max_pages", "calendar"]


def test_hosts_with_the_most_addresses_come_first_wherever_their_rows_are(tmp_path: Path) -> None:
    kept = [page(number, host=f"{number % 40}.example") for number in range(400)]
    rejected = [page(number, host="39.example", reason="robots") for number in range(1_000, 1_003)]
    visits = report_of(committed(tmp_path, kept=kept, rejected=rejected)).visits
    assert [(host.host, host.attempted) for host in visits.hosts(2)] == [("39.example", 13), ("0.example", 10)]
    assert visits.number_of_hosts == 40


def test_credentials_are_in_no_note(tmp_path: Path) -> None:
    rejected = [page(1, final_url=SECRET, canonical_url=SECRET, reason="offsite_redirect")]
    report = report_of(committed(tmp_path, kept=[page(0)], rejected=rejected))
    assert "hidden" not in repr(report)
