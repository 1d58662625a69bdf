from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.manifest import ReviewRecord
from airflow_provider_autoglm.corpus.schema import REVIEWED_SAMPLE, REVIEWED_SUSPICIOUS
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import ReviewFailedError, SettingsError
from airflow_provider_autoglm.labeling import review
from tests.corpus.conftest import killed_after_shards
from tests.labeling.review.conftest import (
    SCHEMA,
    Checks,
    Row,
    answer_all,
    by_id,
    drawn,
    forms,
    knowing,
    review_settings,
    row,
    rows,
)

WIDE = {"margin": 0.1}


def wrong_in(content: Sequence[Row], every: int) -> dict[str, str | None]:
    """The truth of ``content``, of which one label in ``every`` is wrong."""
    other = {"a": "b", "b": "a", None: "a"}
    return {
        each["doc_id"]: other[each["label"]] if number % every == 0 else each["label"]
        for number, each in enumerate(content)
    }


def record_of(result: review.ReviewResult) -> ReviewRecord:
    record = Corpus.open(result.uri).manifest.review
    assert record is not None
    return record


def shards_of(uri: str) -> list[str]:
    return [stored.shard.sha256 for stored in Corpus.open(uri).shards]


def test_good_labels_pass_and_what_people_said_stands_in_the_corpus(checks: Checks) -> None:
    content = [row(number, None if number < 20 else "ab"[number % 2]) for number in range(500)]
    source, truth = checks.corpus(content), wrong_in(content, 9)
    right = sum(truth[each["doc_id"]] == each["label"] for each in content[20:])
    draw = checks.draw(source, suspicious_texts=30, **WIDE).uri
    result = checks.decide(source, [draw], answer_all(draw, knowing(truth)), **WIDE)

    assert (result.outcome, result.population, result.rounds, result.reused) == ("passed", 480, 1, False)
    assert result.estimate is not None
    assert result.estimate.low <= right / 480 <= result.estimate.high
    asked = {each["doc_id"]: each["review_set"] for each in drawn(draw)}
    assert result.asked == result.answered == list(asked.values()).count("sample")
    before, after = by_id(source), by_id(result.uri)
    assert list(before) == list(after)
    for doc_id, found in after.items():
        if doc_id not in asked:
            assert found == before[doc_id]
            continue
        labeler = REVIEWED_SAMPLE if asked[doc_id] == "sample" else REVIEWED_SUSPICIOUS
        given = {"label": truth[doc_id], "label_source": "human", "labeler": labeler}
        unknown = {"label_score": None, "label_margin": None, "uncertainty": None}
        assert found == {**before[doc_id], **given, **unknown}
    assert result.corrected == sum(before[doc_id]["label"] != truth[doc_id] for doc_id in asked)
    assert Corpus.open(result.uri).to_table().schema.remove_metadata() == SCHEMA


def test_the_manifest_tells_what_was_found(checks: Checks) -> None:
    source, truth = checks.corpus(rows(500)), wrong_in(rows(500), 11)
    draw = checks.draw(source, suspicious_texts=10, **WIDE).uri
    result = checks.decide(source, [draw], answer_all(draw, knowing(truth)), **WIDE)
    estimate = result.estimate
    assert estimate is not None
    assert record_of(result) == ReviewRecord(
        outcome="passed",
        accuracy=estimate.accuracy,
        low=estimate.low,
        high=estimate.high,
        confidence=0.95,
        target=0.8,
        population=500,
        asked=result.asked,
        answered=result.answered,
        corrected=result.corrected,
        rounds=1,
    )
    manifest = Corpus.open(result.uri).manifest
    assert manifest.stage == "review"
    metrics = {name.partition("/")[2]: value for name, value in manifest.metrics.items() if name.startswith("review/")}
    assert metrics == {
        "accuracy": estimate.accuracy,
        "low": estimate.low,
        "high": estimate.high,
        "population": 500,
        "asked": result.asked,
        "answered": result.answered,
        "corrected": result.corrected,
        "suspicious_asked": 10,
        "suspicious_answered": 10,
    }
    assert [item.uri for item in manifest.inputs[:2]] == [source, draw]
    assert json.loads(json.dumps(result.to_dict()))["estimate"]["accuracy"] == estimate.accuracy


def test_bad_labels_fail_and_nothing_is_committed(checks: Checks) -> None:
    source, truth = checks.corpus(rows(500)), wrong_in(rows(500), 2)
    draw = checks.draw(source, **WIDE).uri
    destination = checks.uri("review")
    result = review.decide(source, [draw], answer_all(draw, knowing(truth)), destination, review_settings(**WIDE))
    assert (result.outcome, result.uri) == ("failed", "")
    assert not (checks.folder / destination.rpartition("/")[2]).exists()
    error = ReviewFailedError(result)
    assert not error.retry_can_help
    assert str(result.estimate) in str(error)
    assert f"{result.asked} of {result.asked} sampled texts" in str(error)
    assert "the target 0.8" in str(error)


