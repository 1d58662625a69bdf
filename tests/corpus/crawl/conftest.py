"""Real web sites on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_provider_autoglm.settings import CrawlSettings

FAST: dict[str, Any] = {"delay_s": 0, "timeout_s": 1, "retries": 0, "concurrency": 4, "max_rejected_fraction": 1}


@pytest.fixture(scope="module", autouse=True)
def crawls_are_measured(measured_children: None) -> None:
    """A crawl is a process of its own."""


@dataclass
class Reply:
    body: bytes = b""
    status: int = 200
    content_type: str | None = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A site of fixed replies; a path in ``held`` waits for ``release``, and ``served`` lists what was asked for."""

    pages: dict[str, Reply] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    served: list[str] = field(default_factory=list)
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


def serve(site: Site) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with site.changed:
                site.served.append(self.path)
                site.changed.notify_all()
            if self.path in site.held:
                site.release.wait(60)
            reply = site.pages.get(self.path) or Reply(b"<p>gone</p>", 404)
            try:
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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    return server


@pytest.fixture
def new_site() -> Iterator[Callable[[], Site]]:
    """Starts any number of sites."""
    running: list[tuple[Site, ThreadingHTTPServer]] = []

    def start() -> Site:
        site = Site()
        running.append((site, serve(site)))
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
