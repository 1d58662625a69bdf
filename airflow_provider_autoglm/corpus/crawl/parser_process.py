"""The child process of a page reader: ``python -m airflow_provider_autoglm.corpus.crawl.parser_process``.

Parsers are compiled code that nothing interrupts but the end of the process: the kernel ends this one when a page has
used up its seconds of CPU, and it ends by itself when standard input does, since then the crawl is gone.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from typing import IO

from airflow_provider_autoglm.corpus.crawl.page import read_answer
from airflow_provider_autoglm.corpus.crawl.parser_messages import PREFIX, READY, decode_request, encode_page

MEMORY_LIMIT_BYTES = 512 * 1024 * 1024
"""Memory of this process; the trees of a page take about 35 times its length, of nothing but tags 100 times."""

_STDOUT, _STDERR = 1, 2


def main() -> int:
    """Read pages until there are no more; returns the exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    # Who stops the crawl signals all its processes; this one ends with the crawl, which may still need it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _take_over_stdout()
    answers.write(READY)
    answers.flush()
    while prefix := sys.stdin.buffer.read(PREFIX.size):
        message_bytes, body_bytes = PREFIX.unpack(prefix)
        request = decode_request(sys.stdin.buffer.read(message_bytes))
        body = sys.stdin.buffer.read(body_bytes)
        # Its signal ends the process whatever it is doing.
        signal.setitimer(signal.ITIMER_PROF, request.cpu_limit_s)
        page = read_answer(request.head, body)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(encode_page(page))
        answers.flush()
    return 0


def _take_over_stdout() -> IO[bytes]:
    """The pipe to the reader; whatever else prints goes to standard error."""
    answers = os.fdopen(os.dup(_STDOUT), "wb")
    os.dup2(_STDERR, _STDOUT)
    return answers


if __name__ == "__main__":
    sys.exit(main())
