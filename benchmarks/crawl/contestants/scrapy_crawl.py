"""What the peers have in common: a spider that follows all links of a site, and a JSON Lines file of its texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import scrapy
from scrapy.crawler import CrawlerProcess


def run(spider: type[scrapy.Spider], url: str, destination: str) -> dict[str, Any]:
    """Crawl with Scrapy's defaults, as fast as the site answers."""
    output = f"{destination}.jsonl"
    process = CrawlerProcess(
        {
            "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
            "DOWNLOAD_DELAY": 0,
            "FEEDS": {output: {"format": "jsonlines", "overwrite": True}},
            "LOG_LEVEL": "WARNING",
            "ROBOTSTXT_OBEY": True,
        }
    )
    process.crawl(spider, start_urls=[url])
    process.start()
    urls = [json.loads(line)["url"] for line in Path(output).read_text().splitlines()]
    return {"urls": urls, "aside": {}}
