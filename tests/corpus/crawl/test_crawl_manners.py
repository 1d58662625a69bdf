"""A crawl asks for what it may ask for, no faster than it may, and says who asks."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.robots import MAX_ROBOTS_BYTES
from airflow_provider_autoglm.corpus.crawl.wire import retry_after_s
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import CrawlSettings, PipelineSettings
from tests.corpus.crawl.conftest import PATIENT, Reply, Site, outcomes, redirect

PRIVATE = b"User-agent: *\nDisallow: /private\n"


def closed(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def long_robots() -> bytes:
    """1 MiB; the rule at the limit, cut off there, would forbid everything."""
    begin = b"User-agent: *\nDisallow: /private\n"
    rule = b"Disallow: /somewhere\n"
    filler = b"#" * (MAX_ROBOTS_BYTES - len(begin) - len("Disallow: /") - 1) + b"\n"
    return (begin + filler + rule + b"Disallow: /page\n").ljust(2 * MAX_ROBOTS_BYTES, b"#")


@pytest.fixture
def site_with(new_site: Callable[[], Site]) -> Callable[[Reply | None], Site]:
    """A site of a start page that links to ``/page`` and ``/private``, with this robots.txt."""

    def start(robots: Reply | None = None) -> Site:
        site = new_site()
        site.add("/", "/page", "/private")
        site.add("/page")
        site.add("/private")
        if robots is not None:
            site.pages["/robots.txt"] = robots
        return site

    return start


def test_robots_txt_holds_however_it_is_served(site_with: Callable[..., Site], tmp_path: Path) -> None:
    obeyed = {
        "as a download": site_with(Reply(PRIVATE, content_type="application/octet-stream")),
        "without a type": site_with(Reply(PRIVATE, content_type=None)),
        "with a byte order mark": site_with(Reply(b"\xef\xbb\xbf" + PRIVATE)),
        "with other line ends": site_with(Reply(PRIVATE.replace(b"\n", b"\r"))),
        "with bytes of no charset": site_with(Reply(b"# \xff\xfe\x81\n" + PRIVATE + b"Disallow: /\xff\xff\n")),
        "gzipped": site_with(Reply(gzip.compress(PRIVATE), headers={"Content-Encoding": "gzip"})),
        "too long": site_with(Reply(long_robots())),
        "for us by name": site_with(
            Reply(b"User-agent: *\nDisallow: /\n\nUser-agent: Airflow-Provider-AutoGLM\nDisallow: /private")
        ),
        "moved five times": site_with(redirect("/1")),
        "moved to another host": site_with(),
    }
    for number in range(1, 5):
        obeyed["moved five times"].pages[f"/{number}"] = redirect(f"/{number + 1}")
    obeyed["moved five times"].pages["/5"] = Reply(PRIVATE)
    obeyed["moved to another host"].pages["/robots.txt"] = redirect(f"{obeyed['as a download'].url}/robots.txt")
    free = {
        "missing": site_with(),
        "forbidden": site_with(Reply(b"no", 403)),
        "empty": site_with(Reply(b"")),
        "a page": site_with(Reply(b"<html><body>Disallow: /<p>Not found</p></body></html>")),
        "moved in a circle": site_with(redirect("/robots.txt")),
        "moved nowhere": site_with(redirect("mailto:robots@example.org")),
    }
    closed_to_us = {
        "http_500": (site_with(Reply(PRIVATE, 500)), "robots_unavailable"),
        "http_503": (site_with(Reply(b"", 503)), "robots_unavailable"),
        "http_429": (site_with(Reply(b"", 429)), "robots_unavailable"),
        "hangs": (site_with(), "timeout"),
        "closes": (site_with(), "connection_failed"),
        "bomb": (
            site_with(Reply(gzip.compress(bytes(2**24)), headers={"Content-Encoding": "gzip"})),
            "robots_unavailable",
        ),
    }
    closed_to_us["hangs"][0].held.add("/robots.txt")
    closed_to_us["closes"][0].answers["/robots.txt"] = closed
    sites = [*obeyed.values(), *free.values(), *(site for site, _ in closed_to_us.values())]

    found = outcomes(crawl([site.url for site in sites], str(tmp_path / "out"), PATIENT | {"timeout_s": 2}).uri)

    for case, site in obeyed.items():
        expected = {"/": "ok", "/page": "ok", "/private": "robots"}
        assert {path: found.pop(site.url + path) for path in expected} == expected, case
        assert "/private" not in site.served, case
    for case, site in free.items():
        expected = dict.fromkeys(("/", "/page", "/private"), "ok")
        assert {path: found.pop(site.url + path) for path in expected} == expected, case
    for case, (site, reason) in closed_to_us.items():
        assert found.pop(f"{site.url}/") == reason, case
        assert set(site.served) == {"/robots.txt"}, case
    assert found == {}


def test_robots_txt_is_not_asked_for_if_nobody_wants_to_know(site_with: Callable[..., Site], tmp_path: Path) -> None:
    site = site_with(Reply(PRIVATE + b"Crawl-delay: 60\n"))
    settings = PATIENT | {"obey_robots": False, "use_sitemap": False}

    found = outcomes(crawl([site.url], str(tmp_path / "out"), settings).uri)

    assert found == {f"{site.url}/": "ok", f"{site.url}/page": "ok", f"{site.url}/private": "ok"}
    assert "/robots.txt" not in site.served


@pytest.mark.parametrize("autothrottle", [False, True])
def test_a_crawl_delay_is_kept_and_other_hosts_do_not_wait_for_it(
    new_site: Callable[[], Site], tmp_path: Path, autothrottle: bool
) -> None:
    slow, quick = new_site(), new_site()
    delay = 0.1
    for site in (slow, quick):
        site.add("/", *(f"/{number}" for number in range(9)))
        for number in range(9):
            site.add(f"/{number}")
    slow.pages["/robots.txt"] = Reply(f"User-agent: *\nCrawl-delay: {delay}\n".encode())

    result = crawl([slow.url, quick.url], str(tmp_path / "out"), PATIENT | {"autothrottle": autothrottle})

    assert result.rows_out == 20
    times = [seen.at for seen in slow.seen]
    assert len(times) == 11
    # Of single gaps some are shorter to the server, when it sees the first of two requests late.
    assert times[-1] - times[0] > 10 * delay * 0.8
    assert max(seen.under_way for seen in slow.seen) == 1
    assert quick.seen[-1].at < times[-1]


def test_a_host_is_asked_for_no_more_at_once_than_is_set(new_site: Callable[[], Site], tmp_path: Path) -> None:
    sites = [new_site(), new_site()]
    for site in sites:
        site.add("/", *(f"/{number}" for number in range(12)))
        for number in range(12):
            site.add(f"/{number}")
            site.held.add(f"/{number}")

    def let_go_when_full() -> None:
        for site in sites:
            site.wait_for_requests(2 + 3)
        for site in sites:
            site.release.set()

    watcher = threading.Thread(target=let_go_when_full)
    watcher.start()
    result = crawl([site.url for site in sites], str(tmp_path / "out"), PATIENT | {"concurrency": 3, "timeout_s": 60})
    watcher.join()

    assert result.rows_out == 26
    assert [max(seen.under_way for seen in site.seen) for site in sites] == [3, 3]


def test_a_host_that_asks_for_time_gets_it_while_others_are_visited(
    new_site: Callable[[], Site], tmp_path: Path
) -> None:
    busy, other = new_site(), new_site()
    busy.add("/", "/limited")
    other.add("/", *(f"/{number}" for number in range(8)))
    for number in range(8):
        other.add(f"/{number}")
        other.held.add(f"/{number}")

    def limited(request: BaseHTTPRequestHandler) -> None:
        is_first = busy.served.count("/limited") == 1
        body = b"" if is_first else b"<main><p>This page is for those who can wait.</p></main>"
        request.send_response(429 if is_first else 200)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", "text/html")
        request.send_header("Retry-After", "1")
        request.end_headers()
        request.wfile.write(body)
        other.release.set()

    busy.answers["/limited"] = limited
    settings = PATIENT | {"retries": 1, "concurrency": 2, "timeout_s": 60}

    result = crawl([busy.url, other.url], str(tmp_path / "out"), settings)

    assert result.rows_out == 11
    refused, answered = (seen.at for seen in busy.seen if seen.path == "/limited")
    assert answered - refused > 0.9
    assert len([seen for seen in other.seen if refused < seen.at < answered]) >= 5


def test_a_page_that_fails_twice_is_one_row_and_all_its_bytes_are_counted(site: Site, tmp_path: Path) -> None:
    site.add("/", "/flaky")
    good = b"<main><p>This page is there at the third time.</p></main>"

    def flaky(request: BaseHTTPRequestHandler) -> None:
        is_there = site.served.count("/flaky") == 3
        body = good if is_there else b"x" * 50_000
        request.send_response(200 if is_there else 503)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", "text/html")
        request.end_headers()
        request.wfile.write(body)

    site.answers["/flaky"] = flaky
    site.pages["/robots.txt"] = Reply(b"")

    result = crawl([site.url], str(tmp_path / "out"), PATIENT | {"retries": 2})

    assert outcomes(result.uri) == {f"{site.url}/": "ok", f"{site.url}/flaky": "ok"}
    assert site.served.count("/flaky") == 3
    assert result.metrics["bytes"] == 100_000 + len(good) + len(site.pages["/"].body)


def test_what_a_page_says_about_itself_is_heeded_unless_switched_off(site: Site, tmp_path: Path) -> None:
    def page(path: str, head: str = "", **headers: str) -> None:
        text = f"This is the page at {path}, and it has something to say about itself."
        link = f'<a href="/below{path}">below</a>'
        site.pages[path] = Reply(f"<html><head>{head}</head><body><main><p>{text}</p>{link}</main>".encode())
        site.pages[path].headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        site.add(f"/below{path}")

    def two_headers(request: BaseHTTPRequestHandler) -> None:
        body = b"<main><p>The first header is for somebody else, the second for all.</p></main>"
        request.send_response(200)
        request.send_header("X-Robots-Tag", "otherbot: nofollow")
        request.send_header("X-Robots-Tag", "noindex")
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", "text/html")
        request.end_headers()
        request.wfile.write(body)

    page("/noindex", '<meta name="ROBOTS" content="NoIndex, follow">')
    page("/none", '<meta name="robots" content="none">')
    page("/by-name", '<meta name="airflow-provider-autoglm" content="noindex">')
    page("/for-another", '<meta name="otherbot" content="noindex">')
    page("/header", X_Robots_Tag="noindex, nofollow")
    page("/header-for-another", X_Robots_Tag="otherbot: noindex")
    site.answers["/two-headers"] = two_headers
    page("/nofollow", '<meta name="robots" content="nofollow">')
    page("/twin", '<link rel="canonical" href="/main">')
    page("/header-twin", Link=f'<{site.url}/main>; rel="canonical"')
    page("/front", '<link rel="canonical" href="/">')
    page("/elsewhere", '<link rel="canonical" href="https://elsewhere.example/main">')
    page("/main")
    paths = [*site.pages, "/two-headers"]
    site.add("/", *(path for path in paths if not path.startswith("/below") and path != "/main"))

    heeded = outcomes(crawl([site.url], str(tmp_path / "heeded"), PATIENT).uri)
    not_followed = {path for path in paths if path.startswith("/below") and path not in site.served}
    settings = PATIENT | {"obey_noindex": False, "obey_canonical": False}
    off = outcomes(crawl([site.url], str(tmp_path / "off"), settings).uri)

    aside = {url.removeprefix(site.url): reason for url, reason in heeded.items() if reason != "ok"}
    assert aside == {
        **dict.fromkeys(("/noindex", "/none", "/by-name", "/header", "/two-headers"), "noindex"),
        **dict.fromkeys(("/twin", "/header-twin"), "canonical"),
    }
    assert not_followed == {"/below/none", "/below/header", "/below/nofollow"}
    assert f"{site.url}/main" in heeded
    assert f"{site.url}/main" not in off
    assert set(off.values()) == {"ok"}


def test_every_request_says_who_asks(site: Site, tmp_path: Path) -> None:
    site.add("/", "/page", "/moved")
    site.add("/page")
    site.pages["/moved"] = redirect("/page")
    settings = PATIENT | {"user_agent": "ours/2", "contact": "https://crawl.example/"}

    crawl([site.url], str(tmp_path / "out"), settings)

    assert {"/", "/page", "/moved", "/robots.txt"} == set(site.served)
    assert {seen.headers["User-Agent"] for seen in site.seen} == {"ours/2 (+https://crawl.example/)"}
    assert not any("Cookie" in seen.headers or "Referer" in seen.headers for seen in site.seen)


def test_web_sites_are_not_visited_without_somebody_to_contact(site: Site, tmp_path: Path) -> None:
    site.add("/")
    nobody = {name: value for name, value in PATIENT.items() if name != "contact"}
    variable = {"labels": [{"name": "a"}, {"name": "b"}]}

    with pytest.raises(SettingsError, match=r"crawl\.contact: required to visit web sites"):
        crawl([site.url], str(tmp_path / "out"), nobody)
    with pytest.raises(SettingsError, match=r"crawl\.contact: required to visit web sites"):
        PipelineSettings.parse(variable | {"sources": [{"sitemap": f"{site.url}/sitemap.xml"}]})
    with pytest.raises(SettingsError, match=r"crawl\.contact = 'nobody': must be an e-mail address or"):
        PipelineSettings.parse(variable | {"sources": [site.url], "crawl": {"contact": "nobody"}})
    assert PipelineSettings.parse(variable | {"sources": ["/data/documents.parquet"]}).crawl.contact == ""
    assert CrawlSettings(contact="a@example.org").full_user_agent.endswith(" (+a@example.org)")
    assert site.served == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        (b"7", 7),
        (b" 120 ", 120),
        (b"-1", 0),
        (b"1e9", 0),
        (b"soon", 0),
        (b"\xff", 0),
        (b"", 0),
        (b"Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (b"Wed, 99 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_a_retry_after_that_cannot_be_read_asks_for_nothing(header: bytes | None, seconds: float) -> None:
    assert retry_after_s(header) == seconds


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_retry_after_may_be_a_date(zone: object) -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    written = format_datetime(in_an_hour, usegmt=True)
    if zone is None:
        written = written.removesuffix(" GMT") + " -0000"

    assert retry_after_s(written.encode()) == pytest.approx(3600, abs=60)
