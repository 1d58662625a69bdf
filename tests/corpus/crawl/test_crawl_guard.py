"""A crawl connects to public addresses and to those that are listed: whoever names others, and however."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
import scrapy
from scrapy.exceptions import IgnoreRequest
from scrapy.resolver import dnscache
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IResolutionReceiver
from zope.interface import implementer

from airflow_provider_autoglm.corpus.crawl import crawl, process
from airflow_provider_autoglm.corpus.crawl.addresses import AddressGuard
from airflow_provider_autoglm.corpus.crawl.job import OwnSpider
from airflow_provider_autoglm.corpus.crawl.resolver import GuardedResolver
from airflow_provider_autoglm.corpus.result import Progress
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import NothingCrawledError, TooManyRejectedError
from tests.conftest import REPOSITORY
from tests.corpus.crawl.conftest import FAST, Reply, Site, feed_of, outcomes, redirect

GUARDED: dict[str, Any] = FAST | {"allow_networks": ["127.0.0.1"], "timeout_s": 10}
SECRET = "correct-horse"


class Trap:
    """A port of 127.0.0.2 that nobody may connect to, and the same port of 127.0.0.1, which is a site."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.create_server(("127.0.0.2", port))
        self._socket.setblocking(False)

    def assert_untouched(self) -> None:
        with pytest.raises(BlockingIOError):
            self._socket.accept()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def trap(site: Site) -> Iterator[Trap]:
    trap = Trap(urlsplit(site.url).port or 0)
    yield trap
    trap.assert_untouched()
    trap.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the child names of the test's own."""

    def give(**answers: list[list[str]]) -> None:
        known = {name.replace("_", "."): addresses for name, addresses in answers.items()}
        monkeypatch.setenv("NAMES", json.dumps(known))
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
        monkeypatch.setattr(process, "_MODULE", "tests.corpus.crawl.child_with_names")

    return give


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_an_address_that_is_not_listed_is_never_connected_to_whoever_names_it(
    site: Site, new_site: Callable[[], Site], trap: Trap, tmp_path: Path
) -> None:
    hosts = [
        "127.0.0.2",
        "2130706434",
        "0x7f000002",
        "0x7f.2",
        "127.2",
        "0177.0.0.2",
        "[::ffff:127.0.0.2]",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "0",
        "[64:ff9b::7f00:2]",
        "[2002:7f00:2::1]",
        "[fe80::1%25lo]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.64.0.1",
        "192.0.0.192",
        "255.255.255.255",
    ]
    direct = [f"http://{host}:{trap.port}/direct" for host in hosts]
    targets = [f"http://{host}:{trap.port}/by-redirect" for host in hosts]
    schemes = [
        "file:///etc/passwd",
        "ftp://127.0.0.2/",
        "data:text/html,hello",
        "s3://bucket/key",
        "gopher://127.0.0.2/",
    ]
    for number, target in enumerate(targets + schemes):
        site.pages[f"/go/{number}"] = redirect(target)
    moved_robots = new_site()
    moved_robots.pages["/robots.txt"] = redirect(f"http://127.0.0.2:{trap.port}/robots.txt")
    moved_robots.add("/page")
    site.add("/good")
    site.pages["/feed"] = feed_of(
        f"{site.url}/good",
        f"{moved_robots.url}/page",
        *direct,
        *(f"{site.url}/go/{number}" for number in range(len(targets + schemes))),
    )
    site.pages["/moved.xml"] = redirect(f"http://127.0.0.2:{trap.port}/moved.xml")
    site.pages["/robots.txt"] = Reply(
        f"Sitemap: {site.url}/moved.xml\nSitemap: http://127.0.0.2:{trap.port}/sitemap.xml\n".encode()
    )
    sources = [
        {"feed": f"{site.url}/feed"},
        {"sitemap": f"http://127.0.0.2:{trap.port}/source.xml"},
        {"feed": f"http://127.2:{trap.port}/feed.xml"},
        f"{site.url}/good",
    ]

    found = outcomes(crawl(sources, str(tmp_path / "out"), GUARDED).uri)

    assert found.pop(f"{site.url}/good") == "ok"
    assert found.pop(f"{moved_robots.url}/page") == "robots_unavailable"
    for number in range(len(targets)):
        assert found.pop(f"{site.url}/go/{number}") == "redirected"
    for number in range(len(targets), len(targets + schemes)):
        assert found.pop(f"{site.url}/go/{number}") == "offsite_redirect"
    assert len(found) == 2 * len(hosts) + len(["source.xml", "feed.xml"])
    assert set(found.values()) == {"private_address"}
    assert moved_robots.served == ["/robots.txt"]


