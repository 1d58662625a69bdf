from __future__ import annotations

import asyncio
import base64
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_autoglm.corpus.crawl import guarded_proxy
from airflow_provider_autoglm.corpus.crawl.addresses import AddressGuard
from airflow_provider_autoglm.corpus.crawl.guarded_proxy import GuardedProxy, Ticket

LOOPBACK = AddressGuard.of(["127.0.0.1"])
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A listening socket; ``received`` are the bytes of each connection, ``connections`` counts them."""

    def __init__(self, answer: Answer) -> None:
        self.connections = 0
        self.heads: list[str] = []
        self._answer = answer

    async def listen(self, host: str) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, host, 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    server = Server(answer)
    async with await server.listen(host):
        yield server


@asynccontextmanager
async def proxied(guard: AddressGuard = LOOPBACK, timeout_s: float = 5) -> AsyncIterator[GuardedProxy]:
    proxy = GuardedProxy(guard, timeout_s=timeout_s)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()


def credentials(ticket: Ticket) -> str:
    return "Proxy-Authorization: Basic " + base64.b64encode(f"page:{ticket.password}".encode()).decode()


async def connect(proxy: GuardedProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(proxy.url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def ask(proxy: GuardedProxy, *lines: str, body: bytes = b"") -> bytes:
    """Everything the proxy says until it hangs up."""
    reader, writer = await connect(proxy)
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def echo_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the request that came, and leaves the connection open as if nobody had asked to close it."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    body = head + await reader.readexactly(length)
    writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=9\r\nX-Own: kept\r\nContent-Length: %d\r\n\r\n" % len(body))
    writer.write(body)
    if b"/and-close" in head:
        return
    await reader.read()


async def echo_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(4096):
        writer.write(chunk)
        await writer.drain()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def raw(answer: bytes) -> Answer:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return send


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_plain_request_is_forwarded_without_what_is_meant_for_the_proxy() -> None:
    async def test() -> None:
        async with serving(echo_request) as server, proxied() as proxy:
            with proxy.ticket(100_000) as ticket:
                answer = await ask(
                    proxy,
                    f"POST http://127.0.0.1:{server.port}/a/and-close?x=1 HTTP/1.1",
                    f"Host: 127.0.0.1:{server.port}",
                    credentials(ticket),
                    "Proxy-Connection: keep-alive",
                    "Connection: keep-alive",
                    "Content-Length: 4",
                    "X-Mine: 1",
                    body=b"body",
                )
                passed = ticket.bytes

        head, _, seen = answer.partition(b"\r\n\r\n")
        assert head.split(b"\r\n") == [
            b"HTTP/1.1 200 OK",
            b"X-Own: kept",
            b"Content-Length: %d" % len(seen),
            b"Connection: close",
        ]
        assert seen.decode().split("\r\n") == [
            "POST /a/and-close?x=1 HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Content-Length: 4",
            "X-Mine: 1",
            "Connection: close",
            "",
            "body",
        ]
        assert passed == len(answer) + len(b"body")

    run(test)


@pytest.mark.parametrize(("target", "path"), [("", "/"), ("?q=1", "/?q=1"), ("/a//b", "/a//b")])
def test_an_address_without_a_path_is_asked_for_its_root(target: str, path: str) -> None:
    async def test() -> None:
        async with serving(raw(b"HTTP/1.1 204 No Content\r\n\r\n")) as other, serving(echo_request) as server:
            assert other.port != server.port
            async with proxied() as proxy:
                with proxy.ticket(100_000) as ticket:
                    reader, writer = await connect(proxy)
                    writer.write(
                        f"GET http://127.0.0.1:{server.port}{target} HTTP/1.1\r\n{credentials(ticket)}\r\n\r\n".encode()
                    )
                    await reader.readuntil(b"\r\n\r\n")
                    assert (await reader.readline()).decode() == f"GET {path} HTTP/1.1\r\n"
                    writer.close()

    run(test)


def test_a_second_request_on_a_connection_does_not_reach_the_server_of_the_first() -> None:
    async def test() -> None:
        seen = bytearray()

        async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.extend(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            seen.extend(await reader.read())

        async with serving(record) as server, proxied() as proxy:
            with proxy.ticket(100_000) as ticket:
                request = f"GET http://127.0.0.1:{server.port}/%s HTTP/1.1\r\n{credentials(ticket)}\r\n\r\n"
                reader, writer = await connect(proxy)
                writer.write((request % "first").encode())
                await reader.readuntil(b"ok")
                writer.write((request % "second").encode())
                writer.write_eof()
                assert await reader.read() == b""

        assert b"/first" in seen
        assert b"/second" not in seen

    run(test)


def test_a_tunnel_passes_bytes_both_ways_until_the_server_hangs_up() -> None:
    async def test() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello " + await reader.readexactly(3))

        async with serving(greet) as server, proxied() as proxy:
            with proxy.ticket(1_000) as ticket:
                reader, writer = await connect(proxy)
                writer.write(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n{credentials(ticket)}\r\n\r\n".encode())
                assert status(await reader.readuntil(b"\r\n\r\n")) == 200
                writer.write(b"you")
                assert await reader.read() == b"hello you"
                assert ticket.bytes == len(b"you" + b"hello you")
                writer.close()

    run(test)


@pytest.mark.parametrize(
    "header",
    [
        "X: y",
        "Proxy-Authorization: Basic cGFnZTpndWVzc2Vk",
        "Proxy-Authorization: Basic \u00e4",
        "Proxy-Authorization: Bearer x",
    ],
)
def test_nobody_is_served_without_a_ticket(header: str) -> None:
    async def test() -> None:
        async with serving(silence) as server, proxied() as proxy:
            with proxy.ticket(1_000):
                for first in (
                    f"CONNECT 127.0.0.1:{server.port} HTTP/1.1",
                    f"GET http://127.0.0.1:{server.port}/ HTTP/1.1",
                ):
                    answer = await ask(proxy, first, header)
                    assert status(answer) == 407
                    assert b'Proxy-Authenticate: Basic realm="crawl"' in answer
            assert server.connections == 0

    run(test)


def test_a_ticket_ends_with_its_page_and_so_do_its_connections() -> None:
    async def test() -> None:
        async with serving(echo_bytes) as server, proxied() as proxy:
            lines = f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"
            with proxy.ticket(1_000) as ticket:
                reader, writer = await connect(proxy)
                writer.write(f"{lines}\r\n{credentials(ticket)}\r\n\r\n".encode())
                await reader.readuntil(b"\r\n\r\n")
            assert await reader.read() == b""
            assert status(await ask(proxy, lines, credentials(ticket))) == 407
            writer.close()

    run(test)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.2", "0x7f000002", "127.2", "[::ffff:127.0.0.2]", "[::1]", "0.0.0.0", "169.254.169.254", "localhost"],
)
@pytest.mark.parametrize("request_line", ["CONNECT {}:{} HTTP/1.1", "GET http://{}:{}/ HTTP/1.1"])
def test_addresses_that_are_not_allowed_are_refused_and_not_connected_to(
    host: str, request_line: str, caplog: pytest.LogCaptureFixture
) -> None:
    guard = AddressGuard.of(["192.0.2.1"]) if host == "localhost" else LOOPBACK

    async def test() -> None:
        async with serving(silence, "0.0.0.0") as server, proxied(guard) as proxy:
            with proxy.ticket(1_000) as ticket:
                for _ in range(2):
                    answer = await ask(proxy, request_line.format(host, server.port), credentials(ticket))
                    assert status(answer) == 403
                assert ticket.refused == {host.strip("[]")}
            assert server.connections == 0

    with caplog.at_level(logging.WARNING):
        run(test)
    assert len(caplog.messages) == 1
    assert "crawl.allow_networks" in caplog.messages[0]


def test_a_name_is_connected_to_at_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers differently each time: first with a refused and an allowed address, then refused."""
    answers = [["127.0.0.2", "127.0.0.1"], ["127.0.0.2"]]

    async def test() -> None:
        async with serving(silence, "127.0.0.2") as refused, serving(raw(b"HTTP/1.1 200 OK\r\n\r\nfine")) as server:
            resolve = asyncio.get_running_loop().getaddrinfo

            async def rebinding(host: Any, port: int, **options: Any) -> list[Any]:
                if host != "rebinding.example":
                    return await resolve(host, port, **options)
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers.pop(0)]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding, raising=False)
            async with proxied() as proxy:
                with proxy.ticket(1_000) as ticket:
                    lines = (f"GET http://rebinding.example:{server.port}/ HTTP/1.1", credentials(ticket))
                    assert (await ask(proxy, *lines)).endswith(b"fine")
                    assert status(await ask(proxy, *lines)) == 403
            assert refused.connections == 0

    run(test)


