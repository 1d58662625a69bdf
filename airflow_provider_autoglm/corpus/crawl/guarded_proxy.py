"""A forward proxy on loopback for a browser: it connects to the addresses it has checked, and bounds what passes."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import secrets
import socket
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_autoglm.corpus.crawl.addresses import AddressGuard

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 256 * 1024
SECONDS_FOR_A_HEAD = 10.0
"""How long a connection may say nothing before its first request is complete."""

_CHUNK = 64 * 1024
_DEFAULT_PORT = 80
_ABSOLUTE = re.compile(r"http://([^/?#]+)([^#]*)", re.IGNORECASE)
_OF_ONE_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "upgrade"})
_INTERIM = range(100, 200)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class Ticket:
    """What one page may load: at most ``max_bytes`` in both directions, over connections that end with the ticket.

    ``password`` is what its requests show; ``refused`` are the hosts at addresses that the guard does not allow.
    """

    max_bytes: int
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    bytes: int = 0
    refused: set[str] = field(default_factory=set)
    _connections: set[asyncio.Task[Any]] = field(default_factory=set, repr=False)

    @property
    def is_used_up(self) -> bool:
        """Whether more was to be loaded."""
        return self.bytes > self.max_bytes

    @contextmanager
    def holding(self, connection: asyncio.Task[Any] | None) -> Iterator[None]:
        """The task of a connection that ends with the ticket, if it does not end before."""
        assert connection is not None
        self._connections.add(connection)
        try:
            yield
        finally:
            self._connections.discard(connection)

    def end(self) -> None:
        """Break the connections off."""
        for connection in self._connections:
            connection.cancel()


class _NotForwardedError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        self.status = status
        super().__init__(status.phrase)


@dataclass(frozen=True)
class _Head:
    """The first line of a message, and its headers as they came."""

    first: tuple[str, str, str]
    headers: tuple[tuple[str, str], ...]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> _Head:
        """:raises ValueError: if it is no head of HTTP/1."""
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        words = (*first.split(" ", 2), "", "")
        pairs = [line.partition(":") for line in lines]
        if not all(colon and name == name.strip() for name, colon, _ in pairs):
            raise ValueError("malformed header")
        return cls((words[0], words[1], words[2]), tuple((name, value.strip()) for name, _, value in pairs))

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    def for_next_hop(self, first: str) -> bytes:
        """The head with another first line, for a connection that ends with its message."""
        kept = [
            f"{name}: {value}\r\n"
            for name, value in self.headers
            if name.lower() not in _OF_ONE_HOP and not name.lower().startswith("proxy-")
        ]
        return "".join([f"{first}\r\n", *kept, "Connection: close\r\n\r\n"]).encode("latin-1")


class GuardedProxy:
    """HTTP requests and CONNECT tunnels for those who have a :class:`Ticket`.

    A name is resolved here, and the connection goes to one of the addresses found that ``guard`` allows: what is
    checked is what is connected to. Each plain request has connections of its own; browsers keep tunnels open.
    ``timeout_s`` bounds name resolution and connecting together, in seconds.
    """

    def __init__(self, guard: AddressGuard, *, timeout_s: float) -> None:
        self._guard = guard
        self._timeout_s = timeout_s
        self._tickets: dict[str, Ticket] = {}
        self._connections: set[asyncio.Task[Any]] = set()
        self._told: set[str] = set()

    async def open(self) -> None:
        """Listen, on a port that the system chooses."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)

    async def close(self) -> None:
        """Listen no more, and break all connections off."""
        self._server.close()
        await _cancel(self._connections)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.sockets[0].getsockname()
        return f"http://{host}:{port}"

    @contextmanager
    def ticket(self, max_bytes: int) -> Iterator[Ticket]:
        """A ticket that holds as long as the context; its connections are broken off then."""
        ticket = Ticket(max_bytes)
        self._tickets[ticket.password] = ticket
        try:
            yield ticket
        finally:
            del self._tickets[ticket.password]
            ticket.end()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Asyncio takes the cancellation of a task that it starts for an error (before Python 3.12).
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._forward((reader, writer))
        except _NotForwardedError as refusal:
            writer.write(_answer(refusal.status))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except (ValueError, asyncio.LimitOverrunError):
            writer.write(_answer(HTTPStatus.BAD_REQUEST))
        finally:
            writer.close()

    async def _forward(self, client: Stream) -> None:
        async with asyncio.timeout(SECONDS_FOR_A_HEAD):
            head = await _Head.read(client[0])
        ticket = self._tickets.get(_password(head.get("proxy-authorization")))
        if ticket is None:
            raise _NotForwardedError(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
        with ticket.holding(asyncio.current_task()):
            if head.first[0] == "CONNECT":
                await self._tunnel(head, ticket, client)
            else:
                await self._request(head, ticket, client)

    async def _tunnel(self, head: _Head, ticket: Ticket, client: Stream) -> None:
        server = await self._connect(head.first[1], ticket)
        try:
            client[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _first_of(_pump(client[0], server[1], ticket), _pump(server[0], client[1], ticket))
        finally:
            server[1].close()

    async def _request(self, head: _Head, ticket: Ticket, client: Stream) -> None:
        method, target, _ = head.first
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise _NotForwardedError(HTTPStatus.BAD_REQUEST)
        if head.get("transfer-encoding") is not None:
            raise _NotForwardedError(HTTPStatus.LENGTH_REQUIRED)
        left = int(head.get("content-length") or 0)
        path = absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"
        server = await self._connect(absolute[1], ticket)
        try:
            server[1].write(head.for_next_hop(f"{method} {path} HTTP/1.1"))
            while left > 0 and (chunk := await client[0].read(min(left, _CHUNK))):
                left -= len(chunk)
                await _pass_on(chunk, server[1], ticket)
            await _first_of(_return(server[0], client[1], ticket), _until_gone(client[0]))
        finally:
            server[1].close()

    async def _connect(self, authority: str, ticket: Ticket) -> Stream:
        """A connection to an allowed address of ``authority``, a host with or without a port."""
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
        if not host:
            raise _NotForwardedError(HTTPStatus.BAD_REQUEST)
        try:
            async with asyncio.timeout(self._timeout_s):
                for address in await self._allowed_addresses(host, port, ticket):
                    with suppress(OSError):
                        return await asyncio.open_connection(address, port)
        except TimeoutError:
            raise _NotForwardedError(HTTPStatus.GATEWAY_TIMEOUT) from None
        raise _NotForwardedError(HTTPStatus.BAD_GATEWAY)

    async def _allowed_addresses(self, host: str, port: int, ticket: Ticket) -> Sequence[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise _NotForwardedError(HTTPStatus.BAD_GATEWAY) from None
        addresses = [str(address) for *_, (address, *_) in found]
        allowed = [address for address in addresses if self._guard.allows(address)]
        if not allowed:
            ticket.refused.add(host)
            if host not in self._told:
                self._told.add(host)
                log.warning("%s is at a private address that crawl.allow_networks does not list", host)
            raise _NotForwardedError(HTTPStatus.FORBIDDEN)
        return allowed


def _password(authorization: str | None) -> str:
    """What the header of a request with Basic authentication holds; empty if there is none."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded).decode().partition(":")[2]
    except ValueError:
        return ""


def _answer(status: HTTPStatus) -> bytes:
    """An answer of the proxy's own, without a body."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Length: 0", "Connection: close"]
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        lines.append('Proxy-Authenticate: Basic realm="crawl"')
    return "\r\n".join([*lines, "", ""]).encode()


async def _pass_on(chunk: bytes, writer: asyncio.StreamWriter, ticket: Ticket) -> None:
    ticket.bytes += len(chunk)
    if ticket.is_used_up:
        raise ConnectionAbortedError("the page has loaded what it may")
    writer.write(chunk)
    await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ticket: Ticket) -> None:
    while chunk := await reader.read(_CHUNK):
        await _pass_on(chunk, writer, ticket)


async def _return(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ticket: Ticket) -> None:
    """Pass an answer on whose connection ends with it, so that no further request takes the same way."""
    head = await _head_of_answer(reader)
    while int(head.first[1]) in _INTERIM:
        head = await _head_of_answer(reader)
    await _pass_on(head.for_next_hop(" ".join(head.first).rstrip()), writer, ticket)
    await _pump(reader, writer, ticket)


async def _head_of_answer(reader: asyncio.StreamReader) -> _Head:
    try:
        head = await _Head.read(reader)
    except (ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
        raise _NotForwardedError(HTTPStatus.BAD_GATEWAY) from None
    if not (head.first[0].startswith("HTTP/1.") and head.first[1].isdecimal()):
        raise _NotForwardedError(HTTPStatus.BAD_GATEWAY)
    return head


async def _until_gone(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass


async def _first_of(*ways: Coroutine[Any, Any, None]) -> None:
    """Run both until one ends; no browser closes half a connection."""
    tasks = {asyncio.ensure_future(way) for way in ways}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _cancel(tasks)


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
