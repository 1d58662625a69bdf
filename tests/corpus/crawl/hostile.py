"""A web site that does to a crawler what the web does, on loopback, and the truth about it.

``hostile_site()`` is a context: within it the site answers, whatever it is doing is over at its end.
"""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, urlsplit

from tests.corpus.crawl.charset_variants import VARIANTS

MEBIBYTE = 1024 * 1024
BOMB_BYTES = 1024 * MEBIBYTE
ENDLESS_PAGE_BYTES = 100 * MEBIBYTE
CRAWL_DELAY_S = 0.01
GOOD_PAGES = 50
_GOOD_AT_ONCE = 30
LONG_CHAIN = 30
LINKS = 50_000
ROBOTS = f"User-agent: *\nDisallow: /private/\nDisallow: /*.secret$\nCrawl-delay: {CRAWL_DELAY_S}\n"
FORBIDDEN = ("/private/", "/private/deep/page", "/plans.secret")
VERSIONED = ("/versioned/etag", "/versioned/date", "/versioned/both")
LAST_MODIFIED = ("Sun, 01 Nov 2026 10:00:00 GMT", "Mon, 02 Nov 2026 10:00:00 GMT")
PUBLISHED = "2026-10-01T08:00:00Z"


@dataclass(frozen=True)
class Seen:
    """A request; ``at`` is in seconds of the monotonic clock."""

    at: float
    path: str
    headers: Message


@dataclass
class HostileSite:
    """What a crawl of ``url`` met, and what it should find.

    ``good`` are paths of pages that are documents, each known by the sentence it maps to; ``rejected`` and
    ``removed`` map paths to what becomes of them; ``traps`` are beginnings of addresses without end.
    """

    url: str = ""
    inner_url: str = ""
    requests: list[Seen] = field(default_factory=list)
    inner_requests: list[Seen] = field(default_factory=list)
    good: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)
    traps: tuple[str, ...] = ("/calendar", "/loop/", "/shop", "/lobby", "/numbered", "/session")
    version: int = 0
    gone: set[str] = field(default_factory=set)
    is_over: threading.Event = field(default_factory=threading.Event)
    numbers: Iterator[int] = field(default_factory=count)
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def good_urls(self) -> set[str]:
        return {self.url + path for path in self.good}

    @property
    def disallowed(self) -> list[str]:
        """What was asked for although robots.txt forbids it."""
        return [seen.path for seen in self.requests if _is_forbidden(seen.path)]

    def paths(self) -> list[str]:
        return [seen.path for seen in self.requests]

    def change(self) -> None:
        """Give the pages of :data:`VERSIONED` other content from now on."""
        self.version += 1

    def remove(self, path: str) -> None:
        """Answer 410 at ``path`` from now on."""
        self.gone.add(path)

    def token(self) -> str:
        """32 digits that were never given before."""
        return f"{zlib.crc32(str(number := next(self.numbers)).encode()):08x}{number:024x}"


def _is_forbidden(path: str) -> bool:
    return path.startswith("/private/") or path.endswith(".secret")


@contextmanager
def hostile_site() -> Iterator[HostileSite]:
    """Run the site, and beside it a server that no crawl of the site may reach, at ``inner_url``."""
    site = HostileSite()
    servers = [
        _serve(_handler(site, site.inner_requests, _answer_inside)),
        _serve(_handler(site, site.requests, _answer)),
    ]
    site.inner_url, site.url = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    _tell_truth(site)
    try:
        yield site
    finally:
        site.is_over.set()
        for server in servers:
            server.shutdown()
            server.server_close()


