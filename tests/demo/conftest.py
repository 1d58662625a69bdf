"""A small demo site that is really served."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from demo.docstrings import AREAS, Docstring, sample_area
from demo.pages import SiteContent, build_content
from demo.site import SiteServer

PAGES_PER_AREA = 6


@pytest.fixture(scope="session")
def articles() -> dict[str, list[Docstring]]:
    return {area: sample_area(area, PAGES_PER_AREA) for area in AREAS}


@pytest.fixture(scope="session")
def server(articles: dict[str, list[Docstring]]) -> Iterator[SiteServer]:
    with SiteServer() as server:
        server.pages = build_content(articles, server.origin).pages
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def content(articles: dict[str, list[Docstring]], server: SiteServer) -> SiteContent:
    return build_content(articles, server.origin)
