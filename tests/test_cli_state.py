"""``airflow autoglm`` commands that look after the state."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, answer_check, record_check
from airflow_provider_autoglm.state.events import Event, read_events, record_event
from airflow_provider_autoglm.state.replicas import Replica, VersionStatus, report_replica
from airflow_provider_autoglm.state.rollouts import (
    Rollout,
    Transition,
    latest_rollout,
    move_rollout,
    start_rollout,
    take_over,
)
from airflow_provider_autoglm.state.routes import Model, Routes, read_routes, write_routes
from tests.mlflow_server import MlflowServer, free_port
from tests.postgres_server import PASSWORD, PostgresServer
from tests.postgres_server import running as running_postgres

SETTINGS = {"steps": [{"weight_percent": 5}, {"weight_percent": 25}]}


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


Autoglm = Callable[..., Result]


@pytest.fixture
def autoglm(capsys: pytest.CaptureFixture[str]) -> Autoglm:
    """Run a command as ``airflow`` does."""

    def run(*arguments: str) -> Result:
        from airflow.cli.cli_parser import get_parser

        args = get_parser().parse_args(["autoglm", *arguments])
        try:
            args.func(args)
        except SystemExit as end:
            out, err = capsys.readouterr()
            return Result(1, out, f"{err}{end.code}")
        return Result(0, *capsys.readouterr())

    return run


@pytest.fixture
def url_file(tmp_path: Path) -> str:
    file = tmp_path / "url"
    file.write_text(f"sqlite:///{tmp_path}/state.db\n")
    return str(file)


@pytest.fixture
def database(url_file: str) -> Iterator[Database]:
    database = Database(Path(url_file).read_text().strip())
    database.migrate()
    yield database
    database.close()


def model(version: str) -> Model:
    return Model(version, f"runs:/run-{version}/model", f"sha256:{version}")


def deploy(database: Database) -> None:
    with database.transaction() as connection:
        write_routes(connection, Routes("news"), champion=model("2"), previous=model("1"))


def start(database: Database) -> Rollout:
    return start_rollout(database, "news", model("3"), started_by="run 1", settings=SETTINGS)


def start_canary(database: Database, lease_s: float = 90) -> Rollout:
    """Version 3 in its second step, beside version 2."""
    deploy(database)
    rollout = start(database)
    token = take_over(database, rollout.id)
    with database.transaction() as connection:
        rollout = move_rollout(connection, rollout, token, Transition("step", step=1, reason="all are warm"))
        seen = Routes("news", 1, champion=model("2"), previous=model("1"))
        write_routes(
            connection, seen, challenger=model("3"), challenger_weight=25, rollout_id=rollout.id, lease_s=lease_s
        )
    return rollout


# db migrate


def test_migrate_says_what_it_did(autoglm: Autoglm, url_file: str, tmp_path: Path) -> None:
    first = autoglm("db", "migrate", "--state-url-file", url_file)
    again = autoglm("db", "migrate", "--state-url-file", url_file)

    assert (first.status, again.status) == (0, 0)
    assert first.out == f"the state database sqlite:///{tmp_path}/state.db was brought from revision none to 0001\n"
    assert again.out == f"the state database sqlite:///{tmp_path}/state.db is at revision 0001 already\n"


def test_postgresql_is_migrated_and_named_without_its_password(autoglm: Autoglm, tmp_path: Path) -> None:
    file = tmp_path / "url"
    with running_postgres(PostgresServer()) as server:
        file.write_text(server.create_database())
        done = autoglm("db", "migrate", "--state-url-file", str(file))
    away = autoglm("db", "migrate", "--state-url-file", str(file))

    assert (done.status, away.status) == (0, 1)
    assert f"postgresql://127.0.0.1:{server.port}/state_" in done.out
    assert "Connection refused" in away.err
    assert PASSWORD not in done.out + done.err + away.out + away.err


# Where the state is


def test_without_a_file_the_connection_names_the_state(
    autoglm: Autoglm, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(database)
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL", json.dumps({"conn_type": "autoglm_state", "host": database.name}))

    assert f"state database {database.name}" in autoglm("status", "news", "--state-conn-id", "oncall").out


def test_a_connection_that_is_not_there_is_told(airflow_home: Path, autoglm: Autoglm) -> None:
    done = autoglm("status", "news")

    assert done.status == 1
    assert "there is no connection autoglm_state" in done.err
    assert "--state-url-file" in done.err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: .*No such file"),
        (b"\xd0\xff", "cannot be read: .*utf-8"),
        (b"mysql://me:marked-secret@db/autoglm", "mysql is not supported; expected sqlite:"),
    ],
)
def test_a_file_that_names_no_state_is_told(
    autoglm: Autoglm, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)

    done = autoglm("status", "news", "--state-url-file", str(file))

    assert done.status == 1
    assert re.search(f"--state-url-file {file}.*{problem}", done.err)
    assert "marked-secret" not in done.err


@pytest.mark.parametrize(
    "command", [["status", "news"], ["freeze", "news", "--reason", "x"], ["rollback", "news", "--reason", "x"]]
)
def test_a_state_without_tables_says_what_to_run(autoglm: Autoglm, url_file: str, command: list[str]) -> None:
    absent = autoglm(*command, "--state-url-file", url_file)
    Database(Path(url_file).read_text().strip())._create_file()
    empty = autoglm(*command, "--state-url-file", url_file)

    assert (absent.status, empty.status) == (1, 1)
    assert "create it with: airflow autoglm db migrate" in absent.err
    assert "run: airflow autoglm db migrate" in empty.err


# status


def test_status_shows_a_running_canary(autoglm: Autoglm, database: Database, url_file: str) -> None:
    rollout = start_canary(database)
    ready, broken = VersionStatus("ready"), VersionStatus("failed", is_breaker_open=True, reason="invalid_output")
    with database.transaction() as connection:
        report_replica(connection, Replica("news", "gw-1", 2, {"2": ready, "3": ready}, "hash"))
        report_replica(connection, Replica("news", "gw-2", 1, {"2": ready, "3": broken}))
        report_replica(connection, Replica("news", "gw-gone", 1))
        connection.exec_driver_sql("update replicas set heartbeat_at = heartbeat_at - 65 where gateway_id = 'gw-2'")
        connection.exec_driver_sql("update replicas set heartbeat_at = heartbeat_at - 1e6 where gateway_id = 'gw-gone'")
        said = ["too few", "x" * 200]
        detail = {"step": 0, "outcome": "inconclusive", "reasons": said, "evidence": {"value": 0.5}}
        record_event(connection, Event("news", "j", "judgement", rollout_id=rollout.id, version="3", detail=detail))

    done = autoglm("status", "news", "--state-url-file", url_file)

    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("pipeline news, 20")
    assert lines[1] == f"state database {database.name}, revision 0001"
    for expected in (
        "routes, generation 2",
        "  champion    version 2 (runs:/run-2/model)",
        "  previous    version 1 (runs:/run-1/model)",
        "  frozen      no",
        f"rollout {rollout.id} of version 3: step 2 of 2 (25 %)",
        "  reason      all are warm",
        "  instead of  version 2",
        "last 3 events",
        "gateways: 2 heard of in a day, 1 of them silent now",
        "    version 2: ready",
        "    version 3: failed, breaker open (invalid_output)",
    ):
        assert expected in lines
    assert (
        "  challenger  version 3 (runs:/run-3/model), gets 25 % of the requests, the lease runs for 1 min" in done.out
    )
    assert "transition  version 3: pending: started by run 1" in done.out
    assert "transition  version 3: step 2: all are warm" in done.out
    assert "judgement   version 3: step 1 inconclusive: too few; x" in done.out
    assert max(map(len, lines)) < 220, "long details are cut"
    assert "  gw-2  silent for 1 min" in done.out
    assert "  gw-1  heard of 0 s ago, generation 2, log_text hash" in done.out
    assert "gw-gone" not in done.out


def test_status_of_a_pipeline_that_only_gateways_know(autoglm: Autoglm, database: Database, url_file: str) -> None:
    with database.transaction() as connection:
        report_replica(connection, Replica("news", "gw-1", 0))

    done = autoglm("status", "news", "--state-url-file", url_file)

    assert done.status == 0
    for expected in ("  champion    none", "  challenger  none\n", "rollout: none yet", "events: none yet"):
        assert expected in done.out


def test_status_tells_the_last_checks_and_what_is_owed(autoglm: Autoglm, database: Database, url_file: str) -> None:
    with database.transaction() as connection:
        report_replica(connection, Replica("news", "gw-1", 0))
    assert "checks: none yet" in autoglm("status", "news", "--state-url-file", url_file).out

    def record(run: str, **changes: Any) -> Check:
        check = Check("news", "drift", run, "drifted", version="2", score=0.4321, **changes)
        return record_check(database, check, lambda measured, _earlier, _now: measured)

    record("first")
    answered = record("second", is_confirmed=True, report={"learnable": True})
    assert answer_check(database, answered, "dataset/1")
    record("third", is_confirmed=True, report={"learnable": False})

    lines = autoglm("status", "news", "--state-url-file", url_file).out.splitlines()

    told = [line.partition("UTC  ")[2] for line in lines if "drifted" in line]
    assert told == [
        "drift     version 2: drifted, score 0.432",
        "drift     version 2: drifted, score 0.432, confirmed, answered by dataset/1",
        "drift     version 2: drifted, score 0.432, confirmed, learnable = false: no texts are kept, "
        "owed: no dataset has answered it yet",
    ]


@pytest.mark.parametrize(
    ("changes", "lease_s", "expected"),
    [
        ({"challenger_weight": 0}, None, "version 3 (runs:/run-3/model), gets no requests"),
        ({"challenger_weight": 5}, None, "gets 5 % of the requests once it has a lease"),
        ({"challenger_weight": 5}, -1.0, "gets 5 % of the requests no more: the lease is over, the champion answers"),
        ({"challenger_weight": 5}, 9_000.0, "the lease runs for 2 h 30 min"),
        ({"frozen_reason": "incident 7"}, None, "frozen      incident 7"),
    ],
)
def test_status_says_what_the_challenger_gets(
    autoglm: Autoglm,
    database: Database,
    url_file: str,
    changes: dict[str, object],
    lease_s: float | None,
    expected: str,
) -> None:
    with database.transaction() as connection:
        write_routes(connection, Routes("news"), challenger=model("3"), lease_s=lease_s, **changes)

    done = autoglm("status", "news", "--state-url-file", url_file)

    assert expected in done.out
    assert "gateways: none" in done.out


def test_status_tells_where_a_rollout_stands_outside_its_steps(
    autoglm: Autoglm, database: Database, url_file: str
) -> None:
    rollout = start(database)
    assert (
        f"rollout {rollout.id} of version 3: pending, at step 1 of 2 (5 %)"
        in autoglm("status", "news", "--state-url-file", url_file).out
    )

    with database.transaction() as connection:
        move_rollout(connection, rollout, 0, Transition("done"))

    done = autoglm("status", "news", "--state-url-file", url_file)
    assert f"rollout {rollout.id} of version 3: done\n" in done.out
    assert "instead of  nothing" in done.out


def test_a_mistyped_pipeline_is_told_with_those_that_are_known(
    autoglm: Autoglm, database: Database, url_file: str
) -> None:
    none = autoglm("status", "news", "--state-url-file", url_file)
    deploy(database)
    mistyped = autoglm("status", "newz", "--state-url-file", url_file)

    assert (none.status, mistyped.status) == (1, 1)
    assert "knows no pipeline news; it knows none yet" in none.err
    assert "knows no pipeline newz; it knows news" in mistyped.err


# freeze


def test_freeze_and_lift_are_written_and_told_once(autoglm: Autoglm, database: Database, url_file: str) -> None:
    deploy(database)
    state = ("--state-url-file", url_file)

    said = [
        autoglm("freeze", "news", "--reason", "incident 7", *state),
        autoglm("freeze", "news", "--reason", "incident 7", *state),
        autoglm("freeze", "news", "--off", *state),
        autoglm("freeze", "news", "--off", *state),
    ]

    assert [result.status for result in said] == [0] * 4
    assert [result.out.split(", in the state database")[0] for result in said] == [
        "news is frozen (incident 7)",
        "news was already frozen (incident 7)",
        "news is not frozen",
        "news was already not frozen",
    ]
    assert all(database.name in result.out for result in said)
    assert [event.detail["is_frozen"] for event in read_events(database, "news")] == [True, False]


def test_a_freeze_during_a_rollout_says_what_happens_to_it(autoglm: Autoglm, database: Database, url_file: str) -> None:
    rollout = start_canary(database)

    done = autoglm("freeze", "news", "--reason", "incident 7", "--state-url-file", url_file)

    assert f"rollout {rollout.id} loses its requests and is held" in done.out
    assert read_routes(database, "news").frozen_reason == "incident 7"


def test_a_pipeline_may_be_frozen_before_it_has_routes_with_a_warning(
    autoglm: Autoglm, database: Database, url_file: str
) -> None:
    done = autoglm("freeze", "newz", "--reason", "incident 7", "--state-url-file", url_file)

    assert done.status == 0
    assert "warning: the state knows no pipeline newz yet; it knows none" in done.err
    assert read_routes(database, "newz").frozen_reason == "incident 7"


def test_a_freeze_needs_a_reason(autoglm: Autoglm, database: Database, url_file: str) -> None:
    done = autoglm("freeze", "news", "--state-url-file", url_file)

    assert done.status == 1
    assert "--reason" in done.err
    assert read_events(database, "news") == []


# rollback


def connect_mlflow(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": host}))
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "x")  # what the hook sets is taken back after the test
    monkeypatch.delenv("MLFLOW_TRACKING_AUTH")


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_rollback_ends_the_rollout_while_mlflow_is_away(
    autoglm: Autoglm, database: Database, url_file: str, monkeypatch: pytest.MonkeyPatch, is_frozen: bool
) -> None:
    connect_mlflow(monkeypatch, f"http://127.0.0.1:{free_port()}")
    rollout = start_canary(database)
    if is_frozen:
        autoglm("freeze", "news", "--reason", "incident 7", "--state-url-file", url_file)

    done = autoglm("rollback", "news", "--reason", "complaints", "--state-url-file", url_file)

    assert done.status == 0
    assert f"news: version 3 was taken back; version 2 answers, by the state database {database.name}\n" in done.out
    assert "problem: " in done.err
    assert "Connection refused" in done.err
    found = read_routes(database, "news")
    assert (found.champion, found.challenger, found.challenger_weight) == (model("2"), None, 0)
    ended = latest_rollout(database, "news")
    assert ended is not None
    assert (ended.id, ended.state) == (rollout.id, "rolled_back")
    assert any(event.detail.get("reason") == "complaints" for event in read_events(database, "news"))


def test_a_rollback_without_an_mlflow_connection_repairs_the_routes(
    airflow_home: Path, autoglm: Autoglm, database: Database, url_file: str
) -> None:
    deploy(database)

    done = autoglm("rollback", "news", "--reason", "complaints", "--state-url-file", url_file)

    assert done.status == 0
    assert "version 2 was taken back; version 1 answers" in done.out
    assert "mlflow_default" in done.err
    assert read_routes(database, "news").champion == model("1")


def test_a_rollback_of_one_version_is_harmless_when_it_is_repeated(
    autoglm: Autoglm, database: Database, url_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_mlflow(monkeypatch, f"http://127.0.0.1:{free_port()}")
    start_canary(database)

    arguments = ["rollback", "news", "--reason", "complaints", "--version", "3", "--state-url-file", url_file]
    first, second = autoglm(*arguments), autoglm(*arguments)

    assert "version 3 was taken back; version 2 answers" in first.out
    assert "nothing to take back; version 2 answers" in second.out
    assert read_routes(database, "news").champion == model("2")


def test_a_rollback_of_nothing_says_so(
    autoglm: Autoglm, database: Database, url_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_mlflow(monkeypatch, f"http://127.0.0.1:{free_port()}")
    with database.transaction() as connection:
        write_routes(connection, Routes("news"))

    done = autoglm("rollback", "news", "--reason", "complaints", "--state-url-file", url_file)

    assert done.status == 0
    assert "news: nothing to take back; no version answers" in done.out


def test_routes_that_cannot_be_repaired_are_a_failure(
    autoglm: Autoglm, database: Database, url_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_mlflow(monkeypatch, f"http://127.0.0.1:{free_port()}")
    start_canary(database)
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "create trigger refuse before update on routes begin select raise(abort, 'no change today'); end"
        )

    done = autoglm("rollback", "news", "--reason", "complaints", "--state-url-file", url_file)

    assert done.status == 1
    assert "the routes of news still name the version that was to be taken back" in done.err
    assert "no change today" in done.err
    assert read_routes(database, "news").challenger == model("3")


def test_a_mistyped_pipeline_is_not_rolled_back(autoglm: Autoglm, database: Database, url_file: str) -> None:
    deploy(database)

    done = autoglm("rollback", "newz", "--reason", "complaints", "--state-url-file", url_file)

    assert done.status == 1
    assert "knows no pipeline newz; it knows news" in done.err


def test_a_rollback_takes_the_aliases_along(
    autoglm: Autoglm,
    database: Database,
    url_file: str,
    monkeypatch: pytest.MonkeyPatch,
    mlflow_server: MlflowServer,
) -> None:
    from mlflow.tracking import MlflowClient

    from airflow_provider_autoglm.tracking.registry import Registry

    registry = Registry(MlflowClient(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri), "news")
    experiment = registry.client.create_experiment("autoglm/news")
    for _ in range(2):
        run = registry.client.create_run(experiment)
        registry.register(run.info.run_id, "model", "sha256:0", {})
    registry.set_alias("champion", "2")
    registry.set_alias("previous", "1")
    connect_mlflow(monkeypatch, mlflow_server.uri)
    deploy(database)

    done = autoglm("rollback", "news", "--reason", "complaints", "--state-url-file", url_file)

    assert done.status == 0
    assert "problem" not in done.err
    assert "version 2 was taken back; version 1 answers" in done.out
    champion = registry.find_alias("champion")
    assert champion is not None
    assert champion.version == "1"
    assert registry.find_alias("previous") is None


# The whole command


def test_the_commands_work_while_airflows_own_database_is_away(url_file: str, tmp_path: Path) -> None:
    def airflow(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "airflow", "autoglm", *arguments, "--state-url-file", url_file],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////no/such/folder/airflow.db"},
        )

    migrated = airflow("db", "migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert "was brought from revision none to 0001" in migrated.stdout

    frozen = airflow("freeze", "news", "--reason", "incident 7")
    assert frozen.returncode == 0, frozen.stderr

    shown = airflow("status", "news")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("pipeline news, ")
    assert "  frozen      incident 7" in shown.stdout

    rolled_back = airflow("rollback", "news", "--reason", "complaints")
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert "news: nothing to take back" in rolled_back.stdout
    assert "problem: " in rolled_back.stderr
