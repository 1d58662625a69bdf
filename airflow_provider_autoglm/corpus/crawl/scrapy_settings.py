"""The crawl's settings in Scrapy's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrapy.settings import BaseSettings

from airflow_provider_autoglm.corpus.crawl.job import CrawlJob
from airflow_provider_autoglm.settings import CrawlSettings

_ROOM = "airflow_provider_autoglm.corpus.crawl"
_MANNERS_PRIORITY = 50
"""Nearest to the engine: the first to see a request and the last to see an answer."""
_COMPRESSION_PRIORITY = 590
"""In the place of HttpCompressionMiddleware."""
_RENDERING_PRIORITY = 60
"""It sees answers that no other middleware asks for again, unpacked, and before they count as answered."""
_WIRE_PRIORITY = 800
"""Behind HttpProxyMiddleware (750)."""

_QUIET: dict[str, Any] = {
    "COOKIES_ENABLED": False,
    "DOWNLOAD_DELAY_JITTER": 0,
    "DOWNLOAD_VERIFY_CERTIFICATES": True,
    "DOWNLOAD_WARNSIZE": 0,
    "HTTPERROR_ALLOW_ALL": True,
    "LOG_ENABLED": False,
    "LOG_INSTALL_ROOT_HANDLER": False,
    "LOG_VERSIONS": [],
    "LOGSTATS_INTERVAL": 0,
    "MEMUSAGE_ENABLED": False,
    "METAREFRESH_ENABLED": False,
    "REDIRECT_ENABLED": False,
    "REFERER_ENABLED": False,
    "RETRY_GIVE_UP_LOG_LEVEL": "DEBUG",
    "STATS_DUMP": False,
}


def scrapy_settings(job: CrawlJob, sites: int) -> dict[str, Any]:
    """What Scrapy is started with; a user's own spider has its own settings between the defaults and the guards."""
    settings = job.settings
    own = job.spider is not None
    chosen = (_own_defaults() if own else dict(_QUIET)) | _limits(settings, sites)
    if job.spider is not None:
        chosen |= job.spider.settings
    return chosen | _guards(chosen, settings)


def guard(chosen: BaseSettings, settings: CrawlSettings) -> None:
    """Put what nobody changes above what a spider class chooses for itself (``custom_settings``)."""
    for name, value in _guards(chosen, settings).items():
        chosen.set(name, value, priority="cmdline")


def _own_defaults() -> dict[str, Any]:
    """Of a user's own spider Scrapy follows redirects and keeps cookies, as its author expects."""
    kept = ("COOKIES_ENABLED", "REDIRECT_ENABLED", "METAREFRESH_ENABLED", "REFERER_ENABLED", "HTTPERROR_ALLOW_ALL")
    of_items = {"DEFAULT_DROPITEM_LOG_LEVEL": "DEBUG", "LOG_FORMATTER": f"{_ROOM}.own_spider.ItemlessLogFormatter"}
    return {name: value for name, value in _QUIET.items() if name not in kept} | of_items


def _limits(settings: CrawlSettings, sites: int) -> dict[str, Any]:
    return {
        "AUTOTHROTTLE_ENABLED": settings.autothrottle,
        "AUTOTHROTTLE_START_DELAY": settings.delay_s,
        "AUTOTHROTTLE_TARGET_CONCURRENCY": float(settings.concurrency),
        "CONCURRENT_REQUESTS": min(settings.concurrency * sites, 256),
        "CONCURRENT_REQUESTS_PER_DOMAIN": settings.concurrency,
        "DOWNLOAD_DELAY": settings.delay_s,
        "DOWNLOAD_TIMEOUT": settings.timeout_s,
        "RETRY_TIMES": settings.retries,
    }


def _guards(chosen: Mapping[str, Any], settings: CrawlSettings) -> dict[str, Any]:
    """What nobody changes: the frontier, the guards, and the schemes that are no web."""
    ours = {
        f"{_ROOM}.manners.MannersMiddleware": _MANNERS_PRIORITY,
        f"{_ROOM}.wire.BoundedCompressionMiddleware": _COMPRESSION_PRIORITY,
        "scrapy.downloadermiddlewares.httpcompression.HttpCompressionMiddleware": None,
        f"{_ROOM}.wire.WireMiddleware": _WIRE_PRIORITY,
    }
    if settings.javascript:
        ours[f"{_ROOM}.rendering.RenderingMiddleware"] = _RENDERING_PRIORITY
    found_in = {f"{_ROOM}.scheduler.FoundInMiddleware": _MANNERS_PRIORITY}
    return {
        "AUTOGLM_ALLOW_NETWORKS": list(settings.allow_networks),
        "DEPTH_LIMIT": settings.max_depth,
        "DOWNLOADER_MIDDLEWARES": dict(chosen.get("DOWNLOADER_MIDDLEWARES") or {}) | ours,
        # Another handler of the web would connect by itself, to addresses that nobody checked.
        "DOWNLOAD_HANDLERS": dict(chosen.get("DOWNLOAD_HANDLERS") or {})
        | dict.fromkeys(("http", "https"), f"{_ROOM}.handler.BoundedHeadDownloadHandler")
        | dict.fromkeys(("data", "file", "ftp", "s3")),
        "REMOTE_CONTROL_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "SPIDER_MIDDLEWARES": dict(chosen.get("SPIDER_MIDDLEWARES") or {}) | found_in,
        "SCHEDULER": f"{_ROOM}.scheduler.FrontierScheduler",
        "TELNETCONSOLE_ENABLED": False,
        # Without Twisted's reactor Scrapy connects by other handlers, which ask no resolver of ours.
        "TWISTED_REACTOR_ENABLED": True,
        "TWISTED_DNS_RESOLVER": f"{_ROOM}.resolver.GuardedResolver",
        "USER_AGENT": settings.full_user_agent,
    }
