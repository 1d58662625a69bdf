"""Settings of the crawl, and what a source is."""

from __future__ import annotations

from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from airflow_provider_autoglm.settings.base import Settings, refuse_userinfo

_MEBIBYTE = 1024 * 1024


class Source(Settings):
    """Where documents come from: a web site (``url``) or Parquet files (``parquet``); a bare string is either."""

    url: str | None = Field(
        default=None, description="Address a crawl starts at; pages on the same host and port are followed."
    )
    parquet: str | None = Field(
        default=None, description="URI of one Parquet file or a folder of them, with at least the column `text`."
    )
    name: str = Field(
        default="", description="Value of the column `source`; empty takes the host or the file name.", max_length=200
    )

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {"url": value} if value.startswith(("http://", "https://")) else {"parquet": value}

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(refuse_userinfo(value))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address with a host")
        return value

    @field_validator("parquet")
    @classmethod
    def _file_uri(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not refuse_userinfo(value).startswith("/") and "://" not in value:
            raise ValueError("must be a URI or an absolute path; the address of a web site begins with https://")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.url is None) == (self.parquet is None):
            raise ValueError("set exactly one of url and parquet")
        return self

    @property
    def key(self) -> str:
        """What the column ``source`` holds for documents from here."""
        if self.name:
            return self.name
        if self.url is not None:
            return urlsplit(self.url).netloc
        return str(self.parquet).rstrip("/").rsplit("/", 1)[-1]


class CrawlSettings(Settings):
    """How sites are visited."""

    max_pages: int = Field(default=10_000, ge=1, le=10_000_000, description="URLs attempted at most, all sources.")
    max_depth: int = Field(default=10, ge=0, le=1_000, description="Links followed from a start page at most.")
    concurrency: int = Field(default=4, ge=1, le=64, description="Requests under way at once, for each host.")
    delay_s: float = Field(default=0.25, ge=0, le=600, description="Seconds between two requests to one host.")
    timeout_s: float = Field(default=30, gt=0, le=600, description="Seconds until a request counts as timed out.")
    retries: int = Field(default=2, ge=0, le=10, description="Further tries after a timeout, a reset or a 5xx answer.")
    max_page_bytes: int = Field(
        default=10 * _MEBIBYTE, ge=1_024, le=1_024 * _MEBIBYTE, description="Bytes of one page at most, decompressed."
    )
    obey_robots: bool = Field(default=True, description="Obey robots.txt of each host.")
    use_sitemap: bool = Field(default=True, description="Also visit the pages of the sitemaps named in robots.txt.")
    user_agent: str = Field(
        default="airflow-provider-autoglm/0.1 (+https://pypi.org/project/airflow-provider-autoglm)",
        min_length=1,
        max_length=500,
        description="User-Agent header, and the name robots.txt is read for.",
    )
    pages_per_shard: int = Field(default=500, ge=1, le=100_000, description="Pages written to one shard.")
    max_rejected_fraction: float = Field(
        default=0.5, ge=0, le=1, description="Share of attempted URLs that may fail before the stage fails."
    )
