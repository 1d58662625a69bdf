"""Whether there is a browser for the tests that need one, and crawls with it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import BrowserUnavailableError
from tests.corpus.crawl.conftest import FAST

DRAWN: dict[str, Any] = FAST | {"javascript": True, "javascript_wait_s": 5, "timeout_s": 3}


@cache
def reason_against_browser() -> str | None:
    """Why no page can be drawn here, or None."""
    try:
        from airflow_provider_autoglm.corpus.crawl.browser import check_browser

        check_browser()
    except (ImportError, BrowserUnavailableError) as error:
        return str(error)
    return None


@pytest.fixture(scope="module", autouse=True)
def browser_is_installed() -> None:
    """Import this where every test needs a browser."""
    if (reason := reason_against_browser()) is not None:
        pytest.skip(reason)


def draw(url: str, destination: Path, **changed: Any) -> StageResult:
    """A crawl of one site with a browser."""
    return crawl([url], str(destination), DRAWN | changed)


def texts(result: StageResult) -> dict[str, str]:
    """Documents by path."""
    return {"/" + row["url"].split("/", 3)[-1]: row["text"] for row in Corpus.open(result.uri).to_table().to_pylist()}