def test_what_a_name_leads_to_is_checked_when_the_connection_is_made(
    site: Site, trap: Trap, tmp_path: Path, names: Callable[..., None]
) -> None:
    names(
        public_test=[["127.0.0.1"]],
        inner_test=[["127.0.0.2"]],
        mixed_test=[["127.0.0.2", "127.0.0.1", "::1"]],
        metadata_google_internal=[["169.254.169.254"]],
        six_test=[["::1", "fd00::1"]],
        # An answer for the look at robots.txt, another one for the page.
        rebind_test=[["127.0.0.1"], ["127.0.0.2"]],
    )
    hosts = ["public.test", "inner.test", "mixed.test", "metadata.google.internal", "six.test", "rebind.test"]
    pages = [f"http://{host}:{trap.port}/page" for host in hosts]
    site.add("/page")
    site.pages["/go"] = redirect(f"http://inner.test:{trap.port}/by-redirect")
    site.pages["/feed"] = feed_of(*pages, f"http://public.test:{trap.port}/go", "http://nobody.test/")

    found = outcomes(crawl([{"feed": f"{site.url}/feed"}], str(tmp_path / "out"), GUARDED).uri)

    assert found == {
        f"http://public.test:{trap.port}/page": "ok",
        f"http://mixed.test:{trap.port}/page": "ok",
        f"http://rebind.test:{trap.port}/page": "ok",
        f"http://inner.test:{trap.port}/page": "private_address",
        f"http://metadata.google.internal:{trap.port}/page": "private_address",
        f"http://six.test:{trap.port}/page": "private_address",
        f"http://public.test:{trap.port}/go": "redirected",
        f"http://inner.test:{trap.port}/by-redirect": "private_address",
        "http://nobody.test/": "dns",
    }


