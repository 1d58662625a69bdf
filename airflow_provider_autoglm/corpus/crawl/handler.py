"""Scrapy's download handler with a limit for what a server may say before the body of its answer."""

from __future__ import annotations

import logging
from typing import Any

from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 256 * 1024
"""Status lines and headers of one answer. Neither Scrapy nor Twisted counts them, they bound one line alone."""

_PARSER_IS_THROUGH = ("BODY", "DONE")


class BoundedHeadDownloadHandler(HTTP11DownloadHandler):  # type: ignore[misc]
    """Breaks a connection off whose answer has no end of headers; sizes of bodies are seen to by the middlewares."""

    def __init__(self, crawler: Any) -> None:
        super().__init__(crawler)
        self._pool._factory = _bounded(self._pool._factory)


def _bounded(factory: type[Any]) -> type[Any]:
    class BoundedFactory(factory):  # type: ignore[misc]
        def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 - the interface is Twisted's
            protocol = super().buildProtocol(addr)
            protocol.dataReceived = _HeadCounter(protocol)
            return protocol

    return BoundedFactory


class _HeadCounter:
    """Stands in for ``dataReceived`` of one connection, which is used for one request after the other."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._receive = protocol.dataReceived
        self._parser: Any = None
        self._bytes = 0

    def __call__(self, data: bytes) -> None:
        parser = self._protocol._parser
        if parser is not self._parser:
            self._parser, self._bytes = parser, 0
        if parser is not None and parser.state not in _PARSER_IS_THROUGH:
            self._bytes += len(data)
        if self._bytes > MAX_HEAD_BYTES:
            log.warning("the headers of an answer of %s are too long", self._protocol.transport.getPeer().host)
            self._protocol.transport.abortConnection()
        else:
            self._receive(data)
