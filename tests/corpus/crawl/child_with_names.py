"""The crawl's child process where names mean what the test says: ``NAMES`` in the environment, JSON.

Of each name it holds the answers to one lookup after the other, each a list of addresses; the last one stays.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from scrapy.utils.reactor import install_reactor
from twisted.internet._resolver import GAIResolver

from airflow_provider_autoglm.corpus.crawl import child

NAMES: dict[str, list[list[str]]] = json.loads(os.environ.get("NAMES", "{}"))


def getaddrinfo(host: str, port: int, *options: Any) -> list[Any]:
    """Like the system's, for these names alone; what is no name goes to the system."""
    answers = NAMES.get(host)
    if answers is None:
        return socket.getaddrinfo(host, port, *options, flags=socket.AI_NUMERICHOST)
    addresses = answers.pop(0) if len(answers) > 1 else answers[0]
    return [found for address in addresses for found in socket.getaddrinfo(address, port, *options)]


if __name__ == "__main__":
    install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
    from twisted.internet import reactor

    reactor.installNameResolver(GAIResolver(reactor, getaddrinfo=getaddrinfo))
    sys.exit(child.main())
