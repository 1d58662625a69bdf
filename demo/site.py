"""The demo site's server: pages from memory on loopback, HTTP/1.1 with kept connections, nothing logged.

It has pages on every area but the one that its clients will bring. ``python -m demo.site --port 0 --truth FILE`` prints
one JSON line with its address once it answers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from demo.docstrings import KEPT_FROM_THE_SITE, KNOWN_AREAS, sample_area
from demo.pages import Page, build_content

_HOST = "127.0.0.1"
_NOT_FOUND = Page("text/plain", b"There is no such page.\n")


class SiteServer(ThreadingHTTPServer):
    """Serves ``pages`` by path; it listens from the moment it exists, on any free port if ``port`` is 0."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.pages: Mapping[str, Page] = {}
        super().__init__((_HOST, port), _Handler)

    @property
    def origin(self) -> str:
        """``http://host:port``."""
        return f"http://{_HOST}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: SiteServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one segment; apart they wait for the client's delayed acknowledgement

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Thousands of lines nobody reads are left out."""

    def _answer(self, *, with_body: bool) -> None:
        page = self.server.pages.get(unquote(urlsplit(self.path).path))
        self.send_response(404 if page is None else 200)
        page = page or _NOT_FOUND
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if with_body:
            self.wfile.write(page.body)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.site", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--truth", type=Path, required=True, help="file that gets the area of each URL, as JSON")
    parser.add_argument("--pages-per-area", type=int, default=200)
    arguments = parser.parse_args()
    articles = {area: sample_area(area, arguments.pages_per_area, skip=KEPT_FROM_THE_SITE) for area in KNOWN_AREAS}
    with SiteServer(arguments.port) as server:
        content = build_content(articles, server.origin)
        server.pages = content.pages
        arguments.truth.write_text(json.dumps(content.truth, indent=0))
        print(json.dumps({"url": f"{server.origin}/", "articles": len(content.truth)}), flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
