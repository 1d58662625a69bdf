from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.known import KnownPages, accept
from airflow_provider_autoglm.corpus.parts import join_corpora
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.run_parts import list_parts
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, Kind
from airflow_provider_autoglm.exceptions import CrawlProcessError, SettingsError, StorageError, TooManyRejectedError
from airflow_provider_autoglm.settings import CrawlSettings
from tests.conftest import REPOSITORY
from tests.corpus.crawl.conftest import FAST, Reply, Site
from tests.corpus.crawl.dying_storage import DyingFileSystem

FIRST_DAY = datetime(2026, 5, 1, tzinfo=UTC)
ETAGS = tuple(f"/etag{number}" for number in range(4))
DATES = tuple(f"/date{number}" for number in range(4))
PLAIN = tuple(f"/plain{number}" for number in range(2))
PAGES = {"/", *ETAGS, *DATES, *PLAIN}


@dataclass
class Library:
    """A site whose pages change: some say so by ETag, some by Last-Modified, and some by what they say alone."""

    site: Site
    versions: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    answered: list[tuple[str, int]] = field(default_factory=list)

    def shelve(self, path: str, *links: str) -> None:
        """A long page."""
        anchors = "".join(f'<a href="{link}">to {link}</a> ' for link in links)

        def answer(request: BaseHTTPRequestHandler) -> None:
            version = self.versions[path]
            text = f"The page {path} in version {version} says a lot. " + " ".join(
                f"Sentence {number} of {path} is one of very many in version {version}." for number in range(150)
            )
            validators = self._validators(path, version)
            is_known = any(request.headers.get(asked) == value for asked, _, value in validators)
            body = b"" if is_known else _page(path, text, anchors)
            self._send(request, 304 if is_known else 200, body, [(name, value) for _, name, value in validators])

        self.site.answers[path] = answer

    def paths(self, *, since: int = 0) -> Counter[str]:
        """What was asked for, but robots.txt."""
        return Counter(path for path in self.site.served[since:] if path != "/robots.txt")

    @staticmethod
    def _validators(path: str, version: int) -> list[tuple[str, str, str]]:
        if path.startswith("/plain"):
            return []
        if path.startswith("/date"):
            return [("If-Modified-Since", "Last-Modified", f"Fri, 0{version + 1} May 2026 10:00:00 GMT")]
        return [("If-None-Match", "ETag", f'"{version}"')]

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        self.sent += len(body)
        self.answered.append((request.path, status))
        request.send_response(status)
        for name, value in (("Content-Type", "text/html; charset=utf-8"), *headers):
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def _page(title: str, text: str, anchors: str) -> bytes:
    head = f"<head><title>{title}</title></head>"
    return f"<html>{head}<body><nav>{anchors}</nav><main><p>{text}</p></main></body></html>".encode()


@pytest.fixture
def library(site: Site) -> Library:
    library = Library(site)
    library.shelve("/", *ETAGS, *DATES, *PLAIN)
    for path in (*ETAGS, *DATES, *PLAIN):
        library.shelve(path)
    return library


@dataclass
class Runs:
    """Crawls of one site, day after day."""

    folder: Path
    url: str

    @property
    def state_uri(self) -> str:
        return f"file://{self.folder}/state"

    def crawl(
        self,
        name: str,
        *,
        day: int | None = None,
        is_published: bool = True,
        storage: Storage | None = None,
        force: bool = False,
        sources: list[str] | None = None,
        **changed: Any,
    ) -> StageResult:
        result = crawl(
            sources or [self.url],
            str(self.folder / name),
            CrawlSettings(**FAST | changed),
            state_uri=self.state_uri,
            as_of=None if day is None else FIRST_DAY + timedelta(days=day),
            storage=storage,
            provenance=Provenance(force=force),
        )
        if is_published:
            accept(self.state_uri, result.uri, storage or Storage.local())
        return result


@pytest.fixture
def runs(tmp_path: Path, site: Site) -> Runs:
    return Runs(tmp_path, site.url)


