"""Scrapy with selectolax for links and all text of the body: no main text, no language, no charset of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy.http import HtmlResponse, Response
from selectolax.lexbor import LexborHTMLParser

from benchmarks.crawl.contestants.scrapy_crawl import run


class Spider(scrapy.Spider):  # type: ignore[misc]
    name = "selectolax"
    allowed_domains = ("127.0.0.1",)

    def parse(self, response: Response) -> Iterator[Any]:
        if not isinstance(response, HtmlResponse):
            return
        tree = LexborHTMLParser(response.text)
        title = tree.css_first("title")
        body = tree.body
        yield {
            "url": response.url,
            "title": title.text() if title else None,
            "text": body.text(separator=" ", strip=True) if body else "",
        }
        for anchor in tree.css("a[href]"):
            href = anchor.attributes.get("href")
            if href and not href.startswith(("#", "mailto:", "javascript:")):
                yield response.follow(href)


def crawl(url: str, destination: str) -> dict[str, Any]:
    """Crawl ``url``."""
    return run(Spider, url, destination)
