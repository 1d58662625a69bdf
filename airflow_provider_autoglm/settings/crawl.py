"""Settings of the crawl."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

from pydantic import Field, field_validator

from airflow_provider_autoglm.settings.base import Settings, refuse_userinfo

CONTACT_REQUIRED = "crawl.contact: required to visit web sites; an e-mail or web address where their owners reach you"
_MEBIBYTE = 1024 * 1024


class CrawlSettings(Settings):
    """How sites are visited."""

    contact: str = Field(
        default="",
        max_length=300,
        description="E-mail or web address of who runs the crawl, sent with every request; needed to visit web sites.",
    )
    max_pages: int = Field(default=10_000, ge=1, le=10_000_000, description="URLs attempted at most, all sources.")
    max_pages_per_host: int = Field(
        default=10_000_000, ge=1, le=10_000_000, description="URLs attempted at most, on one host and port."
    )
    max_depth: int = Field(default=10, ge=0, le=1_000, description="Links followed from a start page at most.")
    max_total_bytes: int = Field(
        default=1024 * 1024 * _MEBIBYTE, ge=1, description="Bytes downloaded at most; no page is begun beyond."
    )
    max_duration_s: float = Field(
        default=7 * 24 * 3600.0, gt=0, description="Seconds of crawling at most, over all tries; then it is complete."
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Requests under way at once, for each host.")
    delay_s: float = Field(default=0.25, ge=0, le=600, description="Seconds between two requests to one host at least.")
    autothrottle: bool = Field(default=True, description="Ask a host that answers slowly more slowly (AutoThrottle).")
    timeout_s: float = Field(
        default=30, gt=0, le=600, description="Seconds until an answer must be complete, however slowly it drips."
    )
    retries: int = Field(default=2, ge=0, le=10, description="Further tries after a timeout, a reset or a 5xx answer.")
    max_page_bytes: int = Field(
        default=10 * _MEBIBYTE,
        ge=1_024,
        le=1_024 * _MEBIBYTE,
        description="Bytes read of one page; the rest is cut off. A compressed page that unpacks to more is rejected.",
    )
    parse_timeout_s: float = Field(
        default=10, gt=0, le=600, description="Seconds a page may take to be parsed before it is rejected."
    )
    obey_robots: bool = Field(default=True, description="Obey robots.txt of each host, its Crawl-delay too.")
    obey_noindex: bool = Field(default=True, description="Leave out pages that say `noindex`.")
    obey_canonical: bool = Field(
        default=True, description="Leave out a page that names another one of its host as canonical, and visit that."
    )
    use_sitemap: bool = Field(default=True, description="Also visit the pages of the sitemaps named in robots.txt.")
    extractor: Literal["resiliparse", "trafilatura"] = Field(
        default="resiliparse", description="What finds the main text; `trafilatura` needs the extra of that name."
    )
    javascript: bool = Field(
        default=False,
        description="Have pages drawn by Chromium, with what their scripts load; needs the extra `browser`.",
    )
    javascript_wait_s: float = Field(
        default=5, gt=0, le=120, description="Seconds that scripts of a page may go on loading, if they do not stop."
    )
    incremental: bool = Field(
        default=True,
        description="Ask only for what changed since the last run whose dataset was published, and leave out the rest.",
    )
    emit_unchanged: bool = Field(
        default=False,
        description="Let unchanged pages through too, downloaded again; set where `publish.window_days` is.",
    )
    allow_networks: tuple[str, ...] = Field(
        default=(),
        description="Private addresses or networks (CIDR) that may be asked; all others are refused, also by redirect.",
    )
    user_agent: str = Field(
        default="airflow-provider-autoglm/0.1",
        min_length=1,
        max_length=500,
        description="User-Agent header, to which `contact` is added, and the name robots.txt is read for.",
    )
    pages_per_shard: int = Field(default=500, ge=1, le=100_000, description="Pages written to one shard.")
    max_rejected_fraction: float = Field(
        default=0.5, ge=0, le=1, description="Share of attempted URLs that may fail before the stage fails."
    )

    @field_validator("contact")
    @classmethod
    def _reachable(cls, value: str) -> str:
        if value and "@" not in value and not refuse_userinfo(value).startswith(("http://", "https://")):
            raise ValueError("must be an e-mail address or a web address")
        return value

    @field_validator("allow_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @property
    def full_user_agent(self) -> str:
        """The header that is sent."""
        return f"{self.user_agent} (+{self.contact})"
