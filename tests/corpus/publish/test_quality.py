"""What a version says of its labels: who has checked them, and how sure the labeler was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.manifest import Input
from airflow_provider_autoglm.corpus.publish.quality import MOST_EARLIER_BATCHES, Batch, is_reviewed
from airflow_provider_autoglm.corpus.store import Corpus
from tests.corpus.publish.conftest import Datasets, review, row, rows


def reviewed(datasets: Datasets, first: int, end: int, **values: Any) -> str:
    """A corpus of these documents that people have checked."""
    return datasets.corpus(rows(first, end), review=review(**values))


def as_input(uri: str) -> Input:
    return Corpus.open(uri).as_input()


def test_a_version_of_a_corpus_that_passed_is_reviewed_and_says_what_was_found(datasets: Datasets) -> None:
    corpus = reviewed(datasets, 0, 20)
    datasets.publish(corpus)

    record = datasets.record(1)
    assert record.reviewed
    (batch,) = record.reviews
    assert (batch.version, batch.source, batch.rows, batch.automatic) == (1, corpus, 20, 20)
    assert (batch.outcome, batch.review) == ("passed", review())
    assert batch.digest == Corpus.open(corpus).digest


@pytest.mark.parametrize("outcome", ["failed", "unreviewed", None])
def test_a_version_that_nobody_has_passed_is_not_reviewed(datasets: Datasets, outcome: str | None) -> None:
    checked = None if outcome is None else review(outcome=outcome, accuracy=None, low=None, high=None)
    datasets.publish(datasets.corpus(rows(0, 20), review=checked))

    record = datasets.record(1)
    assert not record.reviewed
    assert record.reviews[0].outcome == (outcome or "unreviewed")


def test_a_version_is_reviewed_only_if_all_that_it_is_made_of_is(datasets: Datasets) -> None:
    datasets.publish(rows(0, 20))
    datasets.publish(reviewed(datasets, 20, 30))
    assert [batch.outcome for batch in datasets.record(2).reviews] == ["unreviewed", "passed"]
    assert not datasets.record(2).reviewed

    again = reviewed(datasets, 0, 20, accuracy=0.95)
    datasets.publish(again, datasets.corpus(rows(20, 31), review=review()))
    assert [(batch.version, batch.rows) for batch in datasets.record(3).reviews] == [(3, 20), (3, 11)]
    assert datasets.record(3).reviewed


def test_reviews_of_earlier_versions_are_carried_on(datasets: Datasets) -> None:
    for version in range(3):
        datasets.publish(reviewed(datasets, 10 * version, 10 * version + 10, accuracy=0.9 + version / 100))

    found = datasets.record(3).reviews
    assert [(batch.version, batch.review and batch.review.accuracy) for batch in found] == [
        (1, 0.9),
        (2, 0.91),
        (3, 0.92),
    ]


def carried_on(datasets: Datasets, *batches: Batch) -> list[Batch]:
    """What a version has of ``batches``, which the version before had."""
    datasets.publish(rows(0, 10))
    manifest = datasets.folder / "datasets" / "v1" / "_manifest.json"
    stored = json.loads(manifest.read_text())
    stored["dataset"]["reviews"] = [batch.model_dump(mode="json") for batch in batches]
    manifest.write_text(json.dumps(stored))
    datasets.publish(reviewed(datasets, 10, 20))
    return list(datasets.record(2).reviews[:-1])


PASSED = Batch(version=1, rows=9, automatic=9, mean_score=0.9, is_calibrated=True, review=review())


def test_of_very_many_records_the_newest_are_carried_on(datasets: Datasets) -> None:
    old = [PASSED.model_copy(update={"version": version}) for version in range(1, 1_001)]

    found = carried_on(datasets, *old)

    assert [batch.version for batch in found] == [950, *range(951, 1_001)]
    assert datasets.record(2).reviewed


@pytest.mark.parametrize(
    "odd",
    [
        {"review": None},
        {"review": review(outcome="failed")},
        {"is_calibrated": False},
        {"mean_score": None},
        {"automatic": 0, "review": None, "mean_score": None},
    ],
)
def test_what_one_old_record_adds_to_the_whole_is_not_forgotten(datasets: Datasets, odd: dict[str, Any]) -> None:
    old = [PASSED] * 1_000
    old[3] = PASSED.model_copy(update={"version": 2, **odd})

    found = carried_on(datasets, *old)

    assert len(found) == MOST_EARLIER_BATCHES + 2
    assert found[0] == old[3]
    assert {batch.standing for batch in found} == {PASSED.standing, old[3].standing}
    assert datasets.record(2).reviewed == is_reviewed(old)


def test_a_corpus_that_brings_no_row_tells_nothing_of_the_labels(datasets: Datasets) -> None:
    datasets.publish(reviewed(datasets, 0, 10))
    datasets.publish([], erase_doc_ids=["doc-0001"])

    assert [batch.version for batch in datasets.record(2).reviews] == [1]
    assert datasets.record(2).reviewed


def test_a_version_of_an_earlier_release_counts_as_unreviewed(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10))
    manifest = datasets.folder / "datasets" / "v1" / "_manifest.json"
    stored = json.loads(manifest.read_text())
    for name in ("reviews", "class_rows", "automatic", "content_digest", "label_sources", "sources", "languages"):
        del stored["dataset"][name]
    manifest.write_text(json.dumps(stored))
    assert not datasets.publish(rows(0, 10)).has_news
    datasets.publish(reviewed(datasets, 10, 20))

    assert datasets.record(2).reviews[0] == Batch(version=1, rows=10, automatic=10)
    assert not datasets.record(2).reviewed


def test_rows_that_people_labelled_need_no_review_and_have_no_confidence(datasets: Datasets) -> None:
    datasets.publish([row(1, label_source="human"), row(2, label_source="feedback")])

    record = datasets.record(1)
    assert record.reviewed
    assert record.automatic is not None
    assert (record.automatic.rows, record.automatic.scored, record.automatic.mean_score) == (0, 0, None)


def test_the_mean_score_is_that_of_automatic_labels_that_have_one(datasets: Datasets) -> None:
    scores = [0.5, 0.7, None, float("nan")]
    automatic = [row(number, label_score=score) for number, score in enumerate(scores)]
    datasets.publish([*automatic, row(9, label_score=1.0, label_source="human"), row(10, None, label_score=0.1)])

    record = datasets.record(1)
    assert record.automatic is not None
    assert (record.automatic.rows, record.automatic.scored, record.automatic.mean_score) == (4, 2, 0.6)
    assert record.reviews[0].mean_score == 0.6


def test_scores_are_calibrated_if_the_corpus_or_one_behind_it_says_so(datasets: Datasets) -> None:
    label = datasets.corpus(rows(0, 5), metrics={"calibration/ece_after": 0.02})
    behind = datasets.corpus(rows(5, 10), inputs=[as_input(label)], review=review())
    datasets.publish(label, behind, rows(10, 15))

    assert [batch.is_calibrated for batch in datasets.record(1).reviews] == [True, True, False]


@pytest.mark.parametrize("uri", ["https://example.com/", "file:///not/there"])
def test_what_cannot_be_looked_up_is_not_calibrated(datasets: Datasets, uri: str) -> None:
    datasets.publish(datasets.corpus(rows(0, 5), inputs=[Input(uri=uri, digest="0" * 32)]))

    assert not datasets.record(1).reviews[0].is_calibrated


def test_a_corpus_that_was_written_anew_since_says_nothing_of_these_scores(datasets: Datasets) -> None:
    label = datasets.corpus(rows(0, 5), metrics={"calibration/ece_after": 0.02})
    other = Input(uri=label, digest="0" * 32)
    datasets.publish(datasets.corpus(rows(5, 10), inputs=[other], review=review()))

    assert not datasets.record(1).reviews[0].is_calibrated