@implementer(IHostnameResolver)
class Answers:
    """Resolves everything to one answer after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    def resolveHostName(self, receiver: Any, host: str, port: int = 0, *_: Any) -> Any:  # noqa: N802
        receiver.resolutionBegan(None)
        for address in self._answers.pop(0):
            receiver.addressResolved((IPv6Address if ":" in address else IPv4Address)("TCP", address, port))
        receiver.resolutionComplete()


@implementer(IResolutionReceiver)
class Listener:
    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.is_complete = False

    def resolutionBegan(self, resolution: Any) -> None:  # noqa: N802
        pass

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        self.addresses.append(address.host)

    def resolutionComplete(self) -> None:  # noqa: N802
        self.is_complete = True


def test_an_answer_that_turns_private_is_refused_also_from_the_cache() -> None:
    dnscache.clear()
    answers = Answers(["93.184.216.34"], ["10.0.0.1", "::1"], ["93.184.216.34", "10.0.0.1"])
    resolver = GuardedResolver(SimpleNamespace(nameResolver=answers), 100, AddressGuard.of([]))

    def look_up() -> list[str]:
        listener = Listener()
        resolver.resolveHostName(listener, "turning.test", 80)
        assert listener.is_complete
        return listener.addresses

    assert look_up() == look_up() == ["93.184.216.34"]
    assert resolver.refused == set()
    dnscache.clear()
    assert look_up() == look_up() == []
    assert resolver.refused == {"turning.test"}
    dnscache.clear()
    assert look_up() == ["93.184.216.34"]
    dnscache.clear()


def test_a_proxy_at_an_address_that_is_not_listed_is_not_used(
    site: Site, trap: Trap, tmp_path: Path, names: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    names(proxy_test=[["127.0.0.2"]], public_test=[["127.0.0.1"]], secure_test=[["127.0.0.1"]])
    monkeypatch.setenv("http_proxy", f"http://proxy.test:{trap.port}")
    monkeypatch.setenv("https_proxy", f"http://user:{SECRET}@127.0.0.2:{trap.port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site.add("/")
    site.pages["/feed"] = feed_of(
        f"http://public.test:{trap.port}/", f"https://secure.test:{trap.port}/", f"http://127.0.0.1:{trap.port}/"
    )

    found = outcomes(crawl([{"feed": f"{site.url}/feed"}], str(tmp_path / "out"), GUARDED).uri)

    assert found == {
        f"http://public.test:{trap.port}/": "proxy_refused",
        f"https://secure.test:{trap.port}/": "proxy_refused",
        f"{site.url}/": "ok",
    }
    assert site.served == ["/robots.txt", "/feed", "/"]


def test_a_listed_proxy_is_used_for_names_and_never_for_private_addresses(
    site: Site, new_site: Callable[[], Site], trap: Trap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = new_site()
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for page in ("http://unknown-here.test/", "http://unknown-here.test/go", f"http://127.0.0.2:{trap.port}/"):
        proxy.add(page)
    proxy.pages["http://unknown-here.test/go"] = redirect(f"http://127.0.0.2:{trap.port}/")
    site.pages["/feed"] = feed_of("http://unknown-here.test/", "http://unknown-here.test/go", "http://10.0.0.1/")

    found = outcomes(crawl([{"feed": f"{site.url}/feed"}], str(tmp_path / "out"), GUARDED).uri)

    assert found == {
        "http://unknown-here.test/": "ok",
        "http://unknown-here.test/go": "redirected",
        f"http://127.0.0.2:{trap.port}/": "private_address",
        "http://10.0.0.1/": "private_address",
    }
    assert sorted(proxy.served) == [f"http://unknown-here.test/{path}" for path in ("", "go", "robots.txt")]


def test_credentials_in_addresses_are_neither_stored_nor_logged_nor_sent(
    site: Site, trap: Trap, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = trap.port
    secret = f"http://user:{SECRET}@127.0.0.1:{port}"
    site.add("/", f"{secret}/linked", "/go", "/canonical", "/based", f"//user:{SECRET}@127.0.0.1:{port}/")
    site.pages["/go"] = redirect(f"{secret}/redirected")
    site.pages["/canonical"] = Reply(f'<head><link rel="canonical" href="{secret}/c"></head><p>A page.'.encode())
    site.pages["/based"] = Reply(f'<head><base href="{secret}/"></head><p>A page.<a href="below">b</a>'.encode())
    site.pages["/feed"] = feed_of(f"{secret}/from-feed")
    site.pages["/map.xml"] = Reply(f"<urlset><url><loc>{secret}/from-sitemap</loc></url></urlset>".encode())
    site.pages["/robots.txt"] = Reply(f"Sitemap: {secret}/secret.xml\nSitemap: {site.url}/map.xml\n".encode())
    caplog.set_level(logging.DEBUG)

    frontiers: list[bytes] = []

    def look(progress: Progress) -> None:
        frontiers.extend(file.read_bytes() for file in tmp_path.rglob("*.sqlite"))

    settings = GUARDED | {"max_rejected_fraction": 0}
    with pytest.raises(TooManyRejectedError) as raised:
        crawl([site.url, {"feed": f"{site.url}/feed"}], str(tmp_path / "out"), settings, progress=look)

    assert raised.value.reasons == {"offsite_redirect": 1, "http_404": 1, "no_entries": 1}
    rows = [row for shard in tmp_path.rglob("*.parquet") for row in pq.read_table(shard).to_pylist()]
    assert {row["url"].removeprefix(site.url) for row in rows} == {
        "/",
        "/go",
        "/canonical",
        "/based",
        "/below",
        "/feed",
    }
    assert b"/canonical" in frontiers[-1]
    for told in (str(rows), frontiers[-1].decode("latin-1"), caplog.text, str(raised.value)):
        assert SECRET not in told
    assert not any("Authorization" in seen.headers for seen in site.seen)


class Wanderer(scrapy.Spider):
    """Goes where it is sent."""

    name = "wanderer"

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.start_urls = [
            f"http://127.0.0.1:{port}/good",
            f"http://127.0.0.1:{port}/go",
            f"http://127.0.0.1:{port}/inwards",
            f"http://127.0.0.1:{port}/loop",
            f"http://127.0.0.2:{port}/",
            f"http://user:{SECRET}@127.0.0.1:{port}/sent",
            "file:///etc/passwd",
            "data:text/html,hello",
        ]

    async def parse(self, response: Any) -> Any:
        said = []
        for url in ("file:///etc/passwd", f"http://127.0.0.2:{self.port}/aside", f"http://user:{SECRET}@127.0.0.1/"):
            try:
                await self.crawler.engine.download_async(scrapy.Request(url))
            except IgnoreRequest as error:
                said.append(str(error))
        yield {"text": response.text, "said": said}


def test_a_spider_of_the_users_own_has_the_same_guards(
    site: Site, trap: Trap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    site.add("/good")
    site.pages["/go"] = redirect(f"http://user:{SECRET}@127.0.0.1:{trap.port}/redirected")
    site.pages["/inwards"] = redirect(f"http://127.0.0.2:{trap.port}/inwards")
    site.pages["/loop"] = redirect("/loop")
    spider = OwnSpider(path=f"{__name__}.Wanderer", arguments={"port": trap.port})

    result = crawl([], str(tmp_path / "out"), GUARDED, spider=spider)

    assert outcomes(result.uri) == {
        f"{site.url}/good": "ok",
        f"{site.url}/redirected": "credentials",
        f"http://127.0.0.2:{trap.port}/inwards": "private_address",
        f"{site.url}/loop": "too_many_redirects",
        f"http://127.0.0.2:{trap.port}/": "private_address",
    }
    (row,) = Corpus.open(result.uri).to_table().to_pylist()
    assert json.loads(row["said"]) == ["scheme", "private_address", "credentials"]
    assert SECRET not in str(Corpus.open(result.uri).to_table(kind="rejected").to_pylist())
    assert SECRET not in caplog.text
    assert set(site.served) == {"/robots.txt", "/good", "/go", "/inwards", "/loop"}


def test_a_start_page_at_an_address_that_is_not_listed_is_named_so(
    site: Site, trap: Trap, tmp_path: Path, names: Callable[..., None]
) -> None:
    names(inner_test=[["127.0.0.2"]])

    with pytest.raises(NothingCrawledError, match="private_address 2"):
        crawl([f"http://inner.test:{trap.port}/", f"http://127.0.0.2:{trap.port}/"], str(tmp_path / "out"), GUARDED)
