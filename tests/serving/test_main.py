"""``python -m airflow_provider_autoglm.serving`` as an operator of it sees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.replicas import read_replicas
from tests.gateway import PIPELINE, GatewayEndedError, wait_until
from tests.serving.conftest import StartGateway

pytestmark = pytest.mark.usefixtures("measured_children")

COMMAND = [sys.executable, "-m", "airflow_provider_autoglm.serving"]
SECRET = "marked-password-31fd"


def refused(*arguments: str, **variables: str) -> tuple[int, str]:
    """Status and words of a gateway that does not start."""
    environment = {**os.environ, **{f"AUTOGLM_SERVING__{key}": value for key, value in variables.items()}}
    ended = subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def test_it_says_where_it_listens_and_is_named_after_that(state: Database, start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    host, port = gateway.url.removeprefix("http://").split(":")
    assert (host, int(port) > 0) == ("127.0.0.1", True)
    wait_until("it is among the replicas", lambda: read_replicas(state, PIPELINE))
    assert [replica.gateway_id for replica in read_replicas(state, PIPELINE)] == [f"{host}:{port}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(state_url: str, tmp_path: Path, number: signal.Signals) -> None:
    variables = {"PIPELINE": PIPELINE, "PORT": "0", "STATE_URL": state_url, "CACHE_DIR": str(tmp_path)}
    environment = {**os.environ, **{f"AUTOGLM_SERVING__{key}": value for key, value in variables.items()}}
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Serving docs on http://127.0.0.1:")
        process.send_signal(number)
        assert process.wait(60) == 0


def test_settings_that_are_refused_are_said_in_a_line(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('pipeline = "docs"\nprot = 1\n')
    status, words = refused("--config", str(config))
    assert status == 2
    assert words == "Settings refused: serving.prot: unknown key; did you mean 'port'?\n"


def test_a_state_that_cannot_be_addressed_is_said_in_a_line() -> None:
    status, words = refused(PIPELINE="docs", PORT="0", STATE_URL="mysql://db/state")
    assert (status, words.count("\n")) == (2, 1)
    assert "mysql is not supported" in words
    status, words = refused(PIPELINE="docs", PORT="0", STATE_URL=f"postgresql://me:{SECRET}@db/state")
    assert (status, words.count("\n")) == (2, 1)
    assert "state_url_file" in words
    assert SECRET not in words


def test_a_port_that_is_taken_is_said_in_a_line(state_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, words = refused(PIPELINE="docs", STATE_URL=state_url, PORT=str(port))
    assert status == 1
    assert words == f"cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_the_process_class_of_demo_and_tests_says_why_it_does_not_start(start_gateway: StartGateway) -> None:
    with pytest.raises(GatewayEndedError, match=r"status 2:\nSettings refused: serving.port = -1"):
        start_gateway(port=-1)