def paths_of(result: StageResult, kind: Kind = "shards") -> set[str]:
    return {"/" + row["url"].split("/", 3)[-1] for row in Corpus.open(result.uri).to_table(kind=kind).to_pylist()}


def known_rows(state_uri: str) -> list[tuple[Any, ...]]:
    """What the newest part knows, but when it was seen."""
    part = max(list_parts(state_uri, Storage.local()))
    rows = Corpus.open(part.uri).to_table().to_pylist()
    return sorted(tuple(str(value) for name, value in row.items() if name != "checked_at") for row in rows)


def test_a_second_crawl_of_an_unchanged_site_asks_once_for_each_page_and_gets_almost_nothing(
    library: Library, runs: Runs
) -> None:
    for path in PLAIN:
        del library.site.answers[path]
    first = runs.crawl("first")
    sent, asked = library.sent, len(library.site.served)

    second = runs.crawl("second")
    third = runs.crawl("third")

    assert first.rows_out == len(PAGES - {*PLAIN})
    for again in (second, third):
        assert (again.rows_in, again.rows_out, again.unchanged) == (first.rows_in, 0, first.rows_out)
        assert again.metrics["bytes"] < 0.05 * first.metrics["bytes"]
        assert again.metrics["unlinked"] == 0
    assert library.sent == sent, "a page was sent again"
    assert library.paths(since=asked) == Counter(dict.fromkeys(PAGES, 2))


def test_changed_pages_and_what_they_link_to_are_documents_again(library: Library, runs: Runs) -> None:
    runs.crawl("first")
    library.versions.update(["/etag1", "/date2", "/plain1"])
    library.shelve("/etag1", "/new")
    library.shelve("/new")

    second = runs.crawl("second")

    assert paths_of(second) == {"/etag1", "/date2", "/plain1", "/new"}
    assert second.unchanged == len(PAGES) - 3
    assert second.rows_in == len(PAGES) + 1
    assert runs.crawl("third").unchanged == second.rows_in, "what the second crawl saw is not known"


def test_pages_that_are_gone_are_reported_and_unlinked_ones_are_counted(library: Library, runs: Runs) -> None:
    runs.crawl("first")
    del library.site.answers["/etag0"]
    library.site.pages["/date0"] = Reply(status=410)
    del library.site.answers["/date0"]
    library.versions.update(["/"])
    library.shelve("/", "/etag0", "/date0", "/etag1", "/missing")

    second = runs.crawl("second")

    rejected = Corpus.open(second.uri).to_table(kind="rejected").to_pylist()
    assert {(row["url"].removeprefix(library.site.url), row["reason"]) for row in rejected} == {
        ("/etag0", "gone"),
        ("/date0", "gone"),
        ("/missing", "http_404"),
    }
    assert second.metrics["unlinked"] == len(PAGES - {"/", "/etag0", "/date0", "/etag1"})
    assert runs.crawl("third").metrics["rejected/http_404"] == 2, "what is gone is not known any more"


def test_a_sitemap_spares_the_requests_for_pages_that_did_not_change(library: Library, runs: Runs) -> None:
    def say(path: str, changed_at: datetime) -> str:
        return f"<url><loc>{library.site.url}{path}</loc><lastmod>{changed_at.isoformat()}</lastmod></url>"

    long_ago, later = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
    sitemap = [say(path, long_ago) for path in ETAGS] + [say(path, later) for path in DATES]
    library.site.pages["/robots.txt"] = Reply(f"Sitemap: {library.site.url}/map.xml".encode())
    library.site.pages["/map.xml"] = Reply(f"<urlset>{''.join(sitemap)}</urlset>".encode(), content_type="text/xml")
    library.shelve("/", *PLAIN)
    library.shelve("/etag0", "/below")
    library.shelve("/below")
    runs.crawl("first")
    asked = len(library.site.served)

    second = runs.crawl("second")

    assert library.paths(since=asked) == Counter({"/", "/map.xml", "/below", *DATES, *PLAIN})
    assert (second.rows_out, second.unchanged) == (0, len(PAGES) + 1)
    assert second.metrics["unlinked"] == 0


