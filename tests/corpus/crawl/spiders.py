"""Spiders as users write them; the crawl's child process imports them from here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import scrapy
from scrapy.exceptions import CloseSpider, DropItem
from scrapy.http import FormRequest, Response
from scrapy.utils.request import referer_str

PAGES = 30
GREETING = "naïve Grüße"


class Article(scrapy.Item):  # type: ignore[misc]
    text = scrapy.Field()
    title = scrapy.Field()


@dataclass
class Comment:
    text: str
    url: str
    published_at: str
    status: str
    stars: int


class ArticleSpider(scrapy.Spider):  # type: ignore[misc]
    """One article a page, and the links of a page as Scrapy's tutorial follows them."""

    name = "articles"

    def __init__(self, start: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_urls = [start]

    def parse(self, response: Response) -> Iterator[Any]:
        yield Article(text=response.css("p::text").get(), title=response.css("title::text").get())
        yield from response.follow_all(css="a")


class ManyItemsSpider(ArticleSpider):
    """Items of every kind, several of one page."""

    name = "many"

    def parse(self, response: Response) -> Iterator[Any]:
        yield {"text": "an item that is a dict", "source": "notes", "tags": ["a", "ü"], "depth": "deep"}
        yield Comment(
            text="an item that is a dataclass",
            url=f"{response.url}#comment",
            published_at="2026-01-02T03:04:05",
            status="approved",
            stars=5,
        )
        yield Article(text="an item of a class of its own")
        yield {"text": None, "title": "without a text"}
        yield object()
        yield {"text": "half a pair \ud800 in it", "published_at": "yesterday"}


class SessionSpider(scrapy.Spider):  # type: ignore[misc]
    """Logs in by a form, and carries on what it knows by ``meta`` and ``cb_kwargs``."""

    name = "session"

    def __init__(self, start: str) -> None:
        super().__init__()
        self.start_page = start

    async def start(self) -> AsyncIterator[Any]:
        yield FormRequest(
            f"{self.start_page}/login",
            formdata={"greeting": GREETING},
            headers={"X-Greeting": GREETING.encode()},
            callback=self.logged_in,
            cb_kwargs={"topic": "größe"},
            meta={"level": 2},
        )

    def logged_in(self, response: Response, topic: str) -> Iterator[Any]:
        yield {"text": f"{response.text} {topic} {response.meta['level']}"}
        yield response.follow("/moved", callback=self.member, meta=response.meta, errback=self.failed)
        yield response.follow("/missing", callback=self.member, errback=self.failed)

    async def member(self, response: Response) -> AsyncIterator[Any]:
        cookie = (response.request.headers.get("Cookie") or b"").decode()
        known = f"level {response.meta['level']} cookie {cookie} from {referer_str(response.request)}"
        yield {"text": f"{response.text} {known}"}

    def failed(self, failure: Any) -> Iterator[Any]:
        yield {"text": f"an errback was told of {failure.value.response.status}"}


class AgainSpider(ArticleSpider):
    """Asks for a page again, since it got something else than it wanted, or to read it in another way."""

    name = "again"

    def parse(self, response: Response) -> Iterator[Any]:
        if "busy" in response.text:
            yield response.request.replace(dont_filter=True)
        else:
            yield {"text": response.text}
            yield scrapy.Request(response.url, self.other, dont_filter=True)
            yield scrapy.Request(response.url + "?down", errback=self.down, meta=response.meta)

    def other(self, response: Response) -> Iterator[Any]:
        yield {"text": f"read in another way: {response.text}"}

    def down(self, failure: Any) -> Iterator[Any]:
        yield failure.request.replace(url=failure.request.url.replace("down", "up"), callback=self.other)


class ProblemSpider(ArticleSpider):
    """One page makes its callback fail, one gives no item at all, one names an address that is none of the web."""

    name = "problems"

    def parse(self, response: Response) -> Iterator[Any]:
        if response.url.endswith("/breaks"):
            yield {"text": "before it broke"}
            raise ValueError("no such element")
        if response.url.endswith("/object"):
            yield object()
        if response.url.endswith("/nothing"):
            yield scrapy.Request("ftp://example.org/file")
            return
        yield from super().parse(response)


class DroppingPipeline:
    """A user's pipeline that takes no item about advertisement and trips over another."""

    def process_item(self, item: Any) -> Any:
        if "/dropped" in item["text"]:
            raise DropItem("advertisement")
        if "/tripped" in item["text"]:
            raise KeyError("price")
        item["text"] = item["text"].upper()
        return item


class ReservedSpider(ArticleSpider):
    """Chooses settings of Scrapy for itself that would go round what every crawl keeps to."""

    name = "reserved"
    custom_settings = {  # noqa: RUF012 - as Scrapy has it
        "DEPTH_LIMIT": 0,
        "DOWNLOADER_MIDDLEWARES": {"airflow_provider_autoglm.corpus.crawl.manners.MannersMiddleware": None},
        "DOWNLOAD_HANDLERS": {"file": "scrapy.core.downloader.handlers.file.FileDownloadHandler"},
        "ITEM_PIPELINES": {"tests.corpus.crawl.spiders.DroppingPipeline": 300},
        "ROBOTSTXT_OBEY": False,
        "SCHEDULER": "scrapy.core.scheduler.Scheduler",
        "SPIDER_MIDDLEWARES": {"airflow_provider_autoglm.corpus.crawl.scheduler.FoundInMiddleware": None},
        "TELNETCONSOLE_ENABLED": True,
        "USER_AGENT": "somebody else",
    }


class EnoughSpider(ArticleSpider):
    """Has enough after some pages."""

    name = "enough"
    seen = 0

    def parse(self, response: Response) -> Iterator[Any]:
        self.seen += 1
        if self.seen == 3:
            raise CloseSpider("enough")
        yield from super().parse(response)


class LambdaSpider(ArticleSpider):
    """Its requests have a callback that no other process finds."""

    name = "lambda"

    def parse(self, response: Response) -> Iterator[Any]:
        yield {"text": "of the start page"}
        yield response.follow("/a", callback=lambda found: {"text": found.text})
        yield response.follow("/b")


class ObjectSpider(ArticleSpider):
    """Its requests carry what cannot be kept."""

    name = "object"

    def parse(self, response: Response) -> Iterator[Any]:
        yield response.follow("/a", cb_kwargs={"since": datetime(2026, 1, 1)})


class BrokenStartSpider(scrapy.Spider):  # type: ignore[misc]
    """Its start() fails after one request."""

    name = "broken-start"

    def __init__(self, start: str) -> None:
        super().__init__()
        self.start_page = start

    async def start(self) -> AsyncIterator[Any]:
        yield scrapy.Request(self.start_page)
        raise ValueError("no more")

    def parse(self, response: Response) -> Iterator[Any]:
        yield {"text": "of the start page"}


class ItemOfStartSpider(BrokenStartSpider):
    """Its start() yields an item."""

    name = "item-of-start"

    async def start(self) -> AsyncIterator[Any]:
        yield {"text": "of no page"}


class BrokenPipeline:
    """A user's pipeline that cannot begin."""

    def open_spider(self) -> None:
        raise ConnectionError("no database")


NO_SPIDER = "a text"


class JavaScriptSpider(scrapy.Spider):  # type: ignore[misc]
    """Has one page drawn by a browser, and another one not."""

    name = "javascript"

    def __init__(self, site: str) -> None:
        super().__init__()
        self.site = site

    async def start(self) -> AsyncIterator[Any]:
        yield scrapy.Request(f"{self.site}/drawn", meta={"javascript": True})
        yield scrapy.Request(f"{self.site}/plain")

    def parse(self, response: Response) -> Iterator[Any]:
        yield {"text": " ".join([response.css("title::text").get(""), "said:", *response.css("main p::text").getall()])}
