"""Drift checks: what they compare, what they record, and that a run makes one of them whatever happens to it."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_provider_autoglm.exceptions import ShardMissingError, TrackingUnavailableError
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.monitoring.drift_check import check_drift
from airflow_provider_autoglm.monitoring.references import Packed, find_reference
from airflow_provider_autoglm.settings import DriftSettings, LabelSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, read_checks
from airflow_provider_autoglm.state.rollouts import start_rollout
from airflow_provider_autoglm.state.routes import Model
from tests.labeling.sentences import LABELS
from tests.monitoring.children import DEADLINE_S, KILLED, Moment, barrier, start_check
from tests.monitoring.conftest import (
    ONE,
    PIPELINE,
    TWO,
    Vectors,
    crown,
    mixed,
    never,
    say,
    serve,
    settings_with,
    table_of,
    unreachable,
    web_and_tables,
)
from tests.training.published import passages


def check(
    database: Database,
    references: str,
    run: str,
    *,
    packed: Packed = web_and_tables,
    settings: DriftSettings | None = None,
    **changes: Any,
) -> Check:
    settings = settings or settings_with(**changes)
    return check_drift(database, PIPELINE, settings, run=run, references=references, packed=packed)


@pytest.fixture
def served(database: Database) -> Database:
    """A champion that has served a baseline."""
    crown(database, ONE)
    serve(database, mixed(50, "web", "tables"))
    return database


# What there is to compare


def test_without_a_champion_there_is_too_little_data(database: Database, references: str) -> None:
    found = check(database, references, "run", packed=never)
    assert (found.state, found.version, found.is_confirmed) == ("insufficient_data", None, False)
    assert found.report["reason"] == "docs has no champion, so there is no traffic to compare."
    assert found.report["reference"] is None
    assert read_checks(database, PIPELINE) == [found]


def test_until_the_baseline_is_there_the_check_says_how_much_of_it_is(database: Database, references: str) -> None:
    crown(database, ONE)
    serve(database, mixed(31, "web"))
    serve(database, mixed(40, "plots"), rollout_id=3, name="canary")
    serve(database, mixed(40, "plots"), version="2")
    found = check(database, references, "run", packed=never)
    assert (found.state, found.version) == ("insufficient_data", "1")
    assert found.report["reason"] == "31 of 50 rows of the traffic baseline of version 1 are there."
    assert found.report["window"] == {
        "rows": 0,
        "first_prediction_id": None,
        "last_prediction_id": None,
        "from": None,
        "until": None,
    }
    assert (found.score, found.last_prediction_id) == (None, None)


def test_the_check_that_freezes_the_baseline_looks_at_the_rows_after_it(served: Database, references: str) -> None:
    serve(served, mixed(12, "web", "tables"), seed=1)
    found = check(served, references, "run")
    assert found.state == "insufficient_data"
    assert found.report["reason"] == "12 of 50 rows that the window of version 1 needs are there."
    assert found.report["window"]["rows"] == 12
    assert found.report["reference"] == {
        "kind": "traffic_baseline",
        "uri": f"{references}/1",
        "digest": found.report["reference"]["digest"],
        "rows": 50,
    }
    assert found.report["domain_gap"]["score"] < 0.3
    assert "there is too little data" in found.report["confirmation"]


def test_traffic_like_the_baseline_is_ok(served: Database, references: str) -> None:
    serve(served, mixed(50, "web", "tables"), seed=1)
    found = check(served, references, "run")
    assert found.state in {"ok", "warning"}
    assert found.score is not None
    assert found.score < 0.3
    assert not found.is_confirmed


def test_a_new_area_is_a_drift_that_the_second_check_confirms(served: Database, references: str) -> None:
    serve(served, mixed(50, "web", "plots"), labels=mixed(50, "web"), seed=1)
    first = check(served, references, "first")
    serve(served, mixed(10, "web", "plots"), labels=mixed(10, "web"), seed=2)
    second = check(served, references, "second", packed=never)

    assert [first.state, second.state] == ["drifted", "drifted"]
    assert [first.is_confirmed, second.is_confirmed] == [False, True]
    assert first.score is not None
    assert first.p_value is not None
    assert first.score > 0.3
    assert first.p_value < 0.01
    assert second.new_rows == 50
    assert second.report["confirmation"] == "Confirmed: 2 checks of version 1 in a row are drifted, 50 rows are new."
    assert first.report["domain_gap"] == second.report["domain_gap"]


def test_a_check_looks_at_the_newest_rows_of_the_champion_alone(served: Database, references: str) -> None:
    serve(served, mixed(60, "plots"), seed=1)
    newest = serve(served, mixed(50, "web", "tables"), seed=2, at=7_000.5)
    serve(served, mixed(90, "plots"), version="2")
    found = check(served, references, "run")
    assert found.report["window"] == {
        "rows": 50,
        "first_prediction_id": 111,
        "last_prediction_id": 160,
        "from": 7_000.5,
        "until": 7_049.5,
    }
    assert found.last_prediction_id == 160
    assert {row["request_id"] for row in found.report["most_novel"]} <= set(newest)


def test_a_window_that_did_not_move_confirms_nothing(served: Database, references: str) -> None:
    serve(served, mixed(50, "plots"), seed=1)
    found = [check(served, references, f"run {number}") for number in range(4)]
    assert [one.state for one in found] == ["drifted"] * 4
    assert not any(one.is_confirmed for one in found)


def test_another_champion_has_a_baseline_and_a_row_of_checks_of_its_own(served: Database, references: str) -> None:
    serve(served, mixed(50, "plots"), seed=1)
    assert check(served, references, "1").state == "drifted"
    crown(served, TWO)
    serve(served, mixed(50, "web", "tables"), version="2")
    serve(served, mixed(50, "plots"), version="2", seed=1)
    first = check(served, references, "2")
    serve(served, mixed(50, "plots"), version="2", seed=2)
    second = check(served, references, "3")
    assert [first.version, first.state, first.is_confirmed] == ["2", "drifted", False]
    assert [second.version, second.state, second.is_confirmed] == ["2", "drifted", True]
    assert second.report["reference"]["uri"] == f"{references}/2"


def test_nothing_is_confirmed_in_the_cooldown(served: Database, references: str) -> None:
    confirmed = []
    for number in range(4):
        serve(served, mixed(50, "plots"), seed=number + 1)
        confirmed.append(check(served, references, str(number), confirmations=1, cooldown_s=3_600).is_confirmed)
    assert confirmed == [True, False, False, False]


def test_answers_of_an_earlier_model_of_the_same_version_are_not_the_champions(
    served: Database, references: str
) -> None:
    assert check(served, references, "before").report["reference"] is not None
    serve(served, mixed(50, "plots"), seed=1)
    recreated = Model("1", "runs:/another/model", "sha256:another")
    rollout = start_rollout(served, PIPELINE, recreated, started_by="canary/run", settings={})
    crown(served, recreated)

    first = check(served, references, "1", packed=never)
    assert first.report["reason"] == "0 of 50 rows of the traffic baseline of version 1 are there."
    trained = check(served, references, "2", reference="training")
    assert trained.report["window"]["rows"] == 0

    serve(served, mixed(100, "plots"), seed=2, at=rollout.created_at)
    second = check(served, references, "3", packed=unreachable)
    assert second.report["reference"]["rows"] == second.report["window"]["rows"] == 50
    assert second.state in {"ok", "warning"}


# Training data as the reference


def test_the_training_data_can_be_the_reference_from_the_start(database: Database, references: str) -> None:
    crown(database, ONE)
    serve(database, mixed(50, "plots"))
    first = check(database, references, "1", reference="training")
    again = check(database, references, "2", reference="training", packed=never)
    assert [first.state, again.state] == ["drifted", "drifted"]
    assert first.report["reference"]["kind"] == "training"
    assert first.report["reference"]["rows"] == 80
    assert first.report["domain_gap"] is None
    assert first.report["window"]["first_prediction_id"] == 1


def test_training_data_that_are_too_few_are_said_to_be(database: Database, references: str) -> None:
    crown(database, ONE)
    serve(database, mixed(50, "web"))
    found = check(database, references, "run", reference="training", packed=lambda _: table_of(mixed(30, "web")))
    assert found.state == "insufficient_data"
    assert found.report["reason"] == "The training reference of version 1 has 30 rows, too few to compare 50 with."


def test_training_data_out_of_reach_fail_the_check_and_a_retry_makes_it(database: Database, references: str) -> None:
    crown(database, ONE)
    serve(database, mixed(50, "web", "tables"))
    with pytest.raises(TrackingUnavailableError):
        check(database, references, "run", reference="training", packed=unreachable)
    assert read_checks(database, PIPELINE) == []
    assert check(database, references, "run", reference="training").state != "insufficient_data"


def test_a_baseline_does_not_wait_for_mlflow(served: Database, references: str) -> None:
    serve(served, mixed(50, "plots"), seed=1)
    found = check(served, references, "run", packed=unreachable)
    assert found.state == "drifted"
    assert found.report["domain_gap"] is None


def test_a_damaged_reference_fails_the_check(served: Database, references: str) -> None:
    check(served, references, "1")
    for shard in Path(f"{references.removeprefix('file://')}/1").glob("*.parquet"):
        shard.unlink()
    with pytest.raises(ShardMissingError, match=f"{references}/1"):
        check(served, references, "2")


# The report


def test_the_report_says_what_was_seen(served: Database, references: str) -> None:
    window = serve(served, mixed(50, "web", "plots"), labels=mixed(50, "web", "web", "tables"), seed=1)
    say(served, window[:6], is_correct=True)
    say(served, window[6:8], is_correct=False)
    say(served, window[8:10], label="plots")
    found = check(served, references, "run")
    report = dict(found.report)

    assert json.loads(json.dumps(report)) == report
    assert set(report) == {
        "reference",
        "window",
        "separation",
        "label_shift",
        "label_shares",
        "mean_confidence",
        "realised_accuracy",
        "learnable",
        "texts_kept",
        "most_novel",
        "domain_gap",
        "confirmation",
        "reason",
    }
    assert report["label_shares"] == {
        "reference": {"tables": 0.5, "web": 0.5},
        "window": {"web": 0.68, "tables": 0.32},
    }
    assert found.score == max(report["separation"], report["label_shift"])
    assert report["label_shift"] == pytest.approx(0.18)
    assert report["mean_confidence"] == 0.75
    assert report["realised_accuracy"] == {"rows": 10, "accuracy": 0.6}
    assert report["reason"] is None
    novel = report["most_novel"]
    assert len(novel) == 20
    assert {int(row["request_id"].rsplit("-", 1)[1]) % 2 for row in novel} == {1}
    assert [row["novelty"] for row in novel] == sorted((row["novelty"] for row in novel), reverse=True)
    assert {row["label"] for row in novel} <= {"web", "tables"}


def test_nobody_has_judged_an_answer_nobody_spoke_of(served: Database, references: str) -> None:
    serve(served, mixed(50, "web", "tables"), seed=1)
    assert check(served, references, "run").report["realised_accuracy"] is None


def test_without_texts_a_drift_is_confirmed_but_not_learnable(served: Database, references: str) -> None:
    serve(served, mixed(50, "plots"), seed=1)
    found = check(served, references, "run", confirmations=1)
    assert found.is_confirmed
    assert (found.report["learnable"], found.report["texts_kept"]) == (False, 0)


def test_with_a_few_texts_it_is_learnable_and_no_text_is_in_the_report(served: Database, references: str) -> None:
    serve(served, mixed(40, "plots"), seed=1)
    serve(served, mixed(10, "plots"), seed=2, text="a secret text")
    found = check(served, references, "run", confirmations=1)
    assert (found.report["learnable"], found.report["texts_kept"]) == (True, 10)
    assert "a secret text" not in json.dumps(dict(found.report))


# Once a run


def test_a_run_makes_one_check_however_often_it_is_retried(served: Database, references: str) -> None:
    serve(served, mixed(50, "plots"), seed=1)
    first = check(served, references, "run")
    serve(served, mixed(50, "plots"), seed=2)
    assert check(served, references, "run", packed=never) == first
    assert read_checks(served, PIPELINE) == [first]


@pytest.mark.parametrize(
    "moment", ["before the manifest", "after the manifest", "before the commit", "after the commit"]
)
def test_a_killed_check_is_made_once_by_its_retry(served: Database, references: str, moment: Moment) -> None:
    serve(served, mixed(50, "plots"), seed=1)
    settings = settings_with(confirmations=1)
    process = start_check(served, references, settings, run="run", moment=moment)
    process.join(DEADLINE_S)
    assert process.exitcode == KILLED
    before = read_checks(served, PIPELINE)
    assert len(before) == (moment == "after the commit")
    assert (find_reference(references, ONE, "traffic_baseline") is None) == (moment == "before the manifest")

    packed = unreachable if moment == "before the manifest" else never
    found = check(served, references, "run", settings=settings, packed=packed)

    assert found.state == "drifted"
    assert found.is_confirmed
    assert read_checks(served, PIPELINE) == [found]
    assert before in ([], [found])
    manifests = [name for name in os.listdir(f"{references.removeprefix('file://')}/1") if "manifest" in name]
    assert manifests == ["_manifest.json"]


@pytest.mark.parametrize("runs", [["one", "one"], ["one", "other"]], ids=["the same run", "two runs"])
def test_checks_at_once_freeze_one_reference_and_do_not_confirm_each_other(
    served: Database, references: str, runs: list[str]
) -> None:
    serve(served, mixed(50, "plots"), seed=1)
    line = barrier(len(runs))
    processes = [start_check(served, references, settings_with(), run=run, moment=line) for run in runs]
    for process in processes:
        process.join(DEADLINE_S)
    assert [process.exitcode for process in processes] == [0, 0]

    found = read_checks(served, PIPELINE)
    assert sorted(one.run for one in found) == sorted(set(runs))
    assert {one.state for one in found} == {"drifted"}
    assert not any(one.is_confirmed for one in found)
    assert len({one.report["reference"]["digest"] for one in found}) == 1


# Real text


@pytest.fixture(scope="module")
def answered() -> dict[str, tuple[Vectors, list[str]]]:
    """Embeddings of the bundled model and its labels, of known subjects and of one that is new, in no order."""
    labeler = EmbeddingLabeler.load(LabelSettings.parse({"labels": LABELS}))
    texts = passages(182)
    random.Random(0).shuffle(texts)
    vectors = labeler.encoder.encode([text for text, _ in texts])
    probabilities = labeler.classify(vectors)
    labels = [probabilities.names[best] for best in probabilities.probabilities.argmax(axis=1)]
    is_new = np.array([subject == "space" for _, subject in texts])
    return {
        name: (vectors[rows], [label for label, chosen in zip(labels, rows, strict=True) if chosen])
        for name, rows in (("known", ~is_new), ("new", is_new))
    }


def test_the_same_traffic_never_drifts_and_a_new_subject_does(
    database: Database, references: str, answered: dict[str, tuple[Vectors, list[str]]]
) -> None:
    settings = settings_with(baseline_rows=100, window_rows=100, min_rows=100)
    crown(database, ONE)
    sent = dict.fromkeys(answered, 0)

    def send(name: str, rows: int) -> None:
        vectors, labels = answered[name]
        chosen = slice(sent[name], sent[name] + rows)
        sent[name] += rows
        serve(database, labels[chosen], vectors=vectors[chosen], name=f"{name}-{chosen.start}")

    send("known", 182)
    quiet = []
    for number in range(10):
        send("known", 18)
        quiet.append(check(database, references, f"quiet {number}", settings=settings, packed=unreachable))
    assert {one.state for one in quiet} <= {"ok", "warning"}
    assert max(one.score or 0.0 for one in quiet) < 0.3

    loud = []
    for number in range(2):
        send("new", 60)
        loud.append(check(database, references, f"loud {number}", settings=settings, packed=never))
    assert [one.state for one in loud] == ["drifted", "drifted"]
    assert [one.is_confirmed for one in loud] == [False, True]
    novel = [row["request_id"] for row in loud[0].report["most_novel"]]
    assert sum(request_id.startswith("new") for request_id in novel) >= 18
