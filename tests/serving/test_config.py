"""Settings of a gateway from a file and the environment."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.serving.config import complete, read_settings, state_address
from airflow_provider_autoglm.settings import ServingSettings

SECRET = "marked-password-31fd"


def write(folder: Path, text: str) -> str:
    path = folder / "gateway.toml"
    path.write_text(text)
    return str(path)


def test_a_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    config = write(tmp_path, 'pipeline = "docs"\nport = 9000\nlog_text = "full"\n')

    settings = read_settings(config, {"AUTOGLM_SERVING__PORT": "9001", "AUTOGLM_SERVING__POLL_S": "0.5", "PORT": "1"})

    assert (settings.pipeline, settings.port, settings.poll_s, settings.log_text) == ("docs", 9001, 0.5, "full")


def test_the_environment_is_enough() -> None:
    assert read_settings(None, {"AUTOGLM_SERVING__PIPELINE": "docs"}) == ServingSettings(pipeline="docs")


def test_every_problem_is_named_with_its_key_and_what_is_allowed(tmp_path: Path) -> None:
    config = write(tmp_path, 'pipelin = "docs"\nport = 70000\n')
    with pytest.raises(SettingsError) as refused:
        read_settings(config, {"AUTOGLM_SERVING__POLL_S": "often"})
    assert set(refused.value.problems) == {
        "serving.pipeline: required and not set",
        "serving.pipelin: unknown key; did you mean 'pipeline'?",
        "serving.port = 70000: input should be less than or equal to 65535",
        "serving.poll_s = 'often': input should be a valid number, unable to parse string as a number",
    }


def test_a_file_that_is_no_toml_is_said_without_its_content(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gateway.toml: cannot be read as TOML: .*line 1") as refused:
        read_settings(write(tmp_path, f"pipeline = {SECRET}"), {})
    assert SECRET not in str(refused.value)
    (tmp_path / "gateway.toml").write_bytes(b"pipeline = '\xff'")
    with pytest.raises(SettingsError, match="it is not UTF-8"):
        read_settings(str(tmp_path / "gateway.toml"), {})


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent.toml: cannot be read as TOML: No such file"):
        read_settings(str(tmp_path / "absent.toml"), {})


def test_the_state_is_at_the_url_of_the_settings_or_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"postgresql://user:{SECRET}@db/state\n")
    assert state_address(ServingSettings(pipeline="docs", state_url="sqlite:////s.db")) == "sqlite:////s.db"
    assert state_address(ServingSettings(pipeline="docs", state_url_file=str(file))).endswith(f"{SECRET}@db/state")


def test_credentials_belong_into_the_file(tmp_path: Path) -> None:
    settings = ServingSettings(pipeline="docs", state_url=f"postgresql://user:{SECRET}@db/state")
    with pytest.raises(SettingsError, match=r"postgresql://\*\*\*@db/state.*serving.state_url_file") as refused:
        state_address(settings)
    assert SECRET not in str(refused.value)


def test_one_way_to_the_state_is_required(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="neither is set"):
        state_address(ServingSettings(pipeline="docs"))
    with pytest.raises(SettingsError, match="both are set"):
        state_address(ServingSettings(pipeline="docs", state_url="sqlite:////s.db", state_url_file="/url"))


def test_a_file_without_a_url_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    for name, problem in (("empty", "the file is empty"), ("absent", "No such file"), ("binary", "not UTF-8")):
        settings = ServingSettings(pipeline="docs", state_url_file=str(tmp_path / name))
        with pytest.raises(SettingsError, match=rf"serving.state_url_file = '.*{name}': .*{problem}"):
            state_address(settings)


def test_a_gateway_is_named_after_where_it_listens() -> None:
    assert complete(ServingSettings(pipeline="docs", port=8001)).gateway_id == "127.0.0.1:8001"
    assert complete(ServingSettings(pipeline="docs", gateway_id="east-1")).gateway_id == "east-1"


def test_a_gateway_that_listens_everywhere_is_named_after_its_machine() -> None:
    assert complete(ServingSettings(pipeline="docs", host="0.0.0.0")).gateway_id == f"{socket.gethostname()}:8000"


def test_the_spool_is_beside_the_cache_unless_it_is_set(tmp_path: Path) -> None:
    assert complete(ServingSettings(pipeline="docs", cache_dir=str(tmp_path))).spool_dir == f"{tmp_path}/spool"
    assert complete(ServingSettings(pipeline="docs", spool_dir="/spool")).spool_dir == "/spool"
