"""Scrapy and trafilatura as their tutorials put them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import trafilatura
from scrapy.http import HtmlResponse, Response
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule

from benchmarks.crawl.contestants.scrapy_crawl import run


class Spider(CrawlSpider):  # type: ignore[misc]
    name = "tutorial"
    allowed_domains = ("127.0.0.1",)
    rules = (Rule(LinkExtractor(), callback="parse_item", follow=True),)

    def parse_start_url(self, response: Response, **kwargs: Any) -> Iterator[dict[str, Any]]:
        return self.parse_item(response)

    def parse_item(self, response: Response) -> Iterator[dict[str, Any]]:
        if isinstance(response, HtmlResponse):
            yield {
                "url": response.url,
                "title": response.css("title::text").get(),
                "text": trafilatura.extract(response.text),
            }


def crawl(url: str, destination: str) -> dict[str, Any]:
    """Crawl ``url``."""
    return run(Spider, url, destination)