def test_what_makes_a_crawl_whole(library: Library, runs: Runs) -> None:
    runs.crawl("first", day=0)
    wholes: dict[str, dict[str, Any]] = {
        "unchanged pages too": {"emit_unchanged": True},
        "not incremental": {"incremental": False},
        "forced": {"force": True},
        "read in another way": {"extractor": "trafilatura"},
        "of the same day": {"day": 0},
    }
    for name, whole in wholes.items():
        asked = len(library.answered)

        result = runs.crawl(name, is_published=False, **{"day": 1, **whole})

        assert (paths_of(result), result.unchanged) == (PAGES, 0), name
        assert {status for _, status in library.answered[asked:]} == {200}, name


def test_other_sources_are_crawled_whole(library: Library, runs: Runs, new_site: Callable[[], Site]) -> None:
    other = new_site()
    other.add("/")
    runs.crawl("first")

    second = runs.crawl("second", sources=[library.site.url, other.url])

    assert (second.rows_out, second.unchanged) == (len(PAGES) + 1, 0)


def test_what_is_not_published_does_not_count_and_what_is_published_later_does(library: Library, runs: Runs) -> None:
    first = runs.crawl("first", is_published=False)
    second = runs.crawl("second", is_published=False)
    accept(runs.state_uri, first.uri, Storage.local())
    accept(runs.state_uri, first.uri, Storage.local())
    accept(runs.state_uri, str(runs.folder / "never written"), Storage.local())
    third = runs.crawl("third", is_published=False)

    assert second.rows_out == len(PAGES)
    assert (third.rows_out, third.unchanged) == (0, len(PAGES))


def test_a_crawl_of_the_past_knows_nothing_of_later_ones(library: Library, runs: Runs) -> None:
    runs.crawl("day 1", day=1)
    library.versions.update(["/etag1"])
    runs.crawl("day 3", day=3)

    day_2, day_0 = runs.crawl("day 2", day=2), runs.crawl("day 0", day=0)

    assert paths_of(day_2) == {"/etag1"}
    assert day_2.unchanged == len(PAGES) - 1
    assert paths_of(day_0) == PAGES


def test_a_time_without_zone_is_refused(runs: Runs) -> None:
    with pytest.raises(SettingsError, match="time zone"):
        crawl(
            [runs.url],
            str(runs.folder / "out"),
            CrawlSettings(**FAST),
            state_uri=runs.state_uri,
            as_of=datetime(2026, 5, 1),
        )


@dataclass(frozen=True)
class StorageWithoutManifest(Storage):
    """Refuses the manifest of one corpus."""

    refused: str = ""

    def create(self, uri: str, data: bytes) -> None:
        if uri.startswith(f"{self.refused}/_manifest"):
            raise StorageError("write", uri, "as told")
        super().create(uri, data)


def test_a_crawl_that_is_done_again_leaves_one_part(library: Library, runs: Runs) -> None:
    refusing = StorageWithoutManifest(LocalFileSystem(), "file:///", refused=f"file://{runs.folder}/out")
    with pytest.raises(StorageError, match="as told"):
        runs.crawl("out", storage=refusing)
    left = list(list_parts(runs.state_uri, Storage.local()))
    asked = len(library.answered)

    again = runs.crawl("out")

    assert len(library.answered) == asked, "pages were visited again"
    assert again.rows_out == len(PAGES)
    assert list(list_parts(runs.state_uri, Storage.local())) == left
    assert runs.crawl("out").reused
    assert runs.crawl("next").unchanged == len(PAGES)


