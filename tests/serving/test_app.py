"""A gateway process, driven by HTTP, over a real state and real model hosts."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from airflow_provider_autoglm.serving import gateway as gateway_module
from airflow_provider_autoglm.serving.app import create_app
from airflow_provider_autoglm.settings import ServingSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.events import Event, read_events
from airflow_provider_autoglm.state.replicas import read_replicas
from airflow_provider_autoglm.state.routes import Model
from airflow_provider_autoglm.state.tables import feedback, predictions, routes
from tests.gateway import PIPELINE, Gateway, deploy, tiny_model, wait_until
from tests.postgres_server import PASSWORD, PostgresServer, running
from tests.serving.conftest import StartGateway

pytestmark = pytest.mark.usefixtures("measured_children")

SECRET = "the-text-nobody-may-repeat"


def logged(database: Database) -> list[sa.RowMapping]:
    with database.reading() as connection:
        return list(connection.execute(sa.select(predictions).order_by(predictions.c.id)).mappings())


def logged_ids(database: Database) -> list[str]:
    return [row["request_id"] for row in logged(database)]


def events_of(database: Database, kind: str) -> list[Event]:
    return [event for event in read_events(database, PIPELINE) if event.kind == kind]


def canary(database: Database, challenger: Model, weight: int) -> None:
    deploy(database, challenger=challenger, challenger_weight=weight, lease_s=300, rollout_id=7)


def wait_for_weight(gateway: Gateway, weight: int) -> None:
    wait_until(f"the weight is {weight}", lambda: gateway.routes()["effective_weight"] == weight)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Model]) -> Iterator[tuple[Gateway, Database]]:
    """One gateway for the tests that only talk to it."""
    folder = tmp_path_factory.mktemp("shared")
    url = f"sqlite:///{folder}/state.db"
    database = Database(url)
    database.migrate()
    deploy(database, champion=models["keyword"])
    limits = {"max_texts": 3, "max_body_bytes": 4_096, "log_text": "hash"}
    gateway = Gateway(folder, {"pipeline": PIPELINE, "state_url": url, "poll_s": 0.1, **limits})
    try:
        gateway.start()
        wait_until("the gateway is ready", gateway.is_ready)
        yield gateway, database
    finally:
        gateway.stop()
        database.close()


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": ["on tables", "on the web"]},
        {"inputs": {"text": ["on tables", "on the web"]}},
        {"instances": ["on tables", "on the web"]},
        {"dataframe_records": [{"text": "on tables"}, {"text": "on the web"}]},
        {"dataframe_split": {"columns": ["text"], "data": [["on tables"], ["on the web"]]}},
    ],
)
def test_every_format_is_answered_alike(shared: tuple[Gateway, Database], body: dict[str, Any]) -> None:
    answer = shared[0].post("/invocations", body, headers={"x-request-id": f"of {sorted(body)}"})
    assert answer.status_code == 200
    assert [prediction["label"] for prediction in answer.json()["predictions"]] == ["tables", "web"]
    assert all(prediction["score"] == pytest.approx(0.982, abs=1e-3) for prediction in answer.json()["predictions"])
    assert answer.headers["x-request-id"] == f"of {sorted(body)}"
    assert answer.headers["x-model-version"] == "1"


def test_a_request_without_a_usable_id_is_given_one(shared: tuple[Gateway, Database]) -> None:
    gateway, database = shared
    given = [gateway.invoke("web", request_id=name).headers["x-request-id"] for name in (None, "x" * 201)]
    assert len(set(given)) == 2
    assert all(len(name) == 32 for name in given)
    wait_until("they are logged", lambda: set(given) <= set(logged_ids(database)))


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (f"{{ {SECRET}".encode(), 400, "not JSON"),
        ({"inputs": [SECRET, 1]}, 400, "not a list of texts"),
        ({"texts": [SECRET]}, 400, 'expected one of {"inputs"'),
        ({"inputs": [SECRET] * 4}, 400, "4 texts; expected 1 to 3"),
        ({"inputs": [SECRET * 200]}, 413, "expected a body of at most 4096 bytes"),
    ],
)
def test_a_request_that_is_none_is_refused_in_json_and_repeated_nowhere(
    shared: tuple[Gateway, Database], body: Any, code: int, message: str
) -> None:
    gateway, _ = shared
    answer = gateway.post("/invocations", body, headers={"x-request-id": "mine"})
    assert answer.status_code == code
    assert message in answer.json()["error"]["message"]
    assert answer.headers["x-request-id"] == "mine"
    assert SECRET not in answer.text
    assert SECRET not in gateway.log_file.read_text()


def test_a_body_without_end_is_not_read_to_its_end(shared: tuple[Gateway, Database]) -> None:
    before = answers_of(shared[0], 413)
    with (
        connected(shared[0]) as connection,
        suppress(ConnectionError),  # the end of it may be noticed by a reset
    ):
        connection.sendall(b"POST /invocations HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(1_024):
            connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        pytest.fail("64 MiB were read")
    wait_until("it is counted", lambda: answers_of(shared[0], 413) == before + 1)
    assert shared[0].invoke("web").ok


def test_a_client_that_leaves_within_its_body_is_only_counted(shared: tuple[Gateway, Database]) -> None:
    before = answers_of(shared[0], 400)
    with connected(shared[0]) as connection:
        connection.sendall(b'POST /invocations HTTP/1.1\r\nhost: g\r\ncontent-length: 100\r\n\r\n{"inputs": ["')
    wait_until("it is counted", lambda: answers_of(shared[0], 400) == before + 1)
    assert "ClientDisconnect" not in shared[0].log_file.read_text()


def connected(gateway: Gateway) -> socket.socket:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def answers_of(gateway: Gateway, code: int) -> int:
    """How many requests for an answer the gateway has answered with ``code``."""
    name = f'autoglm_http_answers_total{{code="{code}",path="/invocations"}} '
    lines = gateway.get("/metrics").text.splitlines()
    return sum(int(float(line.removeprefix(name))) for line in lines if line.startswith(name))


@pytest.mark.parametrize(("path", "code"), [("/docs", 404), ("/invocations", 405)])
def test_an_unknown_path_or_method_is_refused_in_json(shared: tuple[Gateway, Database], path: str, code: int) -> None:
    answer = shared[0].get(path)
    assert answer.status_code == code
    assert answer.json()["error"]["message"]


def test_feedback_is_taken_and_logged(shared: tuple[Gateway, Database]) -> None:
    gateway, database = shared
    answer = gateway.feedback("r1", label="tables", is_correct=False, text="about joins")
    assert (answer.status_code, answer.json()) == (202, {"request_id": "r1"})

    def kept() -> list[sa.RowMapping]:
        with database.reading() as connection:
            return list(connection.execute(sa.select(feedback)).mappings())

    wait_until("it is logged", kept)
    (row,) = kept()
    assert (row["pipeline"], row["label"], row["is_correct"], row["text"]) == (PIPELINE, "tables", False, "about joins")
    assert row["at"] == pytest.approx(database.now(), abs=60)


@pytest.mark.parametrize(
    ("body", "code"), [({"request_id": "r1"}, 400), ({"request_id": "r1", "text": "x" * 5_000, "label": "a"}, 413)]
)
def test_feedback_that_says_nothing_or_too_much_is_refused(
    shared: tuple[Gateway, Database], body: dict[str, str], code: int
) -> None:
    answer = shared[0].post("/feedback", body)
    assert answer.status_code == code
    assert answer.json()["error"]["message"]


def test_an_answer_is_logged_with_what_the_judge_and_the_drift_check_need(shared: tuple[Gateway, Database]) -> None:
    gateway, database = shared
    gateway.invoke("on tables", "on the web", request_id="both")
    wait_until("it is logged", lambda: "both.1" in logged_ids(database))
    first, second = (row for row in logged(database) if row["request_id"].startswith("both"))
    for row, position, label in ((first, 0, "tables"), (second, 1, "web")):
        assert (row["position"], row["label"], row["assigned_version"], row["served_version"]) == (
            position,
            label,
            "1",
            "1",
        )
        assert (row["assigned_status"], row["gateway_id"]) == ("ok", gateway.url.removeprefix("http://"))
        assert row["at"] == pytest.approx(database.now(), abs=60)
        assert len(np.frombuffer(row["embedding"], "<f2")) == 8
        assert (row["text"], len(row["text_sha256"])) == (None, 64)


def test_a_gateway_says_what_it_does(shared: tuple[Gateway, Database]) -> None:
    gateway, database = shared
    assert gateway.get("/ping").json() == {"status": "alive"}
    assert gateway.get("/ready").json() == {
        "status": "ready",
        "champion": "1",
        "answering": "1",
        "state": "reachable",
    }
    does = gateway.routes()
    assert (does["generation"], does["champion"], does["challenger"], does["effective_weight"]) == (1, "1", None, 0)
    assert does["versions"] == {"1": {"state": "ready", "is_breaker_open": False, "reason": ""}}
    assert does["state_age_s"] >= 0
    metrics = gateway.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'autoglm_version_ready{version="1"} 1.0' in metrics.text
    assert "autoglm_state_reachable 1.0" in metrics.text
    (replica,) = read_replicas(database, PIPELINE)
    assert (replica.gateway_id, replica.generation, replica.log_text) == (does["gateway_id"], 1, "hash")
    assert replica.versions["1"].state == "ready"
    assert replica.is_fresh


def test_a_gateway_waits_for_the_state_its_tables_and_a_champion_and_says_so(
    tmp_path: Path, state_url: str, models: dict[str, Model], start_gateway: StartGateway
) -> None:
    database = Database(state_url)
    gateway = start_gateway()
    wait_until("the state was asked", lambda: "no such file" in gateway.get("/ready").text)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").touch()
    wait_until("it says what to do", lambda: "airflow autoglm db migrate" in gateway.get("/ready").text)

    database.migrate()

    wait_until("the state is read", lambda: gateway.routes()["problem"] == "")
    for answer in (gateway.get("/ready"), gateway.invoke("web")):
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert answer.json()["error"]["message"] == "docs has no champion yet"

    deploy(database, champion=models["keyword"])

    wait_until("it is ready", gateway.is_ready)
    assert gateway.invoke("web").ok
    assert gateway.log_file.read_text().count("the state cannot be used") == 1  # once a minute
    database.close()


def test_half_of_the_requests_go_to_a_challenger_of_half_the_weight(
    state: Database, models: dict[str, Model], gateway: Gateway
) -> None:
    canary(state, models["last"], 50)
    wait_for_weight(gateway, 50)

    ids = [f"request {number}" for number in range(400)]
    served = [gateway.invoke("web", request_id=name).headers["x-model-version"] for name in ids]
    again = [gateway.invoke("web", request_id=name).headers["x-model-version"] for name in ids[:50]]

    assert 150 <= Counter(served)["2"] <= 250  # five standard deviations
    assert again == served[:50]
    wait_until("they are logged", lambda: len(logged(state)) == 400)  # the same id is one request
    rows = logged(state)
    assert [row["request_id"] for row in rows] == ids
    assert [row["assigned_version"] for row in rows] == served
    assert {(row["assigned_status"], row["rollout_id"]) for row in rows} == {("ok", 7)}


def test_clients_see_nothing_of_a_challenger_that_answers_nonsense(
    state: Database, models: dict[str, Model], gateway: Gateway
) -> None:
    canary(state, models["nan"], 50)
    wait_for_weight(gateway, 50)

    answers = [gateway.invoke("web") for _ in range(60)]

    assert {(answer.status_code, answer.headers["x-model-version"]) for answer in answers} == {(200, "1")}
    wait_until("the breaker is an event", lambda: events_of(state, "breaker"))
    (event,) = events_of(state, "breaker")
    gateway_id = gateway.routes()["gateway_id"]
    assert event.key == f"rollout/7/breaker/3/{gateway_id}"
    assert (event.rollout_id, event.version, event.detail) == (
        7,
        "3",
        {"reason": "invalid_output", "gateway_id": gateway_id},
    )
    assert gateway.routes()["effective_weight"] == 0
    (replica,) = read_replicas(state, PIPELINE)
    assert replica.versions["3"].is_breaker_open
    wait_until("they are logged", lambda: len(logged(state)) == 60)
    assert Counter((row["assigned_version"], row["assigned_status"]) for row in logged(state)) == {
        ("1", "ok"): 57,
        ("3", "invalid_output"): 3,
    }
    assert {row["served_version"] for row in logged(state)} == {"1"}


def end_lease(database: Database, *, in_s: float) -> None:
    """As it comes to its end when whoever ran the rollout is gone."""
    with database.transaction() as connection:
        connection.execute(sa.update(routes).values(lease_expires_at=database_now() + in_s))


def test_after_the_lease_the_champion_has_everything_and_one_of_two_gateways_says_so(
    state: Database, models: dict[str, Model], start_gateway: StartGateway
) -> None:
    deploy(state, champion=models["keyword"])
    canary(state, models["last"], 100)
    gateways = [start_gateway("one"), start_gateway("two")]
    for gateway in gateways:
        wait_for_weight(gateway, 100)
        assert gateway.invoke("web").headers["x-model-version"] == "2"

    end_lease(state, in_s=0)

    for gateway in gateways:
        wait_for_weight(gateway, 0)
        assert gateway.invoke("web").headers["x-model-version"] == "1"
    wait_until("both know", lambda: all(gateway.routes()["is_lease_lost"] for gateway in gateways))
    (event,) = events_of(state, "lease_lost")
    assert (event.key, event.rollout_id, event.version, event.generation) == ("routes/2/lease_lost", 7, "2", 2)


def test_while_the_state_is_away_answers_go_on_and_the_log_waits_on_disk(
    tmp_path: Path, state: Database, models: dict[str, Model], gateway: Gateway
) -> None:
    canary(state, models["last"], 100)
    wait_for_weight(gateway, 100)
    end_lease(state, in_s=3)
    wait_until("it is nearly over", lambda: (gateway.routes()["lease_left_s"] or 0) <= 3)
    (tmp_path / "state").rename(tmp_path / "away")
    wait_until("it is noticed", lambda: gateway.routes()["problem"])

    wait_for_weight(gateway, 0)  # the lease ends on the gateway's own clock
    ids = [f"away {number}" for number in range(20)]
    assert {gateway.invoke("web", request_id=name).headers["x-model-version"] for name in ids} == {"1"}
    assert gateway.feedback("away 1", is_correct=True).status_code == 202
    wait_until("they are on disk", lambda: gateway.routes()["log_spooled_bytes"] and not _backlog(gateway))
    ready = gateway.get("/ready")
    assert ready.ok
    assert "away, the routes are those of before" in ready.json()["state"]
    assert "autoglm_state_reachable 0.0" in gateway.get("/metrics").text

    (tmp_path / "away").rename(tmp_path / "state")
    wait_until("everything is replayed", lambda: not gateway.routes()["log_spooled_bytes"])
    gateway.invoke("web", request_id="back")
    wait_until("the log goes on", lambda: "back" in logged_ids(state))
    assert logged_ids(state) == [*ids, "back"]
    with state.reading() as connection:
        assert connection.execute(sa.select(feedback.c.is_correct)).scalars().all() == [True]
    assert gateway.routes()["log_dropped_rows"] == 0


def _backlog(gateway: Gateway) -> int:
    return int(gateway.routes()["log_backlog_rows"])


def test_a_postgresql_that_is_stopped_and_started_loses_nothing_and_its_password_is_nowhere(
    tmp_path: Path, models: dict[str, Model], start_gateway: StartGateway
) -> None:
    with running(PostgresServer()) as server:
        (tmp_path / "url").write_text(server.create_database())
        database = Database((tmp_path / "url").read_text())
        database.migrate()
        deploy(database, champion=models["keyword"])
        gateway = start_gateway(state_url="", state_url_file=str(tmp_path / "url"))
        wait_until("it is ready", gateway.is_ready)
        gateway.invoke("web", request_id="before")
        wait_until("it is logged", lambda: logged_ids(database) == ["before"])

        with server.away():
            gateway.invoke("web", "nul \0", request_id="away")
            gateway.feedback("away", label="tables")
            wait_until("it is on disk", lambda: gateway.routes()["log_spooled_bytes"] and not _backlog(gateway))
            said = [gateway.get(path).text for path in ("/ready", "/v1/routes", "/metrics")]

        wait_until("it is replayed", lambda: logged_ids(database) == ["before", "away", "away.1"])
        wait_until("the routes are read", lambda: gateway.routes()["problem"] == "")
        assert "away, the routes are those of before" in said[0]
        for text in (*said, gateway.log_file.read_text()):
            assert PASSWORD not in text
        assert gateway.stop() == 0
        database.close()


def test_a_gateway_killed_while_the_state_is_away_serves_its_champion_and_replays_once_it_is_back(
    tmp_path: Path, state: Database, models: dict[str, Model], gateway: Gateway
) -> None:
    canary(state, models["last"], 100)
    wait_for_weight(gateway, 100)
    (tmp_path / "state").rename(tmp_path / "away")
    ids = [f"away {number}" for number in range(10)]
    for name in ids:
        gateway.invoke("web", request_id=name)
    wait_until("they are on disk", lambda: gateway.routes()["log_spooled_bytes"] and not _backlog(gateway))

    gateway.kill()
    gateway.start()

    wait_until("it is ready", gateway.is_ready)
    assert "away" in gateway.get("/ready").json()["state"]
    answer = gateway.invoke("web", request_id="after")
    assert answer.headers["x-model-version"] == "1"  # whose lease runs nobody can say
    assert gateway.routes()["state_age_s"] is None
    (tmp_path / "away").rename(tmp_path / "state")
    wait_until("everything is replayed", lambda: {*ids, "after"} <= set(logged_ids(state)))
    wait_for_weight(gateway, 100)
    assert sorted(logged_ids(state)) == sorted([*ids, "after"])
    assert len(read_replicas(state, PIPELINE)) == 1


def test_promotions_and_rollbacks_under_load_fail_no_request(
    state: Database, models: dict[str, Model], gateway: Gateway
) -> None:
    stop = threading.Event()
    served: list[Counter[tuple[int, str | None]]] = [Counter() for _ in range(3)]

    def ask(number: int) -> None:
        client = Gateway(gateway.folder, gateway.settings)
        client.url = gateway.url
        while not stop.is_set():
            answer = client.invoke("web")
            served[number][answer.status_code, answer.headers.get("x-model-version")] += 1

    one, two = models["keyword"], models["last"]
    with ThreadPoolExecutor(3) as clients:
        asking = [clients.submit(ask, number) for number in range(3)]
        try:
            canary(state, two, 50)
            wait_for_weight(gateway, 50)
            deploy(state, champion=two, previous=one, challenger=None, challenger_weight=0)
            wait_until("it is promoted", lambda: set(gateway.routes()["versions"]) == {"2"})
            deploy(state, champion=one, previous=None)
            wait_until("it is rolled back", lambda: set(gateway.routes()["versions"]) == {"1"})
        finally:
            stop.set()
        for client in asking:
            client.result()

    total = sum(served, Counter[tuple[int, str | None]]())
    assert set(total) == {(200, "1"), (200, "2")}
    wait_until("all are logged", lambda: len(logged(state)) == total.total())
    assert {row["assigned_status"] for row in logged(state)} == {"ok"}


def test_a_champion_that_fails_is_an_error_in_json(
    state: Database, models: dict[str, Model], start_gateway: StartGateway
) -> None:
    gateway = start_gateway(request_timeout_s=0.5)
    failures = (("error", 502, "error"), ("slow", 504, "timeout"), ("crash", 502, "crash"))
    for answer, code, status in failures:
        deploy(state, champion=models[answer])
        version = models[answer].version
        wait_until("it answers", lambda version=version: gateway.routes()["answering"] == version)

        refused = gateway.invoke(f"now {SECRET}", request_id=status)

        assert refused.status_code == code
        assert refused.json() == {"error": {"message": "the model did not answer", "status": status}}
        assert refused.headers["x-request-id"] == status
        assert f"request {status} was not answered: {status}" in gateway.log_file.read_text()
    wait_until("they are logged", lambda: len(logged(state)) == 3)
    rows = [(row["assigned_status"], row["served_version"], row["label"]) for row in logged(state)]
    assert rows == [(status, None, None) for _, _, status in failures]
    assert SECRET not in gateway.log_file.read_text()


def test_more_requests_than_may_wait_are_asked_to_come_back(
    tmp_path: Path, state: Database, start_gateway: StartGateway
) -> None:
    deploy(state, champion=tiny_model(tmp_path / "models", "1", answer="slow", when="now", seconds=2))
    gateway = start_gateway(max_queue=1, request_timeout_s=60)
    wait_until("it is ready", gateway.is_ready)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: gateway.invoke("web now"), range(8)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {429}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert len(answers) > len(refused) >= 1


def test_a_gateway_that_is_told_to_stop_answers_what_it_has_begun(
    tmp_path: Path, state: Database, start_gateway: StartGateway
) -> None:
    deploy(state, champion=tiny_model(tmp_path / "models", "1", answer="slow", when="now", seconds=2))
    gateway = start_gateway()
    wait_until("it is ready", gateway.is_ready)
    with ThreadPoolExecutor(1) as clients:
        asked = clients.submit(gateway.invoke, "web now", request_id="last")
        wait_until("it has begun", lambda: gateway.routes()["in_flight"])
        status = gateway.stop()
        assert asked.result().status_code == 200
    assert status == 0
    assert logged_ids(state) == ["last"]
    assert read_replicas(state, PIPELINE) == []


def test_a_gateway_that_is_told_to_stop_while_the_state_is_away_keeps_its_rows(
    tmp_path: Path, state: Database, gateway: Gateway
) -> None:
    (tmp_path / "state").rename(tmp_path / "away")
    gateway.invoke("web", request_id="kept")
    assert gateway.stop() == 0
    assert "stays among the replicas" in gateway.log_file.read_text()
    (tmp_path / "away").rename(tmp_path / "state")
    assert logged_ids(state) == []

    gateway.start()

    wait_until("it is replayed", lambda: logged_ids(state) == ["kept"])


def test_what_nobody_thought_of_is_an_error_in_json_that_quotes_nothing(
    tmp_path: Path, state_url: str, state: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(gateway_module.Gateway, "status", fail)
    settings = ServingSettings(pipeline=PIPELINE, state_url=state_url, cache_dir=str(tmp_path))
    with TestClient(create_app(settings)) as client:
        answer = client.get("/ready")
    assert answer.status_code == 500
    assert answer.json() == {"error": {"message": "the gateway failed to answer; its log says where"}}
    assert "GET /ready: RuntimeError in " in caplog.text
    assert SECRET not in caplog.text


def test_feedback_that_finds_no_room_is_asked_to_come_back(
    tmp_path: Path, state_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module.PredictionLog, "add", lambda *_: False)  # 64 MiB would have to wait
    settings = ServingSettings(pipeline=PIPELINE, state_url=state_url, cache_dir=str(tmp_path))
    with TestClient(create_app(settings)) as client:
        answer = client.post("/feedback", json={"request_id": "r", "is_correct": True})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
