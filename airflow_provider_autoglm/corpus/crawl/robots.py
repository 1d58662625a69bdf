"""What robots.txt of a site allows, and the sitemaps it names (RFC 9309)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protego import Protego

from airflow_provider_autoglm.corpus.crawl.urls import resolve_url

MAX_ROBOTS_BYTES = 512 * 1024
"""RFC 9309 asks for 500 KiB at least; what lies behind is not read."""

MAX_CRAWL_DELAY_S = 60.0
"""Seconds between two requests that a site may ask for; more is taken for this much."""

_HTTP_OK = range(200, 300)
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500
_HTTP_REDIRECT = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Robots:
    """The rules of one site; ``refusal`` is the reason that holds for all its pages, null if rules could be read."""

    rules: Any = None
    refusal: str | None = None
    sitemaps: tuple[str, ...] = ()

    @classmethod
    def parse(cls, url: str, body: bytes) -> Robots:
        """Read a robots.txt, whatever content type it came with; of one that is too long the whole lines."""
        if len(body) > MAX_ROBOTS_BYTES:
            # A rule that is cut off forbids or allows more than was meant.
            body = body[: max(body.rfind(b"\n", 0, MAX_ROBOTS_BYTES), body.rfind(b"\r", 0, MAX_ROBOTS_BYTES)) + 1]
        rules = Protego.parse(body.decode("utf-8-sig", "replace"))
        return cls(rules, None, tuple(found for name in rules.sitemaps if (found := resolve_url(url, name))))

    def reason_against(self, url: str, user_agent: str) -> str | None:
        """Why ``url`` must not be visited, or None."""
        if self.refusal is not None:
            return self.refusal
        return None if self.rules is None or self.rules.can_fetch(url, user_agent) else "robots"

    def crawl_delay_s(self, user_agent: str) -> float:
        """Seconds between two requests that the site asks for; 0 if it does not."""
        delay = None if self.rules is None else self.rules.crawl_delay(user_agent)
        return min(float(delay or 0), MAX_CRAWL_DELAY_S)


def read_robots(response: Any) -> Robots:
    """What the answer to a request for robots.txt means (RFC 9309, section 2.3.1)."""
    if response.status in _HTTP_OK:
        return Robots.parse(response.url, response.body)
    if response.status >= _HTTP_SERVER_ERROR or response.status == _HTTP_TOO_MANY_REQUESTS:
        return Robots(refusal="robots_unavailable")
    return Robots()


def redirect_of_robots(response: Any) -> str | None:
    """Where a robots.txt was moved to, or None; RFC 9309 lets that be another host, whose rules hold then."""
    location = response.headers.get("Location")
    if response.status not in _HTTP_REDIRECT or location is None:
        return None
    return resolve_url(response.url, location.decode("latin-1"))
