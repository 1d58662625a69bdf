from __future__ import annotations

import gzip
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.result import Progress, StageResult
from airflow_provider_autoglm.corpus.schema import CRAWL_SCHEMA, document_id
from airflow_provider_autoglm.corpus.store import Corpus, Kind
from airflow_provider_autoglm.exceptions import (
    DamagedSourceError,
    MissingColumnsError,
    NothingCrawledError,
    SettingsError,
    SourceNotFoundError,
    StorageError,
    TooManyRejectedError,
)
from airflow_provider_autoglm.settings import CrawlSettings, Source
from tests.corpus.crawl.conftest import FAST, Reply, Site


def rows(result: StageResult, kind: Kind = "shards") -> dict[str, dict[str, Any]]:
    """Rows by path and query."""
    found = Corpus.open(result.uri).to_table(kind=kind).to_pylist()
    by_path = {row["url"].split("/", 3)[-1]: row for row in found}
    assert len(by_path) == len(found), "an address is two rows"
    return by_path


def reasons(result: StageResult) -> dict[str, str]:
    return {path: row["reason"] for path, row in rows(result, "rejected").items()}


def assert_nothing_lost(result: StageResult) -> None:
    assert result.rows_in == result.rows_out + result.rejected + result.removed
    assert len(rows(result)) == result.rows_out
    assert len(rows(result, "rejected")) == result.rejected
    assert len(rows(result, "removed")) == result.removed


def test_a_small_site_is_crawled_with_all_columns(site: Site, tmp_path: Path, fast: CrawlSettings) -> None:
    site.add("/", "/a", "b?x=1#part", "/a#top", "mailto:someone@example.org", "http://elsewhere.invalid/")
    site.add("/a", "/c", text="Grüße aus Köln: this page has a text of its own.", title="The  a page")
    site.pages["/a"].headers |= {"ETag": '"v1"', "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
    site.add("/b?x=1")
    site.add("/c", "/")
    reported: list[Progress] = []

    result = crawl([site.url], str(tmp_path / "out"), fast, progress=reported.append)

    assert (result.rows_in, result.rows_out, result.rejected, result.removed) == (4, 4, 0, 0)
    table = Corpus.open(result.uri).to_table()
    assert table.schema.equals(CRAWL_SCHEMA)
    found = rows(result)
    assert {path: row["depth"] for path, row in found.items()} == {"": 0, "a": 1, "b?x=1": 1, "c": 2}
    page = found["a"]
    assert page["text"] == "Grüße aus Köln: this page has a text of its own."
    assert page["doc_id"] == document_id(f"{site.url}/a", page["text"])
    assert (page["title"], page["charset"], page["status"], page["truncated"]) == ("The a page", "utf-8", 200, False)
    assert (page["etag"], page["last_modified"]) == ('"v1"', "Sat, 21 Nov 2026 10:00:00 GMT")
    assert page["source"] == page["host"] == urlsplit(site.url).netloc
    assert page["url"] == page["final_url"] == f"{site.url}/a"
    assert page["lang"] is None
    assert reported[-1].rows_done == 4
    assert site.served.count("/a") == 1


def test_robots_txt_is_obeyed_also_when_it_is_served_as_a_download(
    site: Site, tmp_path: Path, fast: CrawlSettings
) -> None:
    site.pages["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /private\n", content_type="application/octet-stream")
    site.add("/", "/open", "/private/a")
    site.add("/open")
    site.add("/private/a")

    result = crawl([site.url], str(tmp_path / "out"), fast)

    assert reasons(result) == {"private/a": "robots"}
    assert "/private/a" not in site.served
    assert_nothing_lost(result)


def test_a_site_whose_robots_txt_fails_is_not_visited(site: Site, tmp_path: Path, fast: CrawlSettings) -> None:
    site.pages["/robots.txt"] = Reply(status=503)
    site.add("/")

    with pytest.raises(NothingCrawledError, match="robots_unavailable 1"):
        crawl([site.url], str(tmp_path / "out"), fast)
    assert "/" not in site.served


def test_pages_only_a_sitemap_knows_are_visited(site: Site, tmp_path: Path, fast: CrawlSettings) -> None:
    def urlset(*paths: str) -> bytes:
        locations = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in paths)
        return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</urlset>'.encode()

    index = "".join(f"<sitemap><loc>{site.url}{p}</loc></sitemap>" for p in ("/1.xml", "/2.xml.gz", "/broken.xml"))
    site.pages["/robots.txt"] = Reply(f"User-agent: *\nDisallow:\nSitemap: {site.url}/index.xml\n".encode())
    site.pages["/index.xml"] = Reply(f"<sitemapindex>{index}</sitemapindex>".encode(), content_type="text/xml")
    site.pages["/1.xml"] = Reply(urlset("/one", "/missing"), content_type="text/xml")
    site.pages["/2.xml.gz"] = Reply(gzip.compress(urlset("/two")), content_type="application/gzip")
    site.pages["/broken.xml"] = Reply(b"\x00 not xml", content_type="text/xml")
    for path in ("/", "/one", "/two"):
        site.add(path)

    with_sitemap = crawl([site.url], str(tmp_path / "with"), fast)
    without = crawl([site.url], str(tmp_path / "without"), CrawlSettings(**FAST, use_sitemap=False))

    assert set(rows(with_sitemap)) == {"", "one", "two"}
    assert reasons(with_sitemap) == {"missing": "http_404"}
    assert set(rows(without)) == {""}


