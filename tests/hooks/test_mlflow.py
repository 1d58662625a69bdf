from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_autoglm.exceptions import InvalidConnectionError, UnsafeUriError
from airflow_provider_autoglm.hooks.mlflow import MlflowHook
from airflow_provider_autoglm.settings import TrackingSettings
from airflow_provider_autoglm.tracking.auth import register_credentials
from tests.hooks.conftest import Connect
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer, free_port


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, auth_server: MlflowServer) -> Iterator[None]:
    # What the hook sets itself is taken back after each test.
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "x")
    monkeypatch.delenv("MLFLOW_TRACKING_AUTH")
    yield
    register_credentials(auth_server.uri, None, None)


@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        ({"host": "http://mlflow:5000"}, "http://mlflow:5000"),
        ({"host": "https://mlflow.example/team/"}, "https://mlflow.example/team"),
        ({"host": "mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"host": "mlflow", "schema": "https"}, "https://mlflow"),
        ({"host": "http://mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"host": "http://mlflow:1", "port": 5000}, "http://mlflow:1"),
    ],
)
def test_the_connection_names_the_server(connect: Connect, fields: dict[str, object], uri: str) -> None:
    connect(**fields, login="me", password="marked-secret")

    assert MlflowHook().tracking_uri == uri


def test_a_connection_may_be_written_as_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", "mlflow://me:marked-secret@mlflow:5000/https")

    assert MlflowHook().tracking_uri == "https://mlflow:5000"


@pytest.mark.parametrize(
    "host", ["", "sqlite:///mlflow.db", "ftp://mlflow", "http://", "http://mlflow?x=1", "mlflow:x", "http://[::1"]
)
def test_a_host_that_is_no_server_is_refused(connect: Connect, host: str) -> None:
    connect(host=host)

    with pytest.raises(InvalidConnectionError, match=r"connection mlflow_default: .*https://host"):
        _ = MlflowHook().tracking_uri


@pytest.mark.parametrize("host", ["http://me:marked-secret@mlflow:5000", "me:marked-secret@mlflow"])
def test_credentials_in_the_host_are_refused_and_not_repeated(connect: Connect, host: str) -> None:
    connect(host=host)

    with pytest.raises(UnsafeUriError) as raised:
        _ = MlflowHook().tracking_uri
    assert "marked-secret" not in str(raised.value)
    assert MlflowHook().test_connection() == (False, str(raised.value))


def test_a_pipeline_is_tracked_with_the_connections_credentials(connect: Connect, auth_server: MlflowServer) -> None:
    connect(host=auth_server.uri, login=ADMIN, password=ADMIN_PASSWORD)
    tracker = MlflowHook().get_tracker("news", TrackingSettings(required=True))

    run_id = tracker.open_parent("autoglm_dataset_news", "manual__1", "", {"root": "file:///data"}, "5e77")

    assert tracker.client.get_experiment_by_name("autoglm/news") is not None
    assert tracker.client.get_run(run_id).info.status == "RUNNING"


def test_the_settings_may_name_another_experiment(connect: Connect, auth_server: MlflowServer) -> None:
    connect(host=auth_server.uri)

    assert MlflowHook().get_tracker("news", TrackingSettings(experiment="mine")).experiment == "mine"


def test_the_password_is_in_no_environment_variable_no_repr_and_no_log(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    auth_server: MlflowServer,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    connect(host=auth_server.uri, login=ADMIN, password=ADMIN_PASSWORD)
    hook = MlflowHook()
    client = hook.get_client()
    client.search_experiments()
    monkeypatch.delenv("AIRFLOW_CONN_MLFLOW_DEFAULT")

    logged = caplog.text + "".join(capsys.readouterr())
    for written in [str(dict(os.environ)), repr(hook), repr(vars(hook)), repr(client), repr(vars(client)), logged]:
        assert ADMIN_PASSWORD not in written
    assert os.environ["MLFLOW_TRACKING_AUTH"] == "autoglm"


def test_a_foreign_choice_of_auth_is_kept_and_warned_about(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    auth_server: MlflowServer,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "kubernetes")
    connect(host=auth_server.uri, login=ADMIN, password=ADMIN_PASSWORD)
    MlflowHook().get_client()

    assert os.environ["MLFLOW_TRACKING_AUTH"] == "kubernetes"
    assert "credentials of the connection mlflow_default are not used" in caplog.text + "".join(capsys.readouterr())


def test_test_connection_says_that_the_server_answers(connect: Connect, auth_server: MlflowServer) -> None:
    connect(host=auth_server.uri, login=ADMIN, password=ADMIN_PASSWORD)

    assert MlflowHook().test_connection() == (True, f"MLflow at {auth_server.uri} answers")


@pytest.mark.parametrize("password", ["wrong", None])
def test_test_connection_tells_a_wrong_password(
    connect: Connect, auth_server: MlflowServer, password: str | None
) -> None:
    connect(host=auth_server.uri, login=ADMIN, password=password)

    works, message = MlflowHook().test_connection()
    assert not works
    assert "refuses the user name or password (401)" in message


def test_test_connection_tells_a_server_out_of_reach(connect: Connect) -> None:
    connect(host="127.0.0.1", port=free_port())

    works, message = MlflowHook().test_connection()
    assert not works
    assert "Connection refused" in message


def test_test_connection_tells_a_bad_host(connect: Connect) -> None:
    connect(host="sqlite:///mlflow.db")

    works, message = MlflowHook().test_connection()
    assert not works
    assert "no address of an MLflow server" in message


def test_a_missing_connection_is_named() -> None:
    with pytest.raises(AirflowNotFoundException, match="no_such_connection"):
        MlflowHook("no_such_connection").get_client()


def test_hook_links_and_plugin_import_nothing_heavy() -> None:
    program = (
        "import sys, airflow_provider_autoglm.hooks.mlflow, airflow_provider_autoglm.plugins.links\n"
        "print([name for name in ('mlflow', 'pandas', 'numpy', 'sklearn', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
