"""A state, tiny models, and gateways as processes of their own over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.routes import Model
from demo.gateway import Setting
from tests.gateway import PIPELINE, Gateway, deploy, tiny_model, wait_until

StartGateway = Callable[..., Gateway]


@pytest.fixture
def state_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/state.db"


@pytest.fixture
def state(state_url: str) -> Iterator[Database]:
    """A migrated SQLite state without routes."""
    database = Database(state_url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """Models by how they answer, versions "1" to "6"; what keeps one from being loaded happens at the word "now"."""
    folder = tmp_path_factory.mktemp("models")
    answers = ("keyword", "last", "nan", "crash", "slow", "error")
    at_a_word = ("crash", "slow", "error")
    return {
        answer: tiny_model(folder, str(version), answer=answer, when="now" if answer in at_a_word else "")
        for version, answer in enumerate(answers, start=1)
    }


@pytest.fixture
def start_gateway(tmp_path: Path, state_url: str) -> Iterator[StartGateway]:
    """Start a gateway that looks at the state ten times a second; ``name`` sets two of them apart."""
    started: list[Gateway] = []

    def start(name: str = "gateway", **settings: Setting) -> Gateway:
        defaults: dict[str, Setting] = {"pipeline": PIPELINE, "state_url": state_url, "poll_s": 0.1}
        gateway = Gateway(tmp_path / name, {**defaults, **settings})
        started.append(gateway)
        return gateway.start()

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def gateway(state: Database, models: dict[str, Model], start_gateway: StartGateway) -> Gateway:
    """A gateway that is ready, with the model that knows keywords as its champion."""
    deploy(state, champion=models["keyword"])
    gateway = start_gateway()
    wait_until("the gateway is ready", gateway.is_ready)
    return gateway
