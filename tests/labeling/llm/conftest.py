"""A language model's server, and labelers that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from airflow_provider_autoglm.labeling.llm.labeler import LlmLabeler
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.llm.server import API_KEY, LlmServer, running

NAMES = ("sports", "politics", "weather")

LoadLabeler = Callable[..., LlmLabeler]


def llm_settings(*, model: str = "small", instructions: str = "", **llm: Any) -> LabelSettings:
    labels = [{"name": "sports", "phrases": ["matches", "athletes"]}, {"name": "politics"}, {"name": "weather"}]
    return LabelSettings.parse(
        {"kind": "llm", "model": model, "labels": labels, "llm": {"instructions": instructions, "timeout_s": 5, **llm}}
    )


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with running() as server:
        yield server


@pytest.fixture
def endpoint(server: LlmServer) -> Endpoint:
    return Endpoint(server.url, api_key=API_KEY, conn_id="my_llm")


@pytest.fixture
def load(endpoint: Endpoint, tmp_path: Path) -> LoadLabeler:
    """A labeler as a task of its own would load it."""

    def loaded(*, work: str | None = None, answers: str | None = None, **settings: Any) -> LlmLabeler:
        folder = tmp_path.as_uri() if work is None else work
        resources = Resources(storage=Storage.local(), endpoint=endpoint, work=folder, answers=answers)
        return LlmLabeler.load(llm_settings(**settings), resources=resources)

    return loaded