def test_every_kind_of_bad_page_is_a_rejected_row_with_its_reason(
    site: Site, new_site: Callable[[], Site], tmp_path: Path
) -> None:
    other = new_site()
    other.add("/")
    expected = {
        "missing": "http_404",
        "error": "http_500",
        "slow": "timeout",
        "image": "not_text",
        "disguised": "not_text",
        "empty": "empty_text",
        "blank": "empty_text",
        "surrogate": "invalid_text",
        "bomb": "too_large",
        "deep": "too_deep",
        "offsite": "offsite_redirect",
        "mailto": "offsite_redirect",
        "loop": "redirect_loop",
    }
    site.add("/", "/good", *(f"/{path}" for path in expected))
    site.add("/good")
    site.add("/slow")
    site.held.add("/slow")
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    site.pages |= {
        "/error": Reply(b"oops", 500),
        "/image": Reply(png, content_type="image/png"),
        "/disguised": Reply(png),
        "/empty": Reply(b""),
        "/blank": Reply(b"<html><body><main> <p> </p></main></body></html>"),
        "/surrogate": Reply(b"<main><p>Half a pair &#xD800; stands in the middle of this text.</p></main>"),
        "/bomb": Reply(gzip.compress(b"<main><p>" + b"word " * 600_000), headers={"Content-Encoding": "gzip"}),
        "/deep": Reply(b"<div>" * 20_000 + b"some text" + b"</div>" * 20_000),
        "/offsite": Reply(b"", 302, headers={"Location": f"{other.url}/"}),
        "/mailto": Reply(b"", 302, headers={"Location": "mailto:someone@example.org"}),
        "/loop": Reply(b"", 302, headers={"Location": "/loop"}),
    }

    result = crawl([site.url], str(tmp_path / "out"), CrawlSettings(**FAST, max_page_bytes=250_000))

    assert reasons(result) == expected
    assert set(rows(result)) == {"", "good"}
    assert_nothing_lost(result)
    rejected = rows(result, "rejected")
    assert rejected["surrogate"]["text"] == "Half a pair \ufffd stands in the middle of this text."
    assert rejected["error"]["status"] == 500
    assert {row["stage"] for row in rejected.values()} == {"crawl"}
    assert other.served == []
    assert result.metrics["rejected/too_large"] == 1


