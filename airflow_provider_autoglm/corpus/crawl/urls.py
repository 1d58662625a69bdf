"""Addresses: one spelling for each, and which site they belong to."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urldefrag, urljoin, urlsplit, urlunsplit

from w3lib.url import safe_url_string

LONGEST_URL = 2_083
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NO_HOST = re.compile(r"[^!-~]|[\"#/<>?@\\^`{|}]")
"""Characters that no host has once it is in ASCII (WHATWG URL, forbidden host code points)."""


@lru_cache(maxsize=65_536)
def normalise_url(url: str) -> str | None:
    """One spelling of an http(s) address, without fragment; None for anything else, and for one with credentials."""
    try:
        parts = urlsplit(safe_url_string(urldefrag(url.strip()).url))
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    if _NO_HOST.search(parts.hostname):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    normalised = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
    return normalised if len(normalised) <= LONGEST_URL else None


def resolve_url(base: str, reference: str) -> str | None:
    """``reference`` as found on the page ``base``, normalised; None if no page can be there."""
    try:
        return normalise_url(urljoin(base, reference.strip()))
    except ValueError:
        return None


def without_credentials(url: str) -> str:
    """``url`` without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def site_of(url: str) -> str:
    """``host:port`` of a normalised address; pages of one site have the same."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"


def robots_url(url: str) -> str:
    """Where the robots.txt for ``url`` lies."""
    return urljoin(url, "/robots.txt")
