"""The reasons of a crawl in words, for people who look at a report."""

from __future__ import annotations

from http import HTTPStatus

_HTTP = "http_"

_REASONS = {
    "timeout": "the whole answer did not come within timeout_s",
    "browser_crashed": "the browser, or the page in it, died at every try (crawl.javascript)",
    "dns": "the host has no address",
    "connection_failed": "no connection, or one that broke",
    "too_large": "a compressed page that unpacks to more than max_page_bytes",
    "bad_encoding": "a compressed body that cannot be unpacked",
    "private_address": "a private address that allow_networks does not list; it was not asked",
    "proxy_refused": "the proxy is at a private address that allow_networks does not list",
    "scheme": "no address of the web; it was not asked",
    "credentials": "an address with a user name or password; it was not asked",
    "robots": "robots.txt of the host forbids it; it was not asked",
    "robots_unavailable": "robots.txt of the host cannot be had, so nothing there is asked for (RFC 9309)",
    "offsite_redirect": "it redirects to a site that is no source",
    "redirect_loop": "its redirects lead back to it",
    "too_many_redirects": "a chain of more than 20 redirects",
    "no_entries": "a sitemap or feed that lists nothing, or is none",
    "gone": "404 or 410 for a page that an earlier crawl had",
    "crawl_error": "an error while the page was taken in, which the task log names",
    "empty_text": "no main text was found",
    "missing_text": "no value for the text",
    "not_text": "no HTML or plain text, whatever its header says",
    "invalid_text": "characters that no text can have",
    "invalid_utf8": "bytes that are no UTF-8",
    "too_deep": "elements nested too deeply to be read",
    "parse_error": "a parser gave up or died",
    "parse_timeout": "parsing took longer than parse_timeout_s",
    "item_error": "what the spider yields is no item, or a pipeline failed on it",
    "spider_error": "a callback of the spider raised",
    "invalid_record": "a record that cannot be read",
    "invalid_value": "a value of a record that cannot be what its column wants",
    "invalid_encoding": "bytes that are no text in the encoding of the source",
    "redirected": "it redirects; the target is an address of its own",
    "canonical": "it names another page as its canonical address, which is visited (obey_canonical)",
    "noindex": "it asks not to be indexed (obey_noindex)",
    "no_item": "the spider yielded no item for it",
    "dropped": "a pipeline of the spider dropped the item",
}

_NOT_VISITED = {
    "max_pages": "found after max_pages addresses",
    "max_pages_per_host": "found after max_pages_per_host addresses of their host",
    "max_duration_s": "max_duration_s was over",
    "max_total_bytes": "max_total_bytes were downloaded",
    "close_spider": "the spider had enough (CloseSpider)",
    "offsite": "pages of a sitemap that are on another host",
    "sitemaps": "sitemaps beyond as many as pages are allowed",
    "no_web_address": "requests of the spider for something else than http and https",
    "calendar": "trap: dates without end",
    "twins": "trap: other queries of a path that said the same under several",
    "repeating_path": "trap: segments of the path repeat",
    "long_path": "trap: a path of too many segments",
}


def reason_in_words(reason: str) -> str:
    """Why a row was rejected or removed; nothing for a reason that is not of this version."""
    if reason.startswith(_HTTP):
        return f"the server answered {_status_in_words(reason.removeprefix(_HTTP))}"
    return _REASONS.get(reason, "")


def limit_in_words(name: str) -> str:
    """What kept an address from being visited."""
    return _NOT_VISITED.get(name, "")


def _status_in_words(status: str) -> str:
    try:
        return f"{status} {HTTPStatus(int(status)).phrase}"
    except ValueError:
        return status
