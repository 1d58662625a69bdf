from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_autoglm.exceptions import InvalidConnectionError, UnsafeUriError
from airflow_provider_autoglm.hooks.state import StateHook
from tests.postgres_server import PASSWORD, USER, PostgresServer, running

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define the connection ``autoglm_state`` as users do: by its environment variable."""

    def define(**fields: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_STATE", json.dumps({"conn_type": "autoglm_state", **fields}))

    return define


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "sqlite:////data/state.db"}, "sqlite:////data/state.db"),
        ({"host": "sqlite:////data/state.db", "schema": "x", "port": 1}, "sqlite:////data/state.db"),
        (
            {"host": "postgresql://db.example.org:5433/autoglm", "login": "me", "password": "p@ss/word"},
            "postgresql+psycopg://me:p%40ss%2Fword@db.example.org:5433/autoglm",
        ),
        (
            {"host": "postgresql://db.example.org/autoglm?sslmode=require", "port": 5433, "schema": "x"},
            "postgresql+psycopg://db.example.org:5433/autoglm?sslmode=require",
        ),
        (
            {"host": "db.example.org", "schema": "autoglm", "port": 5433, "login": "me", "password": "x"},
            "postgresql+psycopg://me:x@db.example.org:5433/autoglm",
        ),
        ({"host": "db.example.org:5433", "schema": "autoglm"}, "postgresql+psycopg://db.example.org:5433/autoglm"),
    ],
)
def test_the_connection_names_the_database(connect: Connect, fields: dict[str, object], url: str) -> None:
    connect(**fields)

    assert StateHook().get_conn().engine.url.render_as_string(hide_password=False) == url


def test_a_connection_may_be_written_as_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AUTOGLM_STATE", "autoglm-state://me:marked-secret@db.example.org:5433/autoglm")

    assert StateHook().get_database().name == "postgresql://db.example.org:5433/autoglm"


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("", "the host is empty"),
        ("sqlite:///state.db", "must be absolute"),
        ("mysql://db.example.org/autoglm", "mysql is not supported"),
        ("postgresql://db.example.org", "names no database"),
        ("postgresql://db.example.org:port/autoglm", "cannot be read as a URL"),
        ("postgresql://db.example.org/autoglm?password=marked-secret", "belong in front"),
    ],
)
def test_a_host_that_is_no_database_is_refused(connect: Connect, host: str, problem: str) -> None:
    connect(host=host)

    with pytest.raises(InvalidConnectionError, match=f"connection autoglm_state: .*{problem}.*expected") as raised:
        StateHook().get_database()
    assert "marked-secret" not in str(raised.value)
    assert StateHook().test_connection() == (False, str(raised.value))


@pytest.mark.parametrize("host", ["postgresql://me:marked-secret@db/autoglm", "me:marked-secret@db"])
def test_credentials_in_the_host_are_refused_and_not_repeated(connect: Connect, host: str) -> None:
    connect(host=host)

    with pytest.raises(UnsafeUriError) as raised:
        StateHook().get_database()
    assert "marked-secret" not in str(raised.value)


def test_a_missing_connection_is_named() -> None:
    with pytest.raises(AirflowNotFoundException, match="no_such_connection"):
        StateHook("no_such_connection").get_database()


def test_test_connection_tells_absent_empty_and_migrated_databases_apart(connect: Connect, tmp_path: Path) -> None:
    name = f"sqlite:///{tmp_path}/state.db"
    connect(host=name)
    hook = StateHook()

    works, message = hook.test_connection()
    assert not works
    assert "no such file; correct the path, or create it with: airflow autoglm db migrate" in message

    (tmp_path / "state.db").touch()
    works, message = hook.test_connection()
    assert not works
    assert "at revision none" in message
    assert "run: airflow autoglm db migrate" in message

    hook.get_database().migrate()
    assert hook.test_connection() == (True, f"the state database {name} answers; it is at revision 0001")


def test_postgresql_is_reached_with_the_connections_password_which_is_shown_nowhere(connect: Connect) -> None:
    with running(PostgresServer()) as server:
        database = server.create_database().rpartition("/")[2]
        host = f"postgresql://127.0.0.1:{server.port}/{database}"
        connect(host=host, login=USER, password=PASSWORD)
        hook = StateHook()
        opened = hook.get_database()
        opened.migrate()
        answers = hook.test_connection()
        opened.close()

        connect(host=host, login=USER, password="marked-wrong-password")
        refused = StateHook().test_connection()
    away = StateHook().test_connection()

    assert answers == (True, f"the state database {host} answers; it is at revision 0001")
    assert not refused[0]
    assert "authentication failed" in refused[1]
    assert not away[0]
    assert "Connection refused" in away[1]
    for shown in (repr(hook), repr(vars(hook)), repr(opened), repr(vars(opened)), *refused[1:], *away[1:]):
        assert PASSWORD not in shown
        assert "marked-wrong" not in shown
