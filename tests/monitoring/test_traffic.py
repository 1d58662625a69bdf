from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_provider_autoglm.corpus.publish.splits import hashed_split
from airflow_provider_autoglm.corpus.result import Progress, StageResult
from airflow_provider_autoglm.corpus.schema import DOCUMENT_SCHEMA, LABEL_COLUMNS, document_id
from airflow_provider_autoglm.corpus.stage import Provenance
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, DifferentDimensionsError
from airflow_provider_autoglm.monitoring.novelty import FEWEST_ROWS, novelty
from airflow_provider_autoglm.monitoring.references import Reference
from airflow_provider_autoglm.monitoring.sample import Sample
from airflow_provider_autoglm.monitoring.traffic import collect
from airflow_provider_autoglm.settings import PublishSettings, TrafficSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.predictions import Feedback, Prediction, log_feedback, log_predictions
from airflow_provider_autoglm.state.tables import predictions
from tests.monitoring.samples import repeated, topics
from tests.postgres_server import PostgresServer, running

PIPELINE = "docs"
KNOWN = topics({"web": 150, "tables": 150}, seed=1)
WINDOW = topics({"web": 90, "tables": 90, "plots": 120}, seed=2)
AT = 1_700_000_000.25
NOWHERE: dict[str, Reference | None] = {}


def reference_of(sample: Sample, last_prediction_id: int = 0) -> Reference:
    return Reference("training", "file:///references/1", "d" * 32, sample, last_prediction_id, None)


def log(
    database: Database,
    sample: Sample,
    *,
    version: str = "1",
    texts: Sequence[str | None] | None = None,
    keeps_texts: bool = True,
    pipeline: str = PIPELINE,
) -> list[str]:
    """Log a sample as answers of a version, one a second from ``AT``; their request ids, ``<version>-<row>``."""
    if texts is None:
        texts = [
            f"{version}: row {row} about {label}" if keeps_texts else None for row, label in enumerate(sample.labels)
        ]
    rows = [
        Prediction(
            pipeline=pipeline,
            request_id=f"{version}-{row}",
            position=0,
            assigned_version=version,
            assigned_status="ok",
            gateway_id="gateway-1",
            at=AT + row,
            served_version=version,
            label=sample.labels[row],
            score=0.75,
            embedding=sample.embeddings[row].astype("<f2").tobytes(),
            text=texts[row],
        )
        for row in range(len(sample))
    ]
    with database.transaction() as connection:
        assert log_predictions(connection, rows) == len(rows)
    return [row.request_id for row in rows]


def say(database: Database, request_id: str, *, at: float = 9_000.0, pipeline: str = PIPELINE, **said: Any) -> None:
    with database.transaction() as connection:
        log_feedback(connection, [Feedback(pipeline, request_id, at, **said)])


def gather(
    database: Database,
    destination: Path,
    versions: dict[str, Reference | None],
    *,
    provenance: Provenance | None = None,
    **settings: Any,
) -> StageResult:
    return collect(
        database,
        str(destination),
        TrafficSettings.parse(settings),
        pipeline=PIPELINE,
        versions=versions,
        provenance=provenance,
    )


def rows_of(result: StageResult, kind: Any = "shards") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Corpus.open(result.uri).to_table(kind=kind).to_pylist()
    return rows


def texts_of(result: StageResult) -> list[str]:
    return [row["text"] for row in rows_of(result)]


def topics_of(result: StageResult) -> Counter[str]:
    return Counter(text.rpartition(" ")[2] for text in texts_of(result))


def hashes_of(result: StageResult) -> list[str]:
    return [stored.shard.sha256 for stored in Corpus.open(result.uri).shards]


def reasons_of(result: StageResult) -> dict[str, float]:
    return {name: count for name, count in result.metrics.items() if name.startswith(("removed/", "rejected/"))}


# What is drawn from the log