def test_a_second_round_counts_together_with_the_first(checks: Checks) -> None:
    content = rows(500)
    source, truth = checks.corpus(content), wrong_in(content, 5)
    first = checks.draw(source, suspicious_texts=20, **WIDE).uri
    answers = answer_all(first, knowing(truth))
    undecided = checks.decide(source, [first], answers, **WIDE)
    assert (undecided.outcome, undecided.uri) == ("again", "")

    second = checks.draw(source, suspicious_texts=20, earlier=first, **WIDE).uri
    answers += answer_all(second, knowing(truth))
    final = checks.decide(source, [first, second], answers, target_accuracy=0.7, **WIDE)
    assert (final.outcome, final.rounds) == ("passed", 2)
    assert final.asked == undecided.asked + len(drawn(second))
    assert final.estimate is not None
    assert undecided.estimate is not None
    assert final.estimate.effective > undecided.estimate.effective
    people = [each for each in by_id(final.uri).values() if each["label_source"] == "human"]
    assert len(people) == final.asked + 20


def test_suspicious_answers_correct_and_never_count(checks: Checks) -> None:
    content = [row(number, "ab"[number % 2], label_margin=number / 500) for number in range(500)]
    source = checks.corpus(content)
    draw = checks.draw(source, suspicious_texts=40, **WIDE).uri
    sample = {each["doc_id"] for each in drawn(draw) if each["review_set"] == "sample"}
    truth = {each["doc_id"]: each["label"] for each in content}
    other = checks.draw(source, suspicious_texts=40, **WIDE).uri
    spoiled = {**dict.fromkeys(truth), **{doc_id: truth[doc_id] for doc_id in sample}}
    right = checks.decide(source, [draw], answer_all(draw, knowing(truth)), **WIDE)
    wrong = checks.decide(source, [other], answer_all(other, knowing(spoiled)), **WIDE)
    assert right.estimate == wrong.estimate
    assert (right.corrected, wrong.corrected) == (0, 40)
    assert sum(each["label"] is None for each in by_id(wrong.uri).values()) == 40


def test_a_form_without_answers_does_not_bend_the_estimate(checks: Checks) -> None:
    source, truth = checks.corpus(rows(500)), wrong_in(rows(500), 10)
    draw = checks.draw(source, form_texts=5, **WIDE).uri
    answers = answer_all(draw, knowing(truth))[:-2]
    answers.append(review.keep_answers(forms(draw)[-1], None))
    result = checks.decide(source, [draw], answers, **WIDE)
    assert result.outcome == "passed"
    assert result.asked - 10 <= result.answered < result.asked
    people = [each for each in by_id(result.uri).values() if each["label_source"] == "human"]
    assert len(people) == result.answered


def test_nobody_answering_passes_as_unreviewed_if_the_settings_say_so(checks: Checks) -> None:
    source = checks.corpus(rows(500))
    draw = checks.draw(source, suspicious_texts=10, **WIDE).uri
    answers = [review.keep_answers(form, None) for form in forms(draw)]
    result = checks.decide(source, [draw], answers, on_no_answer="pass", **WIDE)
    record = record_of(result)
    assert (result.outcome, record.outcome, record.accuracy, record.answered) == ("unreviewed", "unreviewed", None, 0)
    assert by_id(result.uri) == by_id(source)
    assert "review/accuracy" not in Corpus.open(result.uri).manifest.metrics


def test_the_answer_of_an_earlier_uri_stays(checks: Checks) -> None:
    source = checks.corpus(rows(3))
    draw = checks.draw(source).uri
    nobody = review.keep_answers(forms(draw)[0], None)
    somebody = answer_all(draw, lambda asked: "b")
    for answers in ([nobody, *somebody], [*somebody, nobody]):
        result = checks.decide(source, [draw], answers, target_accuracy=0.1)
        assert {each["label"] for each in by_id(result.uri).values()} == {"b"}


def test_what_people_had_labelled_before_stays_as_it_is(checks: Checks) -> None:
    human = {"label_source": "human", "labeler": REVIEWED_SAMPLE}
    source = checks.corpus([row(0, "a"), row(0, "b", **human), row(0, "a", source="twice"), row(1, "a", **human)])
    draw = checks.draw(source).uri
    result = checks.decide(source, [draw], answer_all(draw, lambda asked: "b"), target_accuracy=0)
    after = Corpus.open(result.uri).to_table().to_pylist()
    assert [(each["label"], each["label_source"]) for each in after] == [
        ("b", "human"),
        ("b", "human"),
        ("b", "human"),
        ("a", "human"),
    ]
    assert after[1]["label_score"] == 0.75
    assert (result.population, result.corrected) == (1, 1)


def test_several_sources_become_one_corpus(checks: Checks) -> None:
    content = rows(60)
    sources = [checks.corpus(content[:25]), checks.corpus([]), checks.corpus(content[25:])]
    draw = checks.draw(sources).uri
    result = checks.decide(sources, [draw], answer_all(draw, knowing(wrong_in(content, 99))))
    assert list(by_id(result.uri)) == [each["doc_id"] for each in content]


