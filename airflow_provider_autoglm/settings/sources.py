"""What a source of documents is: a web site, its sitemap or feed, files, or a dataset."""

from __future__ import annotations

import codecs
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from airflow_provider_autoglm.settings.base import Settings, refuse_userinfo

Format = Literal["parquet", "arrow", "csv", "tsv", "jsonl", "json", "xml", "warc", "wet"]
"""What a file of records is read as."""

_KINDS = ("url", "sitemap", "feed", "files", "dataset")
_ONLY_FOR = {
    "fields": ("files", "dataset"),
    "conn_id": ("files", "dataset"),
    "format": ("files",),
    "records": ("files",),
    "encoding": ("files",),
    "delimiter": ("files",),
    "split": ("dataset",),
}


class Source(Settings):
    """Where documents come from: exactly one of the first five keys; a bare string is an address or files."""

    url: str | None = Field(
        default=None, description="Address a crawl starts at; pages on the same host and port are followed."
    )
    sitemap: str | None = Field(
        default=None, description="Address of a sitemap or sitemap index: its pages, without following their links."
    )
    feed: str | None = Field(
        default=None, description="Address of an RSS or Atom feed: the pages of its entries, without following links."
    )
    files: str | None = Field(
        default=None,
        description="URI of a file, of a folder (the files directly in it) or a glob (`*`, `?`, `[…]`, `**`): Parquet, "
        "Arrow, CSV, TSV, JSON, JSON Lines, XML, WARC, WET; all but the first two also as `.gz`, `.bz2`, `.zst`.",
    )
    dataset: str | None = Field(
        default=None,
        description="URI of a Hugging Face dataset: a folder that `save_to_disk` wrote, or one of Parquet files.",
    )
    name: str = Field(
        default="", description="Value of the column `source`; empty takes the host or the file name.", max_length=200
    )
    format: Format | None = Field(default=None, description="What `files` are; null goes by the ending of each name.")
    fields: dict[str, str] = Field(
        default={},
        description='Columns to take, and where each is in a record: `{"text": "body.content"}`; a column\'s name, in '
        "JSON also a dotted path or a JSON pointer, in XML an element path (`link/@href`). Empty takes all.",
    )
    records: str = Field(
        default="",
        description="Path of the records in a JSON or XML document; empty takes the outermost list, or the children of "
        "the root element.",
        max_length=1_000,
    )
    encoding: str = Field(
        default="", description="Python codec of CSV, TSV, JSON and XML; empty detects it.", max_length=50
    )
    delimiter: str = Field(
        default="", description="Character between the cells of CSV; empty is a comma, in TSV a tab.", max_length=1
    )
    split: str = Field(default="", description="The one split of `dataset` to read; empty reads all.", max_length=200)
    conn_id: str = Field(
        default="",
        description="Airflow connection of the storage with `files` or `dataset`; empty takes `storage_conn_id` for "
        "other places than local files.",
        max_length=250,
    )

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {"url": value} if value.startswith(("http://", "https://")) else {"files": value}

    @field_validator("url", "sitemap", "feed")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(refuse_userinfo(value))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address with a host")
        return value

    @field_validator("files", "dataset")
    @classmethod
    def _file_uri(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not refuse_userinfo(value).startswith("/") and "://" not in value:
            raise ValueError("must be a URI or an absolute path; the address of a web site begins with https://")
        return value

    @field_validator("encoding")
    @classmethod
    def _codec(cls, value: str) -> str:
        try:
            is_text = not value or codecs.lookup(value)._is_text_encoding
        except LookupError:
            is_text = False
        if not is_text:
            raise ValueError("must be a text codec of Python, such as utf-8, cp1252, gb18030 or shift_jis")
        return value

    @field_validator("fields")
    @classmethod
    def _named(cls, value: dict[str, str]) -> dict[str, str]:
        if any(not column or not path for column, path in value.items()):
            raise ValueError("a column and its place must not be empty")
        if value and "text" not in value:
            raise ValueError("must say where the column text is")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"set exactly one of {', '.join(_KINDS[:-1])} and {_KINDS[-1]}")
        misplaced = [key for key, kinds in _ONLY_FOR.items() if getattr(self, key) and given[0] not in kinds]
        if misplaced:
            key = misplaced[0]
            raise ValueError(f"{key} belongs to a source with {' or '.join(_ONLY_FOR[key])}, not with {given[0]}")
        return self

    @property
    def is_web(self) -> bool:
        """Whether pages are asked for over HTTP."""
        return self.files is None and self.dataset is None

    @property
    def location(self) -> str:
        """The address or URI, whichever kind of source this is."""
        return str(next(value for kind in _KINDS if (value := getattr(self, kind)) is not None))

    @property
    def key(self) -> str:
        """What the column ``source`` holds for documents from here."""
        if self.name:
            return self.name
        if self.is_web:
            return urlsplit(self.location).netloc
        return self.location.rstrip("/").rsplit("/", 1)[-1]
