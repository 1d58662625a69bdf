"""Pages that are made by JavaScript, drawn by a real browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.job import OwnSpider
from airflow_provider_autoglm.corpus.crawl.known import accept
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import BrowserUnavailableError, MissingExtraError
from airflow_provider_autoglm.settings import CrawlSettings
from tests.corpus.crawl.browsers import DRAWN, browser_is_installed, draw, texts  # noqa: F401
from tests.corpus.crawl.conftest import FAST, Reply, Site, outcomes, serve

LINKS = [
    *("/quiet", "/polling", "/gbk", "/cookies/a", "/cookies/b", "/parts", "/forbidden", "/hosts", "/large", "/long"),
    *("/away", "/refresh", "/offsite", "/reload", "/busy", "/alert", "/plain.txt", "/missing"),
]
MAX_PAGE_BYTES = 200_000
USER_AGENT = CrawlSettings(**FAST).full_user_agent
CHINESE = "中文网页没有声明字符编码"


def page(script: str, body: str = "", head: str = "") -> Reply:
    """A page that says nothing but what ``script`` writes by ``say``."""
    say = "const main = document.querySelector('main'), say = text => { main.innerHTML += `<p>${text}</p>` };"
    html = f"<html><head>{head}</head><body><main></main>{body}<script>{say}{script}</script></body></html>"
    return Reply(html.encode())


def build(site: Site) -> None:
    links = "".join(f"<a href={link}>to {link}</a> " for link in LINKS)
    site.pages |= {
        "/robots.txt": Reply(b"User-agent: *\nDisallow: /private\n"),
        "/": page(
            f"fetch('/data.json').then(answer => answer.json()).then(data => say(data.text + '{links}'))",
            "<noscript>Switch JavaScript on to read this.</noscript>",
        ),
        "/data.json": Reply(b'{"text": "What the script has loaded."}', content_type="application/json"),
        "/quiet": page("setTimeout(() => fetch('/data.json').then(() => say('Said a little later.')), 200)"),
        "/polling": page("say('Said at once.'); setInterval(() => fetch('/data.json?' + Math.random()), 50)"),
        "/gbk": Reply(
            f"<main></main><script>document.querySelector('main').textContent = '{CHINESE}'</script>".encode("gbk"),
            content_type="text/html",
        ),
        "/cookies/a": page("say('Cookies: [' + document.cookie + ']'); document.cookie = 'mine=1; path=/'"),
        "/cookies/b": page("say('Cookies: [' + document.cookie + ']'); document.cookie = 'mine=1; path=/'"),
        "/parts": page(
            "say(navigator.userAgent); navigator.serviceWorker?.register('/service.js'); window.open('/popup')",
            "<img src=/picture.png><video src=/film.mp4></video><iframe src=/frame></iframe>"
            "<object data=/object></object>"
            "<style>@font-face { font-family: x; src: url(/font.woff) } main { font-family: x }</style>",
            "<link rel=stylesheet href=/style.css>",
        ),
        "/forbidden": page(
            "fetch('/private/data.json').then(() => say('Was let in.'), () => say('Was refused by robots.txt.'));"
            "for (const kind of [Worker, self.SharedWorker]) new kind('/worker.js')"
        ),
        "/hosts": page(
            "Promise.allSettled([...Array(40).keys()].map(number => fetch('http://127.0.0.1:' + (20001 + number))))"
            ".then(() => fetch('/data.json?late')).then(() => say('Asked on.'), () => say('Was refused.'))"
        ),
        "/large": page("fetch('/blob').then(answer => answer.text()).then(say, () => say('Cut off.'))"),
        "/worker.js": Reply(b"fetch('/private/of-a-worker')", content_type="text/javascript"),
        "/blob": Reply(b"x" * 3 * MAX_PAGE_BYTES, content_type="text/plain"),
        "/long": page("say('Many words. '.repeat(50_000))"),
        "/away": page("say('Not read.'); location.href = '/landed'"),
        "/refresh": page("say('Not read.')", head="<meta http-equiv=refresh content='0; url=/landed'>"),
        "/landed": page("say('This is where a script has led to.')"),
        "/offsite": page("say('Not read.'); location.replace('https://elsewhere.invalid/')"),
        "/reload": page("say('Read before it is loaded again.'); location.reload()"),
        "/busy": page("for (;;);"),
        "/alert": page("alert('stop'); confirm('and'); prompt('wait'); print(); say('Said after four dialogs.')"),
        "/plain.txt": Reply(b"A text that has no scripts <script>say(1)</script>.", content_type="text/plain"),
    }
    for path in ("/cookies/a", "/cookies/b"):
        site.pages[path].headers["Set-Cookie"] = "of-page=1; Path=/"


@dataclass(frozen=True)
class Crawled:
    """A crawl of a site with pages of every kind; ``rows`` are the documents by path."""

    site: Site
    result: StageResult
    rows: dict[str, dict[str, Any]]

    @property
    def outcomes(self) -> dict[str, str]:
        return {url.removeprefix(self.site.url): outcome for url, outcome in outcomes(self.result.uri).items()}


@pytest.fixture(scope="module")
def crawled(browser_is_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawled]:  # noqa: F811
    site = Site()
    server = serve(site)
    build(site)
    result = draw(
        site.url,
        tmp_path_factory.mktemp("drawn") / "out",
        max_page_bytes=MAX_PAGE_BYTES,
    )
    rows = {"/" + row["url"].split("/", 3)[-1]: row for row in Corpus.open(result.uri).to_table().to_pylist()}
    yield Crawled(site, result, rows)
    server.shutdown()
    server.server_close()


def text(crawled: Crawled, path: str) -> str:
    found: str = crawled.rows[path]["text"]
    return found


def test_a_page_says_what_its_script_has_loaded_and_its_links_are_followed(crawled: Crawled) -> None:
    assert text(crawled, "/").startswith("What the script has loaded.")
    assert "Switch JavaScript on" not in text(crawled, "/")
    assert set(crawled.rows) | set(crawled.outcomes) >= set(LINKS)
    assert crawled.rows["/"]["charset"] == "utf-8"
    assert crawled.rows["/"]["status"] == 200


def test_every_address_is_asked_for_once_and_one_row(crawled: Crawled) -> None:
    result = crawled.result
    assert result.rows_in == len(LINKS) + 2 == result.rows_out + result.rejected + result.removed
    for path in ("/", "/landed", *LINKS):
        assert crawled.site.served.count(path) == 1, path


def test_a_page_is_read_when_its_network_is_quiet_or_its_time_is_over(crawled: Crawled) -> None:
    assert text(crawled, "/quiet") == "Said a little later."
    assert text(crawled, "/polling") == "Said at once."


def test_a_page_without_a_charset_is_read_right(crawled: Crawled) -> None:
    assert text(crawled, "/gbk") == CHINESE


def test_pages_share_no_cookies_and_have_their_own(crawled: Crawled) -> None:
    assert text(crawled, "/cookies/a") == text(crawled, "/cookies/b") == "Cookies: [of-page=1]"


def test_what_is_no_text_is_not_loaded(crawled: Crawled) -> None:
    assert text(crawled, "/parts") == USER_AGENT
    not_loaded = {
        "/picture.png",
        "/film.mp4",
        "/frame",
        "/object",
        "/font.woff",
        "/service.js",
        "/popup",
        "/favicon.ico",
    }
    assert not_loaded.isdisjoint(crawled.site.served)
    assert "/style.css" in crawled.site.served


def test_scripts_ask_for_nothing_that_robots_txt_forbids(crawled: Crawled) -> None:
    assert text(crawled, "/forbidden") == "Was refused by robots.txt."
    assert crawled.site.served.count("/worker.js") == 1
    assert not [path for path in crawled.site.served if path.startswith("/private")]


def test_a_page_that_asks_host_after_host_is_stopped(crawled: Crawled) -> None:
    assert text(crawled, "/hosts") == "Was refused."
    assert "/data.json?late" not in crawled.site.served


def test_a_page_that_loads_or_says_too_much_is_cut_and_says_so(crawled: Crawled) -> None:
    assert text(crawled, "/large") == "Cut off."
    assert text(crawled, "/long").startswith("Many words.")
    assert len(text(crawled, "/long")) < MAX_PAGE_BYTES
    truncated = {path for path, row in crawled.rows.items() if row["truncated"]}
    assert truncated == {"/large", "/long"}
    assert crawled.result.metrics["bytes"] < 10 * MAX_PAGE_BYTES


def test_where_a_script_leads_is_a_redirect(crawled: Crawled) -> None:
    assert text(crawled, "/landed") == "This is where a script has led to."
    assert crawled.outcomes["/away"] == crawled.outcomes["/refresh"] == "redirected"
    assert crawled.outcomes["/offsite"] == "offsite_redirect"
    assert text(crawled, "/reload") == "Read before it is loaded again."


def test_a_page_that_never_ends_is_rejected_and_one_that_asks_the_user_is_not(crawled: Crawled) -> None:
    assert crawled.outcomes["/busy"] == "timeout"
    assert text(crawled, "/alert") == "Said after four dialogs."


def test_what_is_no_page_of_html_is_not_drawn(crawled: Crawled) -> None:
    assert crawled.outcomes["/missing"] == "http_404"
    assert text(crawled, "/plain.txt").startswith("A text that has no scripts")


def test_pages_are_compared_by_what_their_scripts_make_of_them(site: Site, tmp_path: Path) -> None:
    load = "fetch('/news' + location.pathname).then(answer => answer.text()).then(say)"
    for path in ("/", "/same"):
        site.pages[path] = page(load, "<nav><a href=/same>more</a></nav>")
        site.pages[path].headers["ETag"] = '"the page itself never changes"'
    site.pages["/news/same"] = Reply(b"as ever", content_type="text/plain")
    state = f"file://{tmp_path}/state"
    found = []
    for news in (b"the first news", b"other news"):
        site.pages["/news/"] = Reply(news, content_type="text/plain")
        result = crawl([site.url], f"{tmp_path}/{len(found)}", DRAWN, state_uri=state)
        accept(state, result.uri, Storage.local())
        found.append((result.unchanged, texts(result)))

    assert found == [(0, {"/": "the first news", "/same": "as ever"}), (1, {"/": "other news"})]
    assert not [seen for seen in site.seen if seen.headers.get("If-None-Match")]


def test_a_spider_of_the_users_own_says_which_pages_are_drawn(site: Site, tmp_path: Path) -> None:
    site.pages["/drawn"] = site.pages["/plain"] = page("say('written by a script')")
    spider = OwnSpider(path="tests.corpus.crawl.spiders.JavaScriptSpider", arguments={"site": site.url})

    result = crawl([], str(tmp_path / "out"), DRAWN, spider=spider)

    assert {path: text.count("written by a script") for path, text in texts(result).items()} == {
        "/drawn": 1,
        "/plain": 0,
    }


def test_without_a_browser_no_crawl_begins(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("/")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))

    with pytest.raises(BrowserUnavailableError, match=r"none is installed here; run: playwright install"):
        draw(site.url, tmp_path / "out")

    assert site.served == []


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo No usable sandbox! >&2; exit 1", "chromium cannot set up its sandbox here"),
        ("exit 1", "chromium does not start"),
    ],
)
def test_a_browser_that_does_not_start_is_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str
) -> None:
    (tmp_path / "chromium").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))

    with pytest.raises(BrowserUnavailableError, match=problem):
        draw(site.url, tmp_path / "out")


def test_the_extra_is_named_where_it_is_missing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scrapy_playwright", None)  # an import of it fails

    with pytest.raises(MissingExtraError, match=r"airflow-provider-autoglm\[browser\]"):
        draw(site.url, tmp_path / "out")


def test_without_the_setting_scripts_do_nothing(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = page("say('written by a script')", "<p>What stands in the page itself.</p>")

    result = crawl([site.url], str(tmp_path / "out"), FAST)

    assert "written by a script" not in texts(result)["/"]