def _serve(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a page takes 40 ms
    site: HostileSite

    def reply(
        self,
        body: bytes | str,
        status: int = 200,
        content_type: str | None = "text/html; charset=utf-8",
        **headers: str,
    ) -> None:
        raw = body.encode() if isinstance(body, str) else body
        self.begin(status, content_type, Content_Length=str(len(raw)), **headers)
        self.wfile.write(raw)

    def begin(self, status: int = 200, content_type: str | None = "text/html; charset=utf-8", **headers: str) -> None:
        self.send_response(status)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def redirect(self, target: str) -> None:
        self.reply(b"", 302, Location=target)

    def without_length(self, **headers: str) -> None:
        self.close_connection = True
        self.begin(Connection="close", **headers)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def log_message(self, *args: object) -> None:
        pass


def _handler(site_: HostileSite, log: list[Seen], answer: Callable[[_Request], None]) -> type[_Request]:
    class Handler(_Request):
        site = site_

        def do_GET(self) -> None:
            log.append(Seen(time.monotonic(), self.path, self.headers))
            with suppress(OSError):
                answer(self)

    return Handler


def _answer_inside(request: _Request) -> None:
    request.reply(page("Inside", "This page is for the machine itself and nobody else."))


def _answer(request: _Request) -> None:
    path = urlsplit(request.path).path
    if path in request.site.gone:
        request.reply("<p>gone</p>", 410)
        return
    route = _EXACT.get(path) or next((route for start, route in _BELOW.items() if path.startswith(start)), None)
    if route is None:
        request.reply("<p>There is no such page.</p>", 404)
    else:
        route(request)


def page(title: str, sentence: str, *links: str, head: str = "", body: str = "") -> str:
    """A page of one paragraph, with ``links`` in its navigation."""
    anchors = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    return (
        f"<!DOCTYPE html><html><head><title>{title}</title>{head}</head><body><nav><ul>{anchors}</ul></nav>"
        f"<main><h1>{title}</h1><p>{sentence}</p>{body}</main></body></html>"
    )


def _sentence(number: int) -> str:
    return f"This is good page number {number}, and it says {zlib.crc32(str(number).encode())} in so many words."


def _index(request: _Request) -> None:
    site = request.site
    listed = [path for path in site.good if not path.startswith("/good/") or int(path[6:]) < _GOOD_AT_ONCE]
    paths = [*listed, *site.rejected, *site.removed, *FORBIDDEN, *_TRAPS_BEGIN]
    secret = site.url.replace("http://", "http://user:secret@")
    others = [f"{secret}/good/1", "mailto:a@example.org", "javascript:void(0)", "file:///etc/passwd", "http://[broken/"]
    request.reply(page("Start", "This page leads to all the others.", *paths, *others))


def _good(request: _Request) -> None:
    """The last twenty are found by following them from one to the next."""
    number = int(urlsplit(request.path).path.removeprefix("/good/"))
    if not 0 <= number < GOOD_PAGES:
        request.reply("<p>There is no such page.</p>", 404)
        return
    following = [f"/good/{number + 1}"] if _GOOD_AT_ONCE - 1 <= number < GOOD_PAGES - 1 else []
    request.reply(page(f"Good {number}", _sentence(number), "/", *following))


def _charset(request: _Request) -> None:
    variant = next(variant for variant in VARIANTS if request.path == f"/charset/{variant.name}")
    request.reply(variant.body, content_type=variant.content_type)


def _status(request: _Request) -> None:
    request.reply("<p>An error.</p>", int(request.path.rsplit("/", 1)[1]))


def _flaky(request: _Request) -> None:
    """Twice 503 to each who asks in earnest, then the page."""
    failures = request.site.failures
    failures[request.path] = failures.get(request.path, 0) + 1
    if failures[request.path] <= 2:
        request.reply("<p>Later.</p>", 503)
    else:
        request.reply(page("Flaky", request.site.good["/flaky"]))


def _too_many(request: _Request) -> None:
    failures = request.site.failures
    failures[request.path] = failures.get(request.path, 0) + 1
    if failures[request.path] == 1:
        request.reply("<p>Not so fast.</p>", 429, Retry_After="1")
    else:
        request.reply(page("Patience", request.site.good["/too-many"]))


def _chain(request: _Request) -> None:
    number = int(request.path.removeprefix("/chain/"))
    if number < LONG_CHAIN:
        request.redirect(f"/chain/{number + 1}")
    else:
        request.reply(page("End", "This is the end of a chain of redirects that is too long."))


def _away(request: _Request) -> None:
    request.redirect(_AWAY[request.path.removeprefix("/away/")].format(port=urlsplit(request.site.inner_url).port))


def _hang(request: _Request) -> None:
    request.close_connection = True
    request.site.is_over.wait()


def _drip(request: _Request) -> None:
    request.without_length()
    while not request.site.is_over.wait(1):
        request.wfile.write(b"a")
        request.wfile.flush()


def _short(request: _Request) -> None:
    request.close_connection = True
    request.begin(Content_Length="10000")
    request.wfile.write(b"<p>This page ends before its time.</p>")


def _closed(request: _Request) -> None:
    request.close_connection = True


@cache
def gzip_bomb() -> bytes:
    """A gzip member of :data:`BOMB_BYTES` zeros; after a full flush the same input gives the same output."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(MEBIBYTE)
    first = compressor.compress(zeros) + compressor.flush(zlib.Z_FULL_FLUSH)
    again = compressor.compress(zeros) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(BOMB_BYTES // MEBIBYTE):
        checksum = zlib.crc32(zeros, checksum)
    header = b"\x1f\x8b\x08\0\0\0\0\0\0\x03"
    end = compressor.flush() + checksum.to_bytes(4, "little") + (BOMB_BYTES % 2**32).to_bytes(4, "little")
    return header + first + again * (BOMB_BYTES // MEBIBYTE - 1) + end


def _bomb(request: _Request) -> None:
    request.reply(gzip_bomb(), Content_Encoding="gzip")


def _large(request: _Request) -> None:
    request.begin(Content_Length=str(ENDLESS_PAGE_BYTES))
    block = (b"<p>" + b"A large page goes on and on. " * 30 + b"</p>\n").ljust(1024)
    request.wfile.write(b"<html><head><title>Large</title></head><body><main>".ljust(1024))
    for _ in range(ENDLESS_PAGE_BYTES // 1024 - 1):
        request.wfile.write(block)


def _deep(request: _Request) -> None:
    request.reply("<div>" * 20_000 + "A text at the bottom." + "</div>" * 20_000)


def _many_links(request: _Request) -> None:
    links = "".join(f"<a href='/numbered?n={number}'>{number}</a> " for number in range(LINKS))
    request.reply(page("Many links", request.site.good["/many-links"], body=links))


def _numbered(request: _Request) -> None:
    request.reply(page("Numbered", f"This is one of {LINKS} pages that say this, and its number is {request.query}."))


def _calendar(request: _Request) -> None:
    month, year = int(request.query.get("month", 11)), int(request.query.get("year", 2026))
    before, after = (month - 2) % 12 + 1, month % 12 + 1
    links = (
        f"/calendar?month={before}&year={year - (month == 1)}",
        f"/calendar?month={after}&year={year + (month == 12)}",
        f"/calendar/{year - (month == 1)}/{before:02}/",
        f"/calendar/{year + (month == 12)}/{after:02}/",
    )
    request.reply(
        page(f"{month}/{year}", f"Nothing happens in month {month} of the year {year} as far as we know.", *links)
    )


def _calendar_path(request: _Request) -> None:
    year, month = (int(part) for part in request.path.strip("/").split("/")[1:])
    request.path = f"/calendar?month={month}&year={year}"
    _calendar(request)


def _session(request: _Request) -> None:
    token = request.site.token
    links = (f"/session/?sid={token()}", f"/session/;jsessionid={token()}", f"/session/?PHPSESSID={token()}")
    request.reply(page("Session", request.site.good["/session/"], *links))


def _lobby(request: _Request) -> None:
    links = (f"/lobby?visit={request.site.token()}", f"/lobby?visit={request.site.token()}")
    request.reply(page("Lobby", "Whoever comes into this lobby is counted as another visitor.", *links))


def _loop(request: _Request) -> None:
    request.reply(page("Loop", "This page has relative links and is found below any path.", "a/b/", "b/"))


def _shop(request: _Request) -> None:
    chosen = request.query
    links = [
        "/shop?" + "&".join(f"{name}={value}" for name, value in sorted({**chosen, facet: option}.items()))
        for facet, options in _FACETS.items()
        for option in options
    ]
    request.reply(page("Shop", f"All goods of our shop, as you have chosen: {chosen or 'everything'}.", *links))


def _versioned(request: _Request) -> None:
    site = request.site
    kind = request.path.rsplit("/", 1)[1]
    etag, modified = f'"v{site.version}"', LAST_MODIFIED[min(site.version, 1)]
    headers = {"ETag": etag} if kind == "etag" else {"Last_Modified": modified}
    if kind == "both":
        headers = {"ETag": etag, "Last_Modified": modified}
    is_known = (
        request.headers["If-None-Match"] == etag
        if "ETag" in headers
        else request.headers["If-Modified-Since"] == modified
    )
    if is_known:
        request.reply(b"", 304, None, **headers)
    else:
        request.reply(page("Versioned", f"{site.good[request.path]} It is version {site.version}."), **headers)


def _sitemap_index(request: _Request) -> None:
    parts = "".join(f"<sitemap><loc>{request.site.url}/{name}</loc></sitemap>" for name in _SITEMAPS)
    request.reply(f'<sitemapindex xmlns="{_SITEMAP_SPACE}">{parts}</sitemapindex>', content_type="application/xml")


def _sitemap(request: _Request) -> None:
    number = _SITEMAPS.index(request.path.strip("/"))
    entry = f"<url><loc>{request.site.url}/from-sitemap/{number}</loc><lastmod>2026-11-01</lastmod></url>"
    part = gzip.compress(f'<urlset xmlns="{_SITEMAP_SPACE}">{entry}</urlset>'.encode(), mtime=0)
    request.reply(part[: len(part) // 2] if number == 1 else part, content_type="application/gzip")


def _feed(request: _Request) -> None:
    site = request.site
    if request.path == "/rss.xml":
        item = f"<item><title>One</title><link>{site.url}/from-feed/rss</link></item>"
        request.reply(f'<rss version="2.0"><channel><title>News</title>{item}</channel></rss>', content_type="text/xml")
        return
    entry = f'<entry><title>Two</title><link rel="alternate" href="{site.url}/from-feed/atom"/></entry>'
    request.reply(
        f'<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>{entry}</feed>',
        content_type="application/atom+xml",
    )


def _found(request: _Request) -> None:
    request.reply(page("Found", f"This page at {request.path} is named by a list and by no other page."))


def _fixed(
    body: bytes | str, *, status: int = 200, content_type: str | None = "text/html; charset=utf-8", **headers: str
) -> Callable[[_Request], None]:
    return lambda request: request.reply(body, status, content_type, **headers)


def _to(target: str) -> Callable[[_Request], None]:
    return lambda request: request.redirect(target)


_SITEMAP_SPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
_SITEMAPS = ("sitemap-0.xml.gz", "sitemap-broken.xml.gz", "sitemap-2.xml.gz")
_FACETS = {
    "color": ("red", "green", "blue", "black", "white", "pink"),
    "size": ("s", "m", "l", "xl", "xxl"),
    "sort": ("price", "name", "date", "rating"),
    "page": tuple("123456789"),
}
_AWAY = {
    "loopback": "http://127.0.0.1:{port}/",
    "hexadecimal": "http://0x7f000001:{port}/",
    "number": "http://2130706433:{port}/",
    "octal": "http://0177.0.0.1:{port}/",
    "short": "http://127.1:{port}/",
    "mapped": "http://[::ffff:127.0.0.1]:{port}/",
    "name": "http://localhost:{port}/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "shared": "http://100.64.0.1/",
    "file": "file:///etc/passwd",
    "ftp": "ftp://127.0.0.1/",
    "credentials": "http://user:secret@127.0.0.1:{port}/",
}
_TRAPS_BEGIN = ("/calendar", "/loop/", "/shop", "/lobby")
_REJECTED = {
    "/status/404": "http_404",
    "/status/410": "http_410",
    "/status/403": "http_403",
    "/status/500": "http_500",
    "/redirect/loop/a": "redirect_loop",
    "/redirect/self": "redirect_loop",
    "/hang": "timeout",
    "/drip": "timeout",
    "/closed": "connection_failed",
    "/bomb": "too_large",
    "/deep": "too_deep",
    "/empty": "empty_text",
    "/binary": "not_text",
    "/json": "not_text",
    **{f"/away/{name}": "offsite_redirect" for name in _AWAY},
}
"""What a page comes to. Of ``/short``, ``/chain/0`` and ``/large`` it depends on the limits that are set."""

_TITLED = "This page says something about itself to those who collect pages."
_HEADS = {
    "/meta/noindex": '<meta name="robots" content="noindex">',
    "/meta/nofollow": '<meta name="robots" content="nofollow">',
    "/meta/canonical": '<link rel="canonical" href="/good/1">',
    "/meta/published": f'<meta property="article:published_time" content="{PUBLISHED}">',
}
_EXACT: dict[str, Callable[[_Request], None]] = {
    "/": _index,
    "/robots.txt": lambda request: request.reply(
        ROBOTS + f"Sitemap: {request.site.url}/sitemap.xml\n", content_type="application/octet-stream"
    ),
    "/sitemap.xml": _sitemap_index,
    **{f"/{name}": _sitemap for name in _SITEMAPS},
    "/rss.xml": _feed,
    "/atom.xml": _feed,
    "/flaky": _flaky,
    "/too-many": _too_many,
    "/redirect/loop/a": _to("/redirect/loop/b"),
    "/redirect/loop/b": _to("/redirect/loop/a"),
    "/redirect/self": _to("/redirect/self"),
    "/redirect/good": _to("/good/1"),
    "/hang": _hang,
    "/drip": _drip,
    "/short": _short,
    "/closed": _closed,
    "/bomb": _bomb,
    "/large": _large,
    "/deep": _deep,
    "/many-links": _many_links,
    "/numbered": _numbered,
    "/calendar": _calendar,
    "/lobby": _lobby,
    "/shop": _shop,
    "/empty": _fixed(b""),
    "/binary": _fixed(b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0" * 64),
    "/json": _fixed(b'{"articles": [{"id": 1, "title": "No page but data"}]}'),
    "/no-type": _fixed(page("No type", "This page comes without a content type, which is allowed."), content_type=None),
    "/header/noindex": _fixed(page("Header", _TITLED), X_Robots_Tag="noindex"),
    **{path: _fixed(page(path, f"{_TITLED} {path}", head=head)) for path, head in _HEADS.items()},
    "/meta/nofollow": _fixed(
        page("Nofollow", f"{_TITLED} /meta/nofollow", "/unfollowed", head=_HEADS["/meta/nofollow"])
    ),
    "/plans.secret": _found,
}
_BELOW: dict[str, Callable[[_Request], None]] = {
    "/good/": _good,
    "/charset/": _charset,
    "/status/": _status,
    "/chain/": _chain,
    "/away/": _away,
    "/calendar/": _calendar_path,
    "/session/": _session,
    "/loop/": _loop,
    "/versioned/": _versioned,
    "/from-sitemap/": _found,
    "/from-feed/": _found,
    "/private/": _found,
    "/unfollowed": _found,
}


def _tell_truth(site: HostileSite) -> None:
    site.good |= {f"/good/{number}": _sentence(number) for number in range(GOOD_PAGES)}
    site.good |= {f"/charset/{variant.name}": variant.sentence for variant in VARIANTS}
    site.good |= {path: f"This page at {path} changes now and then." for path in VERSIONED}
    site.good |= {f"/meta/{name}": f"{_TITLED} /meta/{name}" for name in ("nofollow", "published")}
    site.good |= {
        "/no-type": "This page comes without a content type, which is allowed.",
        "/flaky": "This page is there when it is asked for a third time.",
        "/too-many": "This page is there for those who wait as long as they are told.",
        "/many-links": "This page has more links than anybody will follow.",
        "/session/": "This page gives each visitor a session of his own.",
    }
    site.rejected |= _REJECTED
    site.removed |= {
        "/meta/noindex": "noindex",
        "/header/noindex": "noindex",
        "/meta/canonical": "canonical",
        "/redirect/good": "redirected",
    }