def test_a_second_call_is_reused_and_another_answer_is_not(checks: Checks) -> None:
    source, truth = checks.corpus(rows(40)), wrong_in(rows(40), 99)
    draw = checks.draw(source, form_texts=25).uri
    answers, destination = answer_all(draw, knowing(truth)), checks.uri("review")

    def decided(given: Sequence[str], *, force: bool = False) -> review.ReviewResult:
        why = Provenance(force=force)
        return review.decide(source, [draw], given, destination, review_settings(min_answered=0.1), provenance=why)

    first = decided(answers)
    again = decided(answers)
    assert (first.reused, again.reused) == (False, True)
    assert (again.estimate, again.corrected, again.uri) == (first.estimate, first.corrected, first.uri)
    digest = shards_of(first.uri)
    assert not decided(answers, force=True).reused
    assert shards_of(first.uri) == digest
    assert not decided(answers[:1]).reused
    assert shards_of(first.uri) != digest


def test_a_decision_that_was_killed_gives_equal_bytes_when_it_is_retried(checks: Checks) -> None:
    content = rows(60)
    source, truth = checks.corpus(content, rows_of_a_shard=20), wrong_in(content, 99)
    draw = checks.draw(source).uri
    answers, destination = answer_all(draw, knowing(truth)), checks.uri("review")
    code = f"""
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.labeling import review
from tests.labeling.review.conftest import review_settings

report = StageAttempt.report
StageAttempt.report = lambda self: (report(self), self.finish_shards(), progress(None))
review.decide({source!r}, [{draw!r}], {answers!r}, {destination!r}, review_settings())
"""
    killed_after_shards(2, code)
    retried = review.decide(source, [draw], answers, destination, review_settings())
    assert not retried.reused
    assert shards_of(retried.uri) == shards_of(checks.decide(source, [draw], answers).uri)


@pytest.mark.parametrize(
    ("content", "outcome", "population", "corrected"),
    [
        ([], "unreviewed", 0, 0),
        ([row(0, "a", label_source="human")], "unreviewed", 0, 0),
        ([row(number, None) for number in range(9)], "unreviewed", 0, 9),
        ([row(0, "a")], "passed", 1, 0),
        ([row(number, "a") for number in range(9)], "passed", 9, 0),
        ([row(0, "b")], "failed", 1, 1),
    ],
    ids=["empty", "labelled by people", "all abstained", "one text", "one label", "one wrong text"],
)
def test_a_corpus_of_almost_nothing_is_decided(
    checks: Checks, content: list[Row], outcome: str, population: int, corrected: int
) -> None:
    source = checks.corpus(content)
    draw = checks.draw(source, suspicious_texts=50).uri
    result = checks.decide(source, [draw], answer_all(draw, lambda asked: "a"))
    assert (result.outcome, result.population, result.corrected) == (outcome, population, corrected)
    if outcome == "unreviewed":
        assert "nothing to check" in result.reason
        assert record_of(result).population == 0
        assert [each["label"] for each in by_id(result.uri).values()] == ["a"] * len(content)


def test_draws_and_answers_that_do_not_belong_together_are_refused(checks: Checks) -> None:
    source, other = checks.corpus(rows(50)), checks.corpus(rows(51))
    draw, strange = checks.draw(source).uri, checks.draw(other).uri
    answers: list[str] = answer_all(draw, lambda asked: "a")
    with pytest.raises(SettingsError, match="was not drawn from these corpora"):
        checks.decide(source, [strange], answers)
    with pytest.raises(SettingsError, match="was not drawn from these corpora"):
        checks.decide(source, [draw, draw], answers)
    with pytest.raises(SettingsError, match="belongs to none of the draws"):
        checks.decide(source, [draw], answer_all(strange, lambda asked: "a"))
    with pytest.raises(SettingsError, match="name the first draw"):
        checks.decide(source, [], answers)


def test_a_corpus_of_other_columns_gets_those_that_labels_have(checks: Checks) -> None:
    uri = checks.uri("label")
    attempt = StageAttempt("label", [], uri, {})
    attempt.count_in(2)
    columns: dict[str, Any] = {"doc_id": ["x", "y"], "text": ["one", "two"], "label": ["a", "b"], "extra": [1, 2]}
    attempt.write(pa.table({**columns, "label_source": pa.array([None, "auto"], pa.large_string())}))
    attempt.commit()
    draw = checks.draw(uri).uri
    result = checks.decide(
        uri, [draw], answer_all(draw, lambda asked: "a" if asked.doc_id == "x" else None), min_answered=0.5
    )
    found = by_id(result.uri)
    assert (found["x"]["labeler"], found["x"]["label_source"], found["x"]["extra"]) == (REVIEWED_SAMPLE, "human", 1)
    assert (found["y"]["labeler"], found["y"]["label_source"], found["y"]["label"]) == (None, "auto", "b")
