"""Real web sites on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import CrawlSettings

LOOPBACK: dict[str, Any] = {"contact": "crawl@example.org", "allow_networks": ["127.0.0.0/8"]}
"""What a crawl of a site on this machine needs."""

FAST: dict[str, Any] = LOOPBACK | {
    "delay_s": 0,
    "autothrottle": False,
    "timeout_s": 1,
    "retries": 0,
    "concurrency": 4,
    "max_rejected_fraction": 1,
}


def outcomes(uri: str) -> dict[str, str]:
    """What became of each address: ``ok``, or the reason why it is rejected or removed."""
    corpus = Corpus.open(uri)
    found = [(row["url"], "ok") for row in corpus.to_table().to_pylist()]
    for kind in ("rejected", "removed"):
        found += [(row["url"], row["reason"]) for row in corpus.to_table(kind=kind).to_pylist()]
    assert len(dict(found)) == len(found), "an address is two rows"
    return dict(found)


def feed_of(*urls: str) -> Reply:
    """A feed may name any host: the shortest way to have a crawl try an address."""
    items = "".join(f"<item><link>{url.replace('&', '&amp;')}</link></item>" for url in urls)
    return Reply(f"<rss><channel>{items}</channel></rss>".encode(), content_type="application/rss+xml")


def redirect(target: str) -> Reply:
    return Reply(status=302, headers={"Location": target})


def crawl_measured(sources: list[Any], destination: Path, settings: dict[str, Any]) -> tuple[str, float]:
    """The corpus, and the peak of memory of the largest process of the crawl in MiB."""
    command = [sys.executable, "-c", _MEASURED, json.dumps(sources), str(destination), json.dumps(settings)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    uri, peak = json.loads(run.stdout)
    return uri, peak


_UNMEASURED = ("test_crawl_browser_safety", "test_crawl_kills", "test_crawl_of_hostile_site")
"""Modules of many or long crawls, whose code others have measured: measuring makes them half as long again."""


@pytest.fixture(scope="module", autouse=True)
def crawls_are_measured(request: pytest.FixtureRequest) -> None:
    """A crawl is a process of its own."""
    if not request.module.__name__.endswith(_UNMEASURED):
        request.getfixturevalue("measured_children")


_MEASURED = """
import json, resource, sys
from airflow_provider_autoglm.corpus.crawl import crawl

result = crawl(json.loads(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
print(json.dumps([result.uri, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""

PATIENT = FAST | {"timeout_s": 10}
"""For sites that answer in time, however busy the machine is."""


@dataclass
class Reply:
    body: bytes = b""
    status: int = 200
    content_type: str | None = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A request; ``at`` is in seconds of the monotonic clock, ``under_way`` counts it and those not yet answered."""

    path: str
    headers: Message
    at: float
    under_way: int


@dataclass
class Site:
    """A site of fixed replies; a path in ``held`` waits for ``release``, and ``served`` lists what was asked for.

    ``answers`` are called for what no fixed reply can do; ``seen`` says more of each request.
    """

    pages: dict[str, Reply] = field(default_factory=dict)
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    served: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    under_way: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def wait_for_requests(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.served) >= number, timeout=60), self.served

    def add(self, path: str, *links: str, text: str = "", title: str = "") -> None:
        """A page of prose with links."""
        text = text or f"This is the page at {path}, which says enough to be a document of its own."
        anchors = "".join(f'<li><a href="{link}">to {link}</a></li>' for link in links)
        head = f"<head><title>{title or path}</title></head>"
        body = f"<body><nav>{anchors}</nav><main><p>{text}</p></main></body>"
        self.pages[path] = Reply(f"<html>{head}{body}</html>".encode())


def serve(site: Site, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a page takes 40 ms

        def do_GET(self) -> None:
            with site.changed:
                site.served.append(self.path)
                site.under_way += 1
                site.seen.append(Seen(self.path, self.headers, time.monotonic(), site.under_way))
                site.changed.notify_all()
            if self.path in site.held:
                site.release.wait(60)
            with site.changed:
                site.under_way -= 1
            self.answer()

        do_POST = do_GET  # noqa: N815 - `answers` read what was sent

        def answer(self) -> None:
            try:
                if self.path in site.answers:
                    site.answers[self.path](self)
                    return
                reply = site.pages.get(self.path) or Reply(b"<p>gone</p>", 404)
                self.send_response(reply.status)
                if reply.content_type is not None:
                    self.send_header("Content-Type", reply.content_type)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    site.url = f"http://{host}:{server.server_port}"
    return server


@pytest.fixture
def new_site() -> Iterator[Callable[..., Site]]:
    """Starts any number of sites, at another address of this machine if one is given."""
    running: list[tuple[Site, ThreadingHTTPServer]] = []

    def start(host: str = "127.0.0.1") -> Site:
        site = Site()
        running.append((site, serve(site, host)))
        return site

    yield start
    for site, server in running:
        site.release.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(new_site: Callable[[], Site]) -> Site:
    return new_site()


@pytest.fixture
def fast() -> CrawlSettings:
    return CrawlSettings(**FAST)