def test_a_redirect_inside_the_site_gives_one_row_for_the_page_it_leads_to(
    site: Site, tmp_path: Path, fast: CrawlSettings
) -> None:
    site.add("/", "/old", "/older", "/ring-a")
    site.pages["/old"] = Reply(status=301, headers={"Location": "/new"})
    site.pages["/older"] = Reply(status=301, headers={"Location": "/old"})
    site.pages["/ring-a"] = Reply(status=301, headers={"Location": "/ring-b"})
    site.pages["/ring-b"] = Reply(status=301, headers={"Location": "/ring-a"})
    site.add("/new")

    result = crawl([site.url], str(tmp_path / "out"), fast)

    assert set(rows(result)) == {"", "new"}
    removed = rows(result, "removed")
    assert {path: row["final_url"].removeprefix(site.url) for path, row in removed.items()} == {
        "old": "/new",
        "older": "/old",
        "ring-a": "/ring-b",
    }
    assert reasons(result) == {"ring-b": "redirect_loop"}
    assert_nothing_lost(result)
    assert site.served.count("/new") == 1


def test_a_page_that_lies_about_its_charset_is_read_right(site: Site, tmp_path: Path, fast: CrawlSettings) -> None:
    text = "Größe, Übergänge und schöne Straßen: ein Satz mit Umlauten für die Erkennung."
    html = f"<main><p>{text}</p></main>"
    site.add("/", "/says-utf8", "/says-latin1", "/meta", "/one-bad-byte", "/chinese")
    site.pages |= {
        "/says-utf8": Reply(html.encode("cp1252"), content_type="text/html; charset=utf-8"),
        "/says-latin1": Reply(html.encode(), content_type="text/html; charset=iso-8859-1"),
        "/meta": Reply(b'<meta charset="iso-8859-15">' + html.encode("iso-8859-15"), content_type="text/html"),
        "/one-bad-byte": Reply(html.replace("ein", "\u00e9in").encode().replace(b"Satz", b"S\xfftz") * 3),
        "/chinese": Reply(
            "<main><p>你好,世界。这是一个中文页面。</p></main>".encode("gb18030"),
            content_type="text/html; charset=gb2312",
        ),
    }

    result = crawl([site.url], str(tmp_path / "out"), fast)

    found = rows(result)
    assert found["says-utf8"]["text"] == found["says-latin1"]["text"] == found["meta"]["text"] == text
    assert found["says-latin1"]["charset"] == "utf-8"
    assert found["chinese"]["text"] == "你好,世界。这是一个中文页面。"
    assert "S\ufffdtz" in found["one-bad-byte"]["text"]
    assert "Größe" in found["one-bad-byte"]["text"]


def test_plain_text_is_a_document_and_nofollow_links_are_not_followed(
    site: Site, tmp_path: Path, fast: CrawlSettings
) -> None:
    site.pages["/"] = Reply(
        b'<head><base href="/sub/"></head><main><p>A page of some length with links.</p>'
        b'<a href="notes.txt">n</a><a rel="noopener nofollow" href="/hidden">h</a></main>'
    )
    site.pages["/sub/notes.txt"] = Reply(b"Notes without markup.", content_type="text/plain")
    site.add("/hidden")

    result = crawl([site.url], str(tmp_path / "out"), fast)

    assert rows(result)["sub/notes.txt"]["text"] == "Notes without markup."
    assert "/hidden" not in site.served


@pytest.mark.parametrize(("max_depth", "expected"), [(0, {""}), (2, {"", "1", "2"})])
def test_links_are_followed_to_the_depth_that_is_set(
    site: Site, tmp_path: Path, max_depth: int, expected: set[str]
) -> None:
    site.add("/", "/1")
    for depth in range(1, 5):
        site.add(f"/{depth}", f"/{depth + 1}")

    result = crawl([site.url], str(tmp_path / "out"), CrawlSettings(**FAST, max_depth=max_depth))

    assert set(rows(result)) == expected


def test_no_more_than_max_pages_are_attempted_over_all_sources(new_site: Callable[[], Site], tmp_path: Path) -> None:
    first, second = new_site(), new_site()
    for site in (first, second):
        site.add("/", *(f"/{number}" for number in range(20)))
        for number in range(0, 20, 2):
            site.add(f"/{number}")

    result = crawl([first.url, second.url], str(tmp_path / "out"), CrawlSettings(**FAST, max_pages=11))

    attempts = [path for path in first.served + second.served if path != "/robots.txt"]
    assert result.rows_in == result.rows_out + result.rejected == len(attempts) == 11
    sources = {row["source"] for row in Corpus.open(result.uri).to_table().to_pylist()}
    assert sources == {urlsplit(first.url).netloc, urlsplit(second.url).netloc}


