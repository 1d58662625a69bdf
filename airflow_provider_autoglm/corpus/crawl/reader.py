"""Reading pages without being held up by any: what may keep a parser busy is read by a child process."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from asyncio import subprocess
from contextlib import suppress

from airflow_provider_autoglm.corpus.crawl.page import Page, PageHead, read_answer
from airflow_provider_autoglm.corpus.crawl.parser_messages import (
    PREFIX,
    READY,
    ParseRequest,
    decode_page_message,
    encode_request,
)
from airflow_provider_autoglm.corpus.crawl.text import Extractor, require_extractor
from airflow_provider_autoglm.exceptions import CrawlProcessError

log = logging.getLogger(__name__)

BYTES_READ_IN_PLACE: dict[Extractor, int] = {"resiliparse": 128 * 1024, "trafilatura": 16 * 1024}
LONGEST_TAG_READ_IN_PLACE = 16 * 1024
BYTES_A_CHILD_FORGETS = 1024 * 1024
"""Memory that a longer page took is given back by ending the child."""

_MODULE = "airflow_provider_autoglm.corpus.crawl.parser_process"
_SECONDS_TO_START = 120.0
_SECONDS_TO_END = 5.0
_WALL_SECONDS_A_CPU_SECOND = 6.0


def is_suspect(body: bytes, extractor: Extractor = "resiliparse") -> bool:
    """Whether reading ``body`` may take longer than some tenths of a second.

    The time of a page grows with its length times its nesting, which is limited, and with the square of the
    attributes of one element; with trafilatura also with the square of the items of a list.
    """
    return len(body) > BYTES_READ_IN_PLACE[extractor] or (
        len(body) > LONGEST_TAG_READ_IN_PLACE and max(map(len, body.split(b">"))) > LONGEST_TAG_READ_IN_PLACE
    )


class PageReader:
    """Reads pages, at most ``timeout_s`` seconds of CPU each; beyond that a page has the reason ``parse_timeout``.

    Ordinary pages are read in place. Others are read by one child process, one after the other; it is started when
    first needed and again after each page that it did not survive. Use a reader within one event loop, and close it.

    :raises MissingExtraError: if the package of ``extractor`` is not installed.
    """

    def __init__(self, *, extractor: Extractor = "resiliparse", timeout_s: float = 10.0) -> None:
        require_extractor(extractor)
        self._extractor: Extractor = extractor
        self._timeout_s = timeout_s
        self._child: subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def read(
        self,
        url: str,
        content_type: str,
        body: bytes,
        *,
        is_truncated: bool = False,
        robots_tag: str = "",
        link_header: str = "",
    ) -> Page:
        """What ``read_page`` makes of it; a page that ends the child has the reason ``parse_error``.

        :raises CrawlProcessError: if no child can be started.
        """
        head = PageHead(
            url=url,
            content_type=content_type,
            extractor=self._extractor,
            is_truncated=is_truncated,
            robots_tag=robots_tag,
            link_header=link_header,
        )
        if not is_suspect(body, self._extractor):
            return read_answer(head, body)
        request = ParseRequest(head=head, cpu_limit_s=self._timeout_s)
        async with self._turn:
            return await self._read_in_child(request, body)

    async def close(self) -> None:
        """End the child, if there is one."""
        async with self._turn:
            child, self._child = self._child, None
            if child is not None:
                await _end(child)

    async def _read_in_child(self, request: ParseRequest, body: bytes) -> Page:
        child = self._child or await _start()
        self._child = None  # until it has answered: one that was left in between is of no more use
        try:
            async with asyncio.timeout(self._timeout_s * _WALL_SECONDS_A_CPU_SECOND):
                page = await _ask(child, encode_request(request, body))
        except TimeoutError:
            await _kill(child)
            return _given_up(request, "parse_timeout", "no answer in time")
        except (asyncio.IncompleteReadError, ConnectionError):
            status = await child.wait()
            reason = "parse_timeout" if status == -signal.SIGPROF else "parse_error"
            return _given_up(request, reason, f"its parser ended with status {status}")
        except BaseException:
            await _kill(child)
            raise
        if len(body) > BYTES_A_CHILD_FORGETS:
            await _end(child)
        else:
            self._child = child
        return page


def _given_up(request: ParseRequest, reason: str, cause: str) -> Page:
    log.warning("%s cannot be parsed (%s)", request.head.url, cause)
    return Page(reason=reason)


async def _start() -> subprocess.Process:
    child = await asyncio.create_subprocess_exec(
        # -P: nothing in the working directory shadows a module of the child.
        *(sys.executable, "-P", "-m", _MODULE),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(_SECONDS_TO_START):
            await child.stdout.readexactly(len(READY))
    except asyncio.IncompleteReadError as error:
        raise CrawlProcessError(await child.wait(), "the parser of suspect pages does not start") from error
    except BaseException:
        await _kill(child)
        raise
    return child


async def _ask(child: subprocess.Process, request: bytes) -> Page:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(request)
    await child.stdin.drain()
    message_bytes, _ = PREFIX.unpack(await child.stdout.readexactly(PREFIX.size))
    return decode_page_message(await child.stdout.readexactly(message_bytes))


async def _end(child: subprocess.Process) -> None:
    assert child.stdin is not None
    child.stdin.close()
    try:
        async with asyncio.timeout(_SECONDS_TO_END):
            await child.wait()
    except TimeoutError:
        await _kill(child)


async def _kill(child: subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
    await child.wait()
