"""What robots.txt of a site allows, and the sitemaps it names (RFC 9309)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protego import Protego

from airflow_provider_autoglm.corpus.crawl.urls import resolve_url


@dataclass(frozen=True)
class Robots:
    """The rules of one site; ``refusal`` is the reason that holds for all its pages, null if rules could be read."""

    rules: Any = None
    refusal: str | None = None
    sitemaps: tuple[str, ...] = ()

    @classmethod
    def parse(cls, url: str, body: bytes) -> Robots:
        """Read a robots.txt, whatever content type it came with."""
        rules = Protego.parse(body.decode("utf-8-sig", "ignore"))
        return cls(rules, None, tuple(found for name in rules.sitemaps if (found := resolve_url(url, name))))

    def reason_against(self, url: str, user_agent: str) -> str | None:
        """Why ``url`` must not be visited, or None."""
        if self.refusal is not None:
            return self.refusal
        return None if self.rules is None or self.rules.can_fetch(url, user_agent) else "robots"