def test_a_failing_page_is_tried_again_as_often_as_set(site: Site, tmp_path: Path) -> None:
    site.add("/", "/flaky")
    site.pages["/flaky"] = Reply(status=503)

    result = crawl([site.url], str(tmp_path / "out"), CrawlSettings(**FAST | {"retries": 2}))

    assert reasons(result) == {"flaky": "http_503"}
    assert site.served.count("/flaky") == 3


def test_a_page_that_is_too_long_is_cut_off_and_says_so(site: Site, tmp_path: Path) -> None:
    site.add("/", "/long")
    site.pages["/long"] = Reply(b"<main><p>" + b"word " * 60_000)

    result = crawl([site.url], str(tmp_path / "out"), CrawlSettings(**FAST, max_page_bytes=100_000))

    page = rows(result)["long"]
    assert page["truncated"] is True
    assert page["text"].count("word") == pytest.approx(20_000, abs=10)
    assert rows(result)[""]["truncated"] is False


def test_shards_end_at_the_number_of_pages_set(site: Site, tmp_path: Path) -> None:
    site.add("/", *(f"/{number}" for number in range(9)))
    for number in range(9):
        site.add(f"/{number}")
    reported: list[int] = []

    result = crawl(
        [site.url],
        str(tmp_path / "out"),
        CrawlSettings(**FAST, pages_per_shard=4),
        progress=lambda progress: reported.append(progress.rows_done),
    )

    assert [stored.shard.rows for stored in Corpus.open(result.uri).shards] == [4, 4, 2]
    assert reported == [4, 8, 10, 10]


def test_a_crawl_that_failed_asks_again_when_it_is_retried(site: Site, tmp_path: Path, fast: CrawlSettings) -> None:
    site.add("/", *(f"/{number}" for number in range(6)))
    for number in range(6):
        site.pages[f"/{number}"] = Reply(b"busy", 500)
    strict = fast.model_copy(update={"max_rejected_fraction": 0.5})
    with pytest.raises(TooManyRejectedError):
        crawl([site.url], str(tmp_path / "out"), strict)
    for number in range(6):
        site.add(f"/{number}")

    assert crawl([site.url], str(tmp_path / "out"), strict).rows_out == 7

    pages = dict(site.pages)
    site.pages.clear()
    site.held.update({"/robots.txt", "/"})
    with pytest.raises(NothingCrawledError):
        crawl([site.url], str(tmp_path / "other"), fast)
    site.held.clear()
    site.release.set()
    site.pages.update(pages)
    assert crawl([site.url], str(tmp_path / "other"), fast).rows_out == 7