def test_a_page_loads_no_more_than_its_ticket_says() -> None:
    async def test() -> None:
        async with serving(raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000)) as server, proxied() as proxy:
            with proxy.ticket(200_000) as ticket:
                lines = (f"GET http://127.0.0.1:{server.port}/ HTTP/1.1", credentials(ticket))
                assert len(await ask(proxy, *lines)) <= 200_000
                assert ticket.is_used_up
                assert await ask(proxy, *lines) == b""
            with proxy.ticket(600_000) as other:
                assert (await ask(proxy, lines[0], credentials(other))).count(b"x") == 500_000
                assert not other.is_used_up

    run(test)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["GET /no-proxy-request HTTP/1.1"], 400),
        (["GET https://127.0.0.1/ HTTP/1.1"], 400),
        (["GET http://127.0.0.1:99999/ HTTP/1.1"], 400),
        (["GET http://:80/ HTTP/1.1"], 400),
        (["CONNECT  HTTP/1.1"], 400),
        (["POST http://127.0.0.1/ HTTP/1.1", "Content-Length: many"], 400),
        (["POST http://127.0.0.1/ HTTP/1.1", "Transfer-Encoding: chunked"], 411),
        (["GET http://nowhere.invalid/ HTTP/1.1"], 502),
        (["GET http://\u00e4..example/ HTTP/1.1"], 502),
        (["CONNECT 127.0.0.1:1 HTTP/1.1"], 502),
    ],
)
def test_what_cannot_be_forwarded_is_answered_with_a_status(lines: list[str], expected: int) -> None:
    async def test() -> None:
        async with proxied() as proxy:
            with proxy.ticket(1_000) as ticket:
                assert status(await ask(proxy, *lines, credentials(ticket))) == expected

    run(test)


