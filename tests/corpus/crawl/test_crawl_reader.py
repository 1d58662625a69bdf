"""No page holds the crawl up: what may keep a parser busy is read by a process that can be ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from airflow_provider_autoglm.corpus.crawl import reader as reader_module
from airflow_provider_autoglm.corpus.crawl.page import Page, read_page
from airflow_provider_autoglm.corpus.crawl.reader import PageReader, is_suspect
from airflow_provider_autoglm.exceptions import CrawlProcessError

URL = "http://host/page"
LONG = b"<main><p>A page that is longer than it says.</p></main>" + b" " * 200_000
SLOW = b"<div " + b" ".join(b"a%d=1" % number for number in range(120_000)) + b">x</div>"
"""Takes a parser many seconds: it compares each attribute with all others."""


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "parser_process" in " ".join(child.cmdline())]


@asynccontextmanager
async def reading(timeout_s: float = 20) -> AsyncIterator[PageReader]:
    reader = PageReader(timeout_s=timeout_s)
    try:
        yield reader
    finally:
        await reader.close()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())
    assert children() == []


@pytest.fixture(scope="module", autouse=True)
def parsers_are_measured(measured_children: None) -> None:
    """A parser is a process of its own."""


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        (b"<p>short</p>", False),
        (b"<p>x</p>" * 10_000, False),
        (b"<p>x</p>" * 20_000, True),
        (b"<div " + b"a=1 " * 5_000 + b">", True),
        (b"word " * 5_000, True),
    ],
    ids=lambda value: str(value)[:20],
)
def test_pages_are_suspect_by_length_and_by_their_longest_tag(body: bytes, is_one: bool) -> None:
    assert is_suspect(body) is is_one


def test_with_trafilatura_shorter_pages_are_suspect() -> None:
    body = b"<li>item</li>" * 2_000
    assert is_suspect(body, "trafilatura")
    assert not is_suspect(body)


def test_an_ordinary_page_is_read_without_another_process() -> None:
    async def main() -> None:
        async with reading() as reader:
            body = b"<title>T</title><p>An ordinary page.</p><a href=x>x</a>"
            assert await reader.read(URL, "text/html", body, robots_tag="noindex") == read_page(
                URL, "text/html", body, robots_tag="noindex"
            )
            assert children() == []

    run(main)


def test_a_child_reads_as_the_crawl_itself_would() -> None:
    head = "<title>\u00dcberschrift</title><meta name=date content=2024-05-06><link rel=canonical href=/c>".encode()
    body = head + b"<a href=/a>a</a>" + LONG

    async def main() -> None:
        async with reading() as reader:
            answers = [
                await reader.read(URL, "text/html", body, robots_tag="noindex", link_header="</c>; rel=canonical")
                for _ in range(3)
            ]
            assert len(children()) == 1
        page = read_page(URL, "text/html", body, robots_tag="noindex", link_header="</c>; rel=canonical")
        assert answers == [page] * 3
        assert page.canonical == "http://host/c"
        assert page.published_at is not None

    run(main)


def test_a_page_that_takes_too_long_is_given_up_and_the_next_is_read() -> None:
    async def main() -> None:
        async with reading(timeout_s=0.2) as reader:
            assert await reader.read(URL, "text/html", SLOW) == Page(reason="parse_timeout")
            assert children() == []
            assert (await reader.read(URL, "text/html", LONG)).reason is None

    run(main)


def test_a_parser_that_does_not_run_at_all_is_given_up_too() -> None:
    async def main() -> None:
        async with reading(timeout_s=0.2) as reader:
            await reader.read(URL, "text/html", LONG)
            children()[0].send_signal(signal.SIGSTOP)
            assert await reader.read(URL, "text/html", LONG) == Page(reason="parse_timeout")
            assert (await reader.read(URL, "text/html", LONG)).reason is None

    run(main)


def test_a_page_that_ends_its_parser_is_an_error_and_the_next_is_read() -> None:
    async def main() -> None:
        async with reading() as reader:
            await reader.read(URL, "text/html", LONG)
            children()[0].kill()
            assert await reader.read(URL, "text/html", LONG) == Page(reason="parse_error")
            assert (await reader.read(URL, "text/html", LONG)).reason is None

    run(main)


def test_pages_wait_for_their_turn() -> None:
    async def main() -> None:
        async with reading() as reader:
            bodies = [b"<title>%d</title>" % number + LONG for number in range(8)]
            pages = await asyncio.gather(*(reader.read(URL, "text/html", body) for body in bodies))
            assert [page.title for page in pages] == [str(number) for number in range(8)]

    run(main)


def test_a_reading_that_is_cancelled_leaves_no_answer_to_the_next_page() -> None:
    async def main() -> None:
        async with reading() as reader:
            await reader.read(URL, "text/html", LONG)
            task = asyncio.create_task(reader.read(URL, "text/html", SLOW))
            while not task.done() and reader._child is not None:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert children() == []
            assert (await reader.read(URL, "text/html", b"<title>next</title>" + LONG)).title == "next"

    run(main)


def test_memory_of_a_huge_page_is_given_back() -> None:
    async def main() -> None:
        async with reading() as reader:
            page = await reader.read(URL, "text/html", LONG * 10, is_truncated=True)
            assert str(page.text).startswith("A page that is longer than it says.")
            assert children() == []

    run(main)


def test_a_page_of_nothing_but_tags_does_not_take_all_memory() -> None:
    async def main() -> None:
        async with reading() as reader:
            page = await reader.read(URL, "text/html", b"<p>a" * 2_500_000)
            assert page.reason == "parse_error"
            assert (await reader.read(URL, "text/html", LONG)).reason is None

    run(main)


def test_a_child_that_does_not_end_is_killed_at_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_SECONDS_TO_END", 0.1)

    async def main() -> None:
        reader = PageReader()
        await reader.read(URL, "text/html", LONG)
        children()[0].send_signal(signal.SIGSTOP)
        await reader.close()
        await reader.close()

    run(main)


def test_a_child_that_does_not_start_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_MODULE", "airflow_provider_autoglm.no_such_module")

    async def main() -> None:
        async with reading() as reader:
            with pytest.raises(CrawlProcessError, match="does not start"):
                await reader.read(URL, "text/html", LONG)

    run(main)


def test_starting_a_child_can_be_cancelled() -> None:
    async def main() -> None:
        async with reading() as reader:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await reader.read(URL, "text/html", LONG)

    run(main)


def test_signals_to_all_processes_of_a_crawl_leave_the_parser_to_it() -> None:
    async def main() -> None:
        async with reading() as reader:
            await reader.read(URL, "text/html", LONG)
            for number in (signal.SIGTERM, signal.SIGINT):
                children()[0].send_signal(number)
            assert (await reader.read(URL, "text/html", LONG)).reason is None

    run(main)


def test_the_parser_ends_with_a_crawl_that_is_killed() -> None:
    script = (
        "import asyncio, sys\n"
        "from airflow_provider_autoglm.corpus.crawl.reader import PageReader\n"
        "async def main():\n"
        "    reader = PageReader()\n"
        f"    await reader.read('{URL}', 'text/html', b'<p>x</p>' + b' ' * 200_000)\n"
        "    print(reader._child.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as crawl:
        assert crawl.stdout is not None
        parser = psutil.Process(int(crawl.stdout.readline()))
        crawl.kill()
    psutil.wait_procs([parser], timeout=60)
    assert not parser.is_running() or parser.status() == psutil.STATUS_ZOMBIE


def test_nothing_that_is_printed_gets_between_the_answers() -> None:
    async def main() -> None:
        async with reading() as reader:
            await reader.read(URL, "text/html", LONG)
            child = children()[0]
            assert os.readlink(f"/proc/{child.pid}/fd/1") == os.readlink(f"/proc/{child.pid}/fd/2")

    run(main)
