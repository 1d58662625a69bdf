"""The prediction log on its way to a real state that goes away and comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from airflow_provider_autoglm.serving.model_host import Answer, HostFailure
from airflow_provider_autoglm.serving.prediction_log import PredictionLog
from airflow_provider_autoglm.serving.protocol import FeedbackRequest
from airflow_provider_autoglm.serving.records import feedback_of, predictions_of, to_line
from airflow_provider_autoglm.serving.router import Outcome
from airflow_provider_autoglm.serving.spool import Spool
from airflow_provider_autoglm.settings import ServingSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.predictions import Feedback, Prediction
from airflow_provider_autoglm.state.tables import feedback, predictions
from tests.gateway import wait_until

NewLog = Callable[[], PredictionLog]


@pytest.fixture
def waiting(tmp_path: Path, state: Database) -> Spool:
    return spool(tmp_path, state)


@pytest.fixture
def log(state: Database, waiting: Spool) -> Iterator[PredictionLog]:
    log = PredictionLog(state, waiting)
    log.start()
    yield log
    log.close()


def spool(folder: Path, database: Database) -> Spool:
    return Spool(str(folder / "spool"), pipeline="docs", state_name=database.name, max_bytes=10**9)


def prediction(number: int) -> Prediction:
    return Prediction("docs", f"r{number}", 0, "1", "ok", "gateway", 1.5, text=f"text {number}")


def logged(database: Database) -> list[str]:
    """Ids of the requests in the state, in the order in which they were written."""
    with database.reading() as connection:
        return list(connection.execute(sa.select(predictions.c.request_id).order_by(predictions.c.id)).scalars())


def row(database: Database, table: sa.Table, request_id: str) -> sa.RowMapping:
    with database.reading() as connection:
        return connection.execute(sa.select(table).where(table.c.request_id == request_id)).mappings().one()


def take_away(folder: Path) -> None:
    (folder / "state").rename(folder / "away")


def bring_back(folder: Path) -> None:
    (folder / "away").rename(folder / "state")


def test_rows_are_written_behind_the_answer_in_order(state: Database, log: PredictionLog) -> None:
    for start in range(0, 1_200, 3):
        assert log.add([prediction(number) for number in range(start, start + 3)])
    wait_until("all rows are logged", lambda: len(logged(state)) == 1_200)
    assert logged(state) == [f"r{number}" for number in range(1_200)]
    assert (log.backlog, log.spooled_bytes, log.dropped) == (0, 0, 0)


def test_what_is_queued_is_written_at_the_end(state: Database, waiting: Spool) -> None:
    log = PredictionLog(state, waiting)
    log.add([prediction(number) for number in range(700)])
    log.start()
    log.close()
    assert len(logged(state)) == 700


def test_rows_wait_on_disk_while_the_state_is_away_and_are_replayed_in_order_once(
    tmp_path: Path, state: Database, log: PredictionLog
) -> None:
    log.add([prediction(0)])
    wait_until("the first row is logged", lambda: logged(state) == ["r0"])

    take_away(tmp_path)
    for number in range(1, 4):
        log.add([prediction(number)])
        wait_until("the row is on disk", lambda: log.backlog == 0 and log.spooled_bytes)
    bring_back(tmp_path)
    log.add([prediction(2), prediction(4)])

    wait_until("everything is replayed", lambda: log.spooled_bytes == 0 and len(logged(state)) == 5)
    assert logged(state) == ["r0", "r1", "r2", "r3", "r4"]
    assert row(state, predictions, "r3")["text"] == "text 3"
    assert log.dropped == 0


def test_a_gateway_that_stops_while_the_state_is_away_leaves_its_rows_to_the_next(
    tmp_path: Path, state: Database, log: PredictionLog
) -> None:
    take_away(tmp_path)
    stopping = PredictionLog(state, spool(tmp_path, state))
    stopping.add([prediction(number) for number in range(1_100)])
    stopping.start()
    stopping.close()
    bring_back(tmp_path)

    wait_until("the other gateway has replayed them", lambda: len(logged(state)) == 1_100)
    assert logged(state) == [f"r{number}" for number in range(1_100)]
    wait_until("the file is gone", lambda: not list((tmp_path / "spool").iterdir()))
    assert log.dropped == 0


def test_a_state_without_tables_is_waited_for(tmp_path: Path, state_url: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").touch()
    database = Database(state_url)
    log = PredictionLog(database, spool(tmp_path, database))
    log.start()
    log.add([prediction(0)])
    wait_until("the row is on disk", lambda: log.spooled_bytes)

    database.migrate()

    wait_until("the row is logged", lambda: logged(database) == ["r0"])
    log.close()
    database.close()


def test_rows_that_find_no_room_are_dropped_and_counted(state: Database, waiting: Spool) -> None:
    log = PredictionLog(state, waiting)
    for start in range(0, 20_000, 1_000):
        assert log.add([prediction(number) for number in range(start, start + 1_000)])
    assert not log.add([prediction(20_000)])
    assert (log.backlog, log.dropped) == (20_000, 1)


def test_texts_that_find_no_room_are_dropped_and_counted(state: Database, waiting: Spool) -> None:
    log = PredictionLog(state, waiting)
    longest = Feedback("docs", "r", 1.0, label="web", text="x" * 10 * 1024**2)
    assert log.add([longest])
    assert not log.add([longest])
    assert (log.backlog, log.dropped) == (1, 1)
    assert log.add([prediction(0)])


def test_rows_that_the_database_will_never_take_do_not_keep_others_from_it(
    tmp_path: Path, state: Database, waiting: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    dead = spool(tmp_path, state)
    dead.append([prediction(0), prediction(1), prediction(2)])
    dead.close()
    (path,) = (tmp_path / "spool").iterdir()
    null, endless = (
        to_line(prediction(1)).replace(b'"assigned_version":"1"', b'"assigned_version":null'),
        to_line(prediction(3)).replace(b'"position":0', b'"position":' + b"9" * 30),
    )
    path.write_bytes(path.read_bytes().replace(to_line(prediction(1)), null + endless))

    log = PredictionLog(state, waiting)
    log.start()
    wait_until("the others are logged", lambda: logged(state) == ["r0", "r2"])
    log.close()

    assert log.dropped == 2
    assert "row of request r1, it is dropped: IntegrityError" in caplog.text
    assert "row of request r3, it is dropped: OverflowError" in caplog.text
    assert "text 1" not in caplog.text


def test_an_outage_among_rows_that_are_refused_keeps_the_rest(tmp_path: Path, state: Database) -> None:
    """The state goes away between the batch and its single rows: nothing is dropped for it."""

    class Vanishing(Database):
        def transaction(self):  # type: ignore[no-untyped-def]
            calls.append(1)
            if len(calls) == 2:
                take_away(tmp_path)
            return super().transaction()

    calls: list[int] = []
    database = Vanishing(f"sqlite:///{tmp_path}/state/state.db")
    log = PredictionLog(database, spool(tmp_path, database))
    log.add([prediction(0), Prediction("docs", "r1", 0, None, "ok", "gateway", 1.5)])  # type: ignore[arg-type]
    log.start()
    wait_until("both are on disk", lambda: log.spooled_bytes)
    bring_back(tmp_path)
    wait_until("the good one is logged", lambda: logged(state) == ["r0"])
    log.close()
    database.close()
    assert log.dropped == 1


def test_the_log_outlives_what_nobody_thought_of(
    tmp_path: Path, state: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingOnce(Spool):  # a disk whose reads fail cannot be had
        has_failed = False

        def adopt(self) -> None:
            if not self.has_failed:
                self.has_failed = True
                raise OSError("Input/output error")
            super().adopt()

    failing = FailingOnce(str(tmp_path / "spool"), pipeline="docs", state_name=state.name, max_bytes=10**9)
    log = PredictionLog(state, failing)
    log.start()
    wait_until("it has failed", lambda: failing.has_failed)
    log.add([prediction(0)])
    wait_until("the row is logged", lambda: logged(state) == ["r0"])
    log.close()
    assert "Input/output error" in caplog.text


def test_the_latest_feedback_on_a_request_stays(state: Database, log: PredictionLog) -> None:
    log.add([Feedback("docs", "r0", 1.0, is_correct=False)])
    log.add([Feedback("docs", "r0", 2.0, label="web", text="t")])
    wait_until("both are written", lambda: log.backlog == 0)
    log.close()
    kept = row(state, feedback, "r0")
    assert (kept["label"], kept["is_correct"], kept["text"], kept["at"]) == ("web", None, "t", 2.0)


def outcome(**values: object) -> Outcome:
    defaults: dict[str, object] = {
        "assigned_version": "2",
        "assigned_status": "timeout",
        "assigned_ms": 12.34567,
        "rollout_id": 7,
        "served_version": "1",
        "answer": Answer(
            ("web", "tables"),
            np.array([[0, 2], [3, 0]], np.float32),
            np.array([[0.5, -1], [0.25, 2]], np.float32),
        ),
    }
    return Outcome(**{**defaults, **values})  # type: ignore[arg-type]


def rows_of(outcome: Outcome, request_id: str = "r", **settings: object) -> list[Prediction]:
    given = ServingSettings(pipeline="docs", gateway_id="east", **settings)  # type: ignore[arg-type]
    return predictions_of(outcome, request_id=request_id, texts=["one \0", "two"], at=3.0, settings=given)


def test_a_row_holds_who_was_to_answer_who_did_and_what(state: Database, log: PredictionLog) -> None:
    first, second = rows_of(outcome())

    assert (first.request_id, first.position, second.request_id, second.position) == ("r", 0, "r.1", 1)
    assert (first.assigned_version, first.assigned_status, first.assigned_ms) == ("2", "timeout", 12.346)
    assert (first.served_version, first.rollout_id, first.gateway_id, first.at) == ("1", 7, "east", 3.0)
    assert (first.label, second.label) == ("tables", "web")
    assert first.score == pytest.approx(0.8808, abs=1e-4)
    assert second.embedding is not None
    assert np.frombuffer(second.embedding, "<f2").tolist() == [0.25, 2.0]


def test_a_request_that_nobody_answered_has_rows_without_an_answer() -> None:
    refused = outcome(served_version=None, answer=None, refusal=HostFailure("crash", ""))
    first, second = rows_of(refused)
    assert (first.served_version, first.label, first.score, first.embedding) == (None, None, None, None)
    assert second.request_id == "r.1"


def test_the_setting_decides_what_is_kept_of_a_text() -> None:
    digest = hashlib.sha256(b"one \0").hexdigest()
    kept = {mode: rows_of(outcome(), log_text=mode)[0] for mode in ("none", "full", "hash")}
    assert {mode: (row.text, row.text_sha256) for mode, row in kept.items()} == {
        "none": (None, None),
        "full": ("one \0", None),
        "hash": (None, digest),
    }


def test_a_sample_keeps_the_texts_of_its_share_of_requests() -> None:
    rows = [rows_of(outcome(), str(number), log_text="sample", log_sample_fraction=0.25) for number in range(2_000)]
    assert all((first.text is None) == (second.text is None) for first, second in rows)
    assert sum(first.text is not None for first, _ in rows) == pytest.approx(500, abs=80)


def test_a_text_with_a_nul_reaches_the_state(state: Database, log: PredictionLog) -> None:
    log.add(rows_of(outcome(), log_text="full"))
    log.add([feedback_of(FeedbackRequest("r", "web", None, "fine \0"), pipeline="docs", at=1.0)])
    wait_until("they are logged", lambda: logged(state) == ["r", "r.1"])
    assert row(state, predictions, "r")["text"] == "one \ufffd"
    assert row(state, feedback, "r")["text"] == "fine \ufffd"