@pytest.mark.parametrize(
    "head", [b"GET http://x/ HTTP/1.1\r\nno colon\r\n\r\n", b"GET " + b"x" * 300_000 + b"\r\n\r\n"]
)
def test_a_malformed_head_is_refused(head: bytes) -> None:
    async def test() -> None:
        async with proxied() as proxy:
            reader, writer = await connect(proxy)
            writer.write(head)
            assert status(await reader.read()) == 400
            writer.close()

    run(test)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y", b"HTTP/1.1 OK\r\n\r\n"])
def test_a_server_that_speaks_no_http_is_a_bad_gateway(answer: bytes) -> None:
    async def test() -> None:
        async with serving(raw(answer)) as server, proxied() as proxy:
            with proxy.ticket(1_000) as ticket:
                lines = (f"GET http://127.0.0.1:{server.port}/ HTTP/1.1", credentials(ticket))
                assert status(await ask(proxy, *lines)) == 502

    run(test)


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async def forever(*args: Any, **options: Any) -> list[Any]:
            await asyncio.Event().wait()
            return []

        async with proxied(timeout_s=0.1) as proxy:
            reader, writer = await connect(proxy)
            with proxy.ticket(1_000) as ticket:
                monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", forever, raising=False)
                writer.write(f"CONNECT slow.example:443 HTTP/1.1\r\n{credentials(ticket)}\r\n\r\n".encode())
                assert status(await reader.read()) == 504
            writer.close()

    run(test)


def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_proxy, "SECONDS_FOR_A_HEAD", 0.1)

    async def test() -> None:
        async with proxied() as proxy:
            reader, writer = await connect(proxy)
            assert await reader.read() == b""
            writer.close()

    run(test)


def test_closing_the_proxy_ends_what_is_under_way() -> None:
    async def test() -> None:
        async with serving(silence) as server:
            proxy = GuardedProxy(LOOPBACK, timeout_s=5)
            await proxy.open()
            port = urlsplit(proxy.url).port
            with proxy.ticket(1_000) as ticket:
                reader, writer = await connect(proxy)
                writer.write(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n{credentials(ticket)}\r\n\r\n".encode())
                await reader.readuntil(b"\r\n\r\n")
                await proxy.close()
                assert await reader.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            writer.close()

    run(test)