def test_a_site_that_is_down_is_a_named_error(tmp_path: Path, fast: CrawlSettings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"

        with pytest.raises(NothingCrawledError, match=r"connection_failed 1") as raised:
            crawl([url], str(tmp_path / "out"), fast)

    assert raised.value.sources == [url]
    assert not (tmp_path / "out" / "_manifest.json").exists()


def test_a_host_without_an_address_is_named_as_such(tmp_path: Path, fast: CrawlSettings) -> None:
    with pytest.raises(NothingCrawledError, match=r"\bdns 1"):
        crawl(["http://no-such-host.invalid/"], str(tmp_path / "out"), fast)


def test_too_many_rejected_pages_fail_the_stage_with_their_reasons(site: Site, tmp_path: Path) -> None:
    site.add("/", "/a", "/b")

    with pytest.raises(TooManyRejectedError, match="http_404 2"):
        crawl([site.url], str(tmp_path / "out"), CrawlSettings(**FAST | {"max_rejected_fraction": 0.5}))


def test_a_second_crawl_is_reused_without_one_request(site: Site, tmp_path: Path, fast: CrawlSettings) -> None:
    site.add("/")
    first = crawl([site.url], str(tmp_path / "out"), fast)
    asked = len(site.served)

    again = crawl([Source(url=site.url)], str(tmp_path / "out"), fast.model_dump())

    assert again.reused
    assert again.digest == first.digest
    assert len(site.served) == asked


def test_an_unwritable_destination_is_a_storage_error(site: Site, tmp_path: Path, fast: CrawlSettings) -> None:
    site.add("/")
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(StorageError, match="file/out"):
        crawl([site.url], str(tmp_path / "file" / "out"), fast)


def test_credentials_in_an_address_are_refused_and_not_shown(tmp_path: Path, fast: CrawlSettings) -> None:
    with pytest.raises(SettingsError, match=r"sources\.0.*credentials") as raised:
        crawl(["https://user:geheim@example.org/"], str(tmp_path / "out"), fast)

    assert "geheim" not in str(raised.value)


def test_no_sources_at_all_are_refused(tmp_path: Path, fast: CrawlSettings) -> None:
    with pytest.raises(SettingsError, match="sources"):
        crawl([], str(tmp_path / "out"), fast)


def test_web_and_parquet_sources_become_one_corpus(site: Site, tmp_path: Path, fast: CrawlSettings) -> None:
    site.add("/")
    folder = tmp_path / "files"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["second file"], "stars": [5]}), folder / "b.parquet")
    pq.write_table(pa.table({"text": ["first file", "", None]}), folder / "a.parquet")
    (folder / "notes.txt").write_text("not a source")

    result = crawl([site.url, {"files": str(folder), "name": "reviews"}], str(tmp_path / "out"), fast)

    found = Corpus.open(result.uri).to_table().to_pylist()
    assert [(row["source"], row["text"]) for row in found[1:]] == [
        ("reviews", "first file"),
        ("reviews", "second file"),
    ]
    assert found[2]["stars"] == 5
    assert (result.rows_in, result.rows_out, result.rejected) == (5, 3, 2)
    assert result.metrics["rejected/missing_text"] == result.metrics["rejected/empty_text"] == 1
    assert len(Corpus.open(result.uri).manifest.inputs) == 2


def test_a_changed_parquet_file_is_read_again(tmp_path: Path, fast: CrawlSettings) -> None:
    file = tmp_path / "docs.parquet"
    pq.write_table(pa.table({"text": ["one"]}), file)
    crawl([str(file)], str(tmp_path / "out"), fast)
    assert crawl([str(file)], str(tmp_path / "out"), fast).reused

    pq.write_table(pa.table({"text": ["one", "two"]}), file)

    changed = crawl([str(file)], str(tmp_path / "out"), fast)
    assert (changed.reused, changed.rows_out) == (False, 2)


def test_invalid_utf8_in_a_parquet_file_is_quarantined(tmp_path: Path, fast: CrawlSettings) -> None:
    broken = pa.array([b"fine", b"broken \xed\xa0\x80 text"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "docs.parquet")

    result = crawl([str(tmp_path / "docs.parquet")], str(tmp_path / "out"), fast)

    assert result.metrics["rejected/invalid_utf8"] == 1
    assert result.rows_out == 1


def test_a_parquet_file_without_text_names_the_column(tmp_path: Path, fast: CrawlSettings) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "docs.parquet")

    with pytest.raises(MissingColumnsError, match=r"missing columns text; found body.*docs\.parquet"):
        crawl([str(tmp_path / "docs.parquet")], str(tmp_path / "out"), fast)


@pytest.mark.parametrize("name", ["missing.parquet", "empty-folder"])
def test_a_parquet_source_that_is_not_there_is_a_named_error(tmp_path: Path, name: str, fast: CrawlSettings) -> None:
    (tmp_path / "empty-folder").mkdir()

    with pytest.raises(SourceNotFoundError, match=name):
        crawl([str(tmp_path / name)], str(tmp_path / "out"), fast)


def test_a_file_that_is_no_parquet_is_a_named_error(tmp_path: Path, fast: CrawlSettings) -> None:
    (tmp_path / "docs.parquet").write_bytes(b"PAR1 no PAR1")

    with pytest.raises(DamagedSourceError, match=r"docs\.parquet"):
        crawl([str(tmp_path / "docs.parquet")], str(tmp_path / "out"), fast)
