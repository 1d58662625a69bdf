"""What a page reader and its child process send each other: a JSON message after its length, then a page's body."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pydantic import TypeAdapter

from airflow_provider_autoglm.corpus.crawl.page import Page, PageHead

PREFIX = struct.Struct(">II")
"""Bytes of the message and bytes of the body."""

READY = b"\n"
"""The child's first byte: it has imported everything."""


@dataclass(frozen=True, kw_only=True)
class ParseRequest:
    """A page to be read within ``cpu_limit_s`` seconds."""

    head: PageHead
    cpu_limit_s: float


_REQUEST = TypeAdapter(ParseRequest)
_PAGE = TypeAdapter(Page)


def encode_request(request: ParseRequest, body: bytes) -> bytes:
    """The request with the page's body."""
    message = _REQUEST.dump_json(request)
    return PREFIX.pack(len(message), len(body)) + message + body


def decode_request(message: bytes) -> ParseRequest:
    """The request without its body."""
    return _REQUEST.validate_json(message)


def encode_page(page: Page) -> bytes:
    """The answer; it has no body."""
    message = _PAGE.dump_json(page)
    return PREFIX.pack(len(message), 0) + message


def decode_page_message(message: bytes) -> Page:
    """The answer."""
    return _PAGE.validate_json(message)