def test_the_parts_of_a_mapped_crawl_count_once_their_join_is_published(
    library: Library, runs: Runs, new_site: Callable[[], Site]
) -> None:
    other = Library(new_site())
    other.shelve("/", "/etag1")
    other.shelve("/etag1")
    urls = [library.site.url, other.site.url]

    def crawl_mapped(name: str) -> list[StageResult]:
        parts = [
            runs.crawl(f"{name}/part={number:03d}", sources=[url], day=int(name), is_published=False)
            for number, url in enumerate(urls)
        ]
        joined = join_corpora([part.uri for part in parts], str(runs.folder / name), stage="crawl")
        accept(runs.state_uri, joined.uri, Storage.local())
        return parts

    first, second = crawl_mapped("1"), crawl_mapped("2")

    assert [part.rows_out for part in first] == [len(PAGES), 2]
    assert [(part.rows_out, part.unchanged) for part in second] == [(0, len(PAGES)), (0, 2)]


def test_an_incremental_crawl_that_is_killed_comes_to_what_an_undisturbed_one_finds(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    undisturbed, killed = Runs(tmp_path / "undisturbed", library.site.url), Runs(tmp_path / "killed", library.site.url)
    for runs in (undisturbed, killed):
        runs.crawl("first")
    library.versions.update(["/etag1", "/date2", "/plain1"])
    del library.site.answers["/etag0"]
    expected = undisturbed.crawl("second")
    kills = 0

    for shards in count(2, 2):
        storage = Storage(DyingFileSystem(shards=shards), "file:///")
        try:
            result = killed.crawl("second", storage=storage, pages_per_shard=2)
            break
        except CrawlProcessError:
            kills += 1

    assert kills >= 2
    assert paths_of(result) == paths_of(expected) == {"/etag1", "/date2", "/plain1"}
    assert paths_of(result, "rejected") == {"/etag0"}
    assert (result.rows_in, result.unchanged) == (expected.rows_in, expected.unchanged) == (len(PAGES), len(PAGES) - 4)
    assert known_rows(killed.state_uri) == known_rows(undisturbed.state_uri)


def test_what_is_known_of_a_page_is_found_by_its_address(library: Library, runs: Runs) -> None:
    runs.crawl("first")
    (part,) = list_parts(runs.state_uri, Storage.local())

    pages = KnownPages([Corpus.open(part.uri)])

    assert len(pages) == len(PAGES)
    assert set(pages.urls()) == {library.site.url + path for path in PAGES}
    start, dated = pages.get(f"{library.site.url}/"), pages.get(f"{library.site.url}/date1")
    assert start is not None
    assert dated is not None
    assert start.conditions() == {"If-None-Match": '"0"'}
    assert dated.conditions() == {"If-Modified-Since": "Fri, 01 May 2026 10:00:00 GMT"}
    assert {link.removeprefix(library.site.url) for link in start.links} == PAGES - {"/"}
    assert dated.links == ()
    assert pages.get(f"{library.site.url}/unknown") is None


def test_a_page_that_only_canonical_addresses_lead_to_is_found_again(site: Site, runs: Runs) -> None:
    site.add("/", "/copy")
    site.add("/original")
    copy = b'<html><head><link rel="canonical" href="/original"></head><body><main><p>%s</p></main></body></html>'
    site.pages["/copy"] = Reply(copy % b"This page says what another one says, at an address of its own.")

    first = runs.crawl("first")
    second = runs.crawl("second")

    assert paths_of(first) == {"/", "/original"}
    assert paths_of(first, "removed") == {"/copy"}
    assert (second.unchanged, second.rows_out) == (3, 0)
    assert second.metrics["unlinked"] == 0


def test_what_a_failed_crawl_saw_is_not_known_when_the_crawl_is_done_anew(site: Site, runs: Runs) -> None:
    paths = ("/a", "/b", "/c", "/d")
    site.add("/", *paths)
    for path in paths:
        site.pages[path] = Reply(b"busy", 500)
    site.add("/a")
    with pytest.raises(TooManyRejectedError):
        runs.crawl("first", max_rejected_fraction=0.5)
    for path in paths:
        site.add(path)
    site.pages["/a"] = Reply(b"busy", 500)
    assert paths_of(runs.crawl("first", max_rejected_fraction=0.5)) == {"/", "/b", "/c", "/d"}
    site.add("/a")

    assert paths_of(runs.crawl("second")) == {"/a"}