def test_as_many_rows_are_drawn_as_the_reference_does_not_explain_and_mostly_these(
    database: Database, tmp_path: Path
) -> None:
    log(database, WINDOW)
    scores = novelty(KNOWN, WINDOW).of_current

    result = gather(database, tmp_path, {"1": reference_of(KNOWN)})

    drawn = topics_of(result)
    assert result.rows_out == drawn.total() == round(float(np.maximum(0, 2 * scores - 1).sum()))
    assert drawn["plots"] > 0.85 * result.rows_out
    assert result.rows_in == 300
    assert result.metrics["drawn"] == result.rows_out
    assert result.metrics["novelty/1"] == pytest.approx(float(scores.mean()))
    assert result.metrics["learnable"] == 1
    explained = float((scores <= 0.5).sum())
    assert reasons_of(result) == {
        "removed/explained": explained,
        "removed/not_drawn": 300 - explained - result.rows_out,
    }


def test_traffic_like_the_reference_gives_few_documents(database: Database, tmp_path: Path) -> None:
    log(database, topics({"web": 150, "tables": 150}, seed=3))
    assert gather(database, tmp_path, {"1": reference_of(KNOWN)}).rows_out < 30


def test_the_documents_have_the_columns_of_documents_and_labels_alone(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    result = gather(database, tmp_path, {"1": reference_of(KNOWN)})

    table = Corpus.open(result.uri).to_table()
    assert table.schema.remove_metadata() == pa.schema([*DOCUMENT_SCHEMA, *LABEL_COLUMNS])
    for row in table.to_pylist():
        number = int(row["text"].split()[2])
        assert row == {
            **dict.fromkeys(table.column_names),
            "doc_id": document_id("traffic", row["text"]),
            "source": "traffic",
            "text": f"1: row {number} about {WINDOW.labels[number]}",
            "fetched_at": datetime.fromtimestamp(AT + number, UTC),
        }
    assert Corpus.open(result.uri).manifest.stage == "collect_traffic"
    assert Corpus.open(result.uri).manifest.pipeline == PIPELINE


def test_the_same_log_gives_the_same_bytes(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    for number in range(0, 300, 7):
        say(database, f"1-{number}", label="web")
    one, two = (gather(database, tmp_path / name, {"1": reference_of(KNOWN)}) for name in ("one", "two"))
    assert hashes_of(one) == hashes_of(two) != []


def test_no_more_than_sample_rows_are_drawn(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    all_of_them = gather(database, tmp_path / "all", {"1": reference_of(KNOWN)})
    some = gather(database, tmp_path / "some", {"1": reference_of(KNOWN)}, sample_rows=30)
    none = gather(database, tmp_path / "none", {"1": reference_of(KNOWN)}, sample_rows=0)

    assert (some.rows_out, none.rows_out) == (30, 0)
    assert set(texts_of(some)) < set(texts_of(all_of_them))
    assert topics_of(some)["plots"] > 20


def test_without_a_reference_rows_are_drawn_alike(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    result = gather(database, tmp_path / "some", {"1": None}, sample_rows=100)

    assert result.rows_out == 100
    assert 25 < topics_of(result)["plots"] < 55  # 40 of 100 are expected
    assert reasons_of(result) == {"removed/not_drawn": 200}
    assert "novelty/1" not in result.metrics
    assert gather(database, tmp_path / "all", {"1": None}).rows_out == 300


def test_what_is_drawn_says_nothing_of_the_split_it_will_be_in(database: Database, tmp_path: Path) -> None:
    log(database, topics({"web": 1_000}))
    result = gather(database, tmp_path, {"1": None}, sample_rows=200)

    splits = Counter(hashed_split(row["doc_id"], PublishSettings()) for row in rows_of(result))
    assert 130 < splits["train"] < 190  # 160 are expected
    assert splits["test"] > 0
    assert splits["validation"] > 0


@pytest.mark.parametrize(("reference_rows", "window_rows"), [(FEWEST_ROWS - 1, 40), (40, FEWEST_ROWS - 1)])
def test_too_few_rows_to_compare_count_as_no_reference(
    database: Database, tmp_path: Path, reference_rows: int, window_rows: int
) -> None:
    log(database, topics({"web": window_rows}, seed=4))
    result = gather(database, tmp_path, {"1": reference_of(topics({"web": reference_rows}, seed=5))})

    assert result.rows_out == window_rows
    assert "novelty/1" not in result.metrics


def test_each_version_is_compared_with_its_own_reference(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    other = topics({"web": 90, "plots": 10}, seed=6, dimensions=16)
    log(database, other, version="2")
    log(database, WINDOW, version="3")
    own = reference_of(topics({"web": 100}, seed=7, dimensions=16))

    result = gather(database, tmp_path, {"1": reference_of(KNOWN), "2": own})

    assert result.rows_in == 400
    assert {text.partition(":")[0] for text in texts_of(result)} == {"1", "2"}
    assert result.metrics["novelty/2"] == pytest.approx(float(novelty(own.sample, other).of_current.mean()), abs=1e-3)


def test_a_reference_of_another_model_is_refused(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    with pytest.raises(DifferentDimensionsError):
        gather(database, tmp_path, {"1": reference_of(topics({"web": 100}, dimensions=16))})
    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(tmp_path.as_uri())


def test_rows_that_became_the_reference_are_not_looked_at(database: Database, tmp_path: Path) -> None:
    log(database, KNOWN)
    log(database, WINDOW, version="1b")
    with database.transaction() as connection:
        connection.execute(sa.update(predictions).values(served_version="1"))

    result = gather(database, tmp_path, {"1": reference_of(KNOWN, last_prediction_id=300)})

    assert result.rows_in == 300
    assert {text.partition(":")[0] for text in texts_of(result)} == {"1b"}


def test_the_newest_rows_are_looked_at(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    say(database, "1-0", at=2.0, label="web")
    say(database, "1-1", at=1.0, label="web")

    result = gather(database, tmp_path, {"1": None}, max_rows=1)

    assert texts_of(result) == ["1: row 0 about web", "1: row 299 about plots"]
    assert result.rows_in == 2


def test_a_text_is_one_document_however_often_it_was_sent(database: Database, tmp_path: Path) -> None:
    twice = repeated(WINDOW, 2)
    texts = [f"text {row // 2}{' ' * (row % 2 + 1)}about {label}" for row, label in enumerate(twice.labels)]
    log(database, twice, texts=texts)
    scores = novelty(KNOWN, twice).of_current[::2]

    result = gather(database, tmp_path, {"1": reference_of(KNOWN)})

    assert result.rows_out == round(float(np.maximum(0, 2 * scores - 1).sum()))
    assert len({row["doc_id"] for row in rows_of(result)}) == result.rows_out
    assert all("  about" in text for text in texts_of(result))  # of two that weigh the same, the newer
    assert result.metrics["removed/repeated_text"] == (scores > 0.5).sum()


def test_a_repeated_text_counts_with_its_largest_weight(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    new = WINDOW.labels.index("plots")
    texts = [f"1: row {new} about plots" if label == "plots" else None for label in WINDOW.labels]
    log(database, topics({"web": 1}), version="2", texts=["something else"])
    log(database, WINDOW, version="3", texts=texts)
    scores = novelty(KNOWN, WINDOW).of_current

    result = gather(database, tmp_path, {"2": None, "3": reference_of(KNOWN)})

    best = int(np.argmax(scores))
    assert WINDOW.labels[best] == "plots"
    document = next(row for row in rows_of(result) if row["text"] != "something else")
    assert document["fetched_at"] == datetime.fromtimestamp(AT + best, UTC)
    assert result.metrics["removed/repeated_text"] == 119
    assert result.metrics["removed/no_text"] == 180


# Feedback


def test_feedback_becomes_documents_labelled_by_people(database: Database, tmp_path: Path) -> None:
    log(database, topics({"web": 5}))
    say(database, "1-0", label="tables")
    say(database, "1-1", is_correct=True)
    say(database, "1-2", is_correct=False)
    say(database, "1-3", label="plots", text="What was meant")
    say(database, "lost-1", label="plots", text="Not in the log", at=77.5)
    say(database, "lost-2", is_correct=True, text="Right, but what was it")
    say(database, "lost-3", label="plots")

    result = gather(database, tmp_path, NOWHERE)

    found = {row["text"]: row for row in rows_of(result)}
    assert {text: row["label"] for text, row in found.items()} == {
        "1: row 0 about web": "tables",
        "1: row 1 about web": "web",
        "1: row 2 about web": None,
        "What was meant": "plots",
        "Not in the log": "plots",
        "Right, but what was it": None,
    }
    for row in found.values():
        by_people = None if row["label"] is None else "feedback"
        assert (row["label_source"], row["labeler"]) == (by_people, by_people)
        assert row["label_score"] == (None if row["label"] is None else 1.0)
        assert (row["label_margin"], row["uncertainty"], row["url"], row["source"]) == (None, None, None, "traffic")
        assert row["doc_id"] == document_id("traffic", row["text"])
    assert found["What was meant"]["fetched_at"] == datetime.fromtimestamp(AT + 3, UTC)
    assert found["Not in the log"]["fetched_at"] == datetime.fromtimestamp(77.5, UTC)
    assert (result.rows_in, result.rows_out, result.removed) == (7, 6, 1)
    assert reasons_of(result) == {"removed/no_text": 1}
    assert result.metrics["feedback"] == 6
    assert (result.metrics["drawn"], result.metrics["learnable"]) == (0, 1)


def test_the_newest_label_of_a_text_counts_and_a_doubt_does_not_take_it_away(
    database: Database, tmp_path: Path
) -> None:
    log(database, topics({"web": 4}), texts=["same text"] * 4)
    say(database, "1-0", at=30.0, is_correct=False)
    say(database, "1-1", at=20.0, label="tables")
    say(database, "1-2", at=10.0, label="plots")

    result = gather(database, tmp_path, NOWHERE)

    (row,) = rows_of(result)
    assert (row["label"], row["label_source"]) == ("tables", "feedback")
    assert row["fetched_at"] == datetime.fromtimestamp(AT + 1, UTC)
    assert reasons_of(result) == {"removed/repeated_text": 2}


def test_a_label_by_people_wins_over_a_row_that_would_be_drawn(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    for number in range(180, 300, 2):
        say(database, f"1-{number}", label="plots")

    result = gather(database, tmp_path, {"1": reference_of(KNOWN)})

    rows = rows_of(result)
    assert len({row["doc_id"] for row in rows}) == len(rows)
    labelled = {row["text"] for row in rows if row["label_source"] == "feedback"}
    assert labelled == {f"1: row {number} about plots" for number in range(180, 300, 2)}
    assert result.metrics["feedback"] == 60
    assert result.metrics["drawn"] == len(rows) - 60 > 30
    assert result.metrics["removed/repeated_text"] == 60
    assert result.rows_in == 360


def test_feedback_of_another_pipeline_is_none_of_this_one(database: Database, tmp_path: Path) -> None:
    log(database, topics({"web": 2}), pipeline="other")
    say(database, "1-0", pipeline="other", label="web")
    say(database, "1-1", label="web")  # this pipeline has no such request

    result = gather(database, tmp_path, {"1": None})

    assert (result.rows_in, result.rows_out) == (1, 0)


# Texts that are not there


@pytest.mark.parametrize("judged", [0, 3])
def test_without_kept_texts_the_corpus_is_empty_and_the_log_says_what_to_set(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, judged: int
) -> None:
    log(database, WINDOW, keeps_texts=False)
    for number in range(judged):
        say(database, f"1-{number}", label="web")

    with caplog.at_level(logging.WARNING):
        result = gather(database, tmp_path, {"1": reference_of(KNOWN)})

    assert (result.rows_in, result.rows_out) == (300 + judged, 0)
    assert result.metrics["learnable"] == 0
    assert reasons_of(result) == {"removed/no_text": 300 + judged}
    assert Corpus.open(result.uri).to_table().num_rows == 0
    (message,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "set log_text of the gateway to 'full' or 'sample'" in message


def test_without_traffic_there_is_nothing_to_warn_of(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = gather(database, tmp_path, {"1": None})

    assert (result.rows_in, result.rows_out, result.metrics["learnable"]) == (0, 0, 0)
    assert not caplog.records


def test_rows_whose_text_was_not_kept_cannot_be_drawn(database: Database, tmp_path: Path) -> None:
    texts = [None if row % 2 else f"row {row} about {label}" for row, label in enumerate(WINDOW.labels)]
    log(database, WINDOW, texts=texts)

    result = gather(database, tmp_path, {"1": reference_of(KNOWN)})

    assert result.metrics["removed/no_text"] == 150
    assert result.metrics["learnable"] == 1
    assert 0 < result.rows_out < 80


def test_empty_texts_are_quarantined(database: Database, tmp_path: Path) -> None:
    log(database, topics({"web": 3}), texts=["  ", "a text", "\n"])
    say(database, "1-1", label="web", text="")

    result = gather(database, tmp_path, {"1": None})

    assert texts_of(result) == ["a text"]
    assert reasons_of(result) == {"rejected/empty_text": 1, "removed/repeated_text": 2}
    assert [(row["reason"], row["stage"]) for row in rows_of(result, "rejected")] == [("empty_text", "collect_traffic")]


@pytest.mark.parametrize(("look", "reason"), [(1, "removed/no_text"), (2, "rejected/missing_text")])
def test_texts_that_are_deleted_while_they_are_read_are_counted(
    database: Database, tmp_path: Path, look: int, reason: str
) -> None:
    """Retention deletes texts whenever it is due: before they are looked at, or between that and the draw."""
    log(database, topics({"web": 30}))
    looks = 0

    def delete_before(connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        nonlocal looks
        if statement.startswith("SELECT predictions.id, predictions.text"):
            looks += 1
            if looks == look:
                with other.transaction() as elsewhere:
                    elsewhere.execute(sa.update(predictions).where(predictions.c.id <= 10).values(text=None))

    other = Database(database.engine.url)
    sa.event.listen(database.engine, "before_cursor_execute", delete_before)
    result = gather(database, tmp_path, {"1": None})
    other.close()

    assert looks == 2
    assert (result.rows_in, result.rows_out) == (30, 20)
    assert reasons_of(result) == {reason: 10}


# Retries


def test_a_retry_returns_what_is_committed_whatever_the_log_holds_since(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    first = gather(database, tmp_path, {"1": None}, sample_rows=50)
    log(database, topics({"web": 10}), version="2")
    say(database, "1-0", label="web")

    again = gather(database, tmp_path, {"1": reference_of(KNOWN)}, sample_rows=50)

    assert again.reused
    assert (again.digest, again.rows_in) == (first.digest, 300)
    assert gather(database, tmp_path, {"1": None, "2": None}, sample_rows=50).reused
    forced = gather(database, tmp_path, {"1": None}, sample_rows=50, provenance=Provenance(force=True))
    assert forced.rows_in == 301


def test_a_collection_that_is_killed_leaves_nothing_and_its_retry_is_whole(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    say(database, "1-0", label="web")
    destination = tmp_path / "killed"

    def die(_: Progress) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def run() -> None:
        own = Database(database.engine.url)
        versions: dict[str, Reference | None] = {"1": reference_of(KNOWN)}
        collect(own, str(destination), TrafficSettings(), pipeline=PIPELINE, versions=versions, progress=die)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(str(destination))

    retried = gather(database, destination, {"1": reference_of(KNOWN)})
    assert not retried.reused
    assert hashes_of(retried) == hashes_of(gather(database, tmp_path / "whole", {"1": reference_of(KNOWN)}))


def test_progress_counts_the_rows_looked_at(database: Database, tmp_path: Path) -> None:
    log(database, WINDOW)
    say(database, "1-0", label="web")
    seen: list[int] = []
    collect(
        database,
        str(tmp_path),
        TrafficSettings(),
        pipeline=PIPELINE,
        versions={"1": None},
        progress=lambda progress: seen.append(progress.rows_done),
    )
    assert seen == [1, 301]


# The other database


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running(PostgresServer()) as server:
        yield server


def test_postgresql_gives_the_same_documents(postgres: PostgresServer, database: Database, tmp_path: Path) -> None:
    other = Database(postgres.create_database())
    other.migrate()
    results = []
    for name, state in (("sqlite", database), ("postgresql", other)):
        log(state, WINDOW)
        for number in range(20):
            say(state, f"1-{number}", label="tables", at=float(number))
            say(state, f"1-{number + 20}", is_correct=number % 2 == 0)
        results.append(gather(state, tmp_path / name, {"1": reference_of(KNOWN)}))
    other.close()

    assert hashes_of(results[0]) == hashes_of(results[1]) != []
    assert reasons_of(results[0]) == reasons_of(results[1])
    assert results[0].rows_out > 100
