from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airflow_provider_autoglm.exceptions import DifferentDimensionsError, UnusableSampleError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from airflow_provider_autoglm.monitoring.drift import DriftReport, measure
from airflow_provider_autoglm.monitoring.sample import Sample
from airflow_provider_autoglm.settings import DriftSettings, LabelSettings
from demo.docstrings import sample_area
from tests.monitoring.samples import topics

REFERENCE = topics({"web": 150, "tables": 150}, seed=1)


def settings_with(**changes: Any) -> DriftSettings:
    return DriftSettings.parse(changes)


def current(rows: Mapping[str, int], seed: int = 2) -> Sample:
    return topics(rows, seed=seed)


def test_the_same_traffic_is_ok() -> None:
    report = measure(REFERENCE, current({"web": 150, "tables": 150}), settings_with())

    assert report.state == "ok"
    assert report.score is not None
    assert report.score < 0.15
    assert report.p_value is not None
    assert report.p_value > 0.01
    assert (report.reference_rows, report.current_rows) == (300, 300)


def test_a_fifth_of_a_new_topic_is_a_warning() -> None:
    report = measure(REFERENCE, current({"web": 120, "tables": 120, "plots": 60}), settings_with())

    assert report.state == "warning"
    assert report.score == pytest.approx(0.2, abs=0.05)


def test_two_fifths_of_a_new_topic_are_drift() -> None:
    report = measure(REFERENCE, current({"web": 90, "tables": 90, "plots": 120}), settings_with())

    assert report.state == "drifted"
    assert report.separation == pytest.approx(0.4, abs=0.06)
    assert report.label_shift == pytest.approx(0.4)
    assert report.score == max(report.separation, report.label_shift)
    assert report.p_value is not None
    assert report.p_value < 1e-6


def test_a_large_score_that_may_be_chance_is_a_warning() -> None:
    window = current({"web": 90, "tables": 90, "plots": 120})
    assert measure(REFERENCE, window, settings_with(max_p_value=1e-300)).state == "warning"


def test_the_thresholds_are_those_of_the_settings() -> None:
    window = current({"web": 90, "tables": 90, "plots": 120})
    score = measure(REFERENCE, window, settings_with()).score
    assert score is not None

    assert measure(REFERENCE, window, settings_with(threshold=score)).state == "warning"
    assert measure(REFERENCE, window, settings_with(threshold=score - 1e-9)).state == "drifted"
    assert measure(REFERENCE, window, settings_with(warning=score, threshold=score)).state == "ok"


def test_other_shares_of_the_same_labels_are_drift() -> None:
    report = measure(REFERENCE, current({"web": 270, "tables": 30}), settings_with())

    assert report.state == "drifted"
    assert report.label_shift == pytest.approx(0.4)
    assert report.reference_shares == {"tables": 0.5, "web": 0.5}
    assert report.current_shares == {"web": 0.9, "tables": 0.1}
    assert list(report.current_shares) == ["web", "tables"]


@pytest.mark.parametrize(
    ("labels", "others", "shift"), [(["a"], ["a"], 0), (["a"], ["b"], 1), (["a", "b"], ["b", "c"], 0.5)]
)
def test_the_label_shift_counts_labels_that_one_side_lacks(labels: list[str], others: list[str], shift: float) -> None:
    reference = replace(REFERENCE, labels=labels * (300 // len(labels)))
    report = measure(reference, replace(REFERENCE, labels=others * (300 // len(others))), settings_with())

    assert report.label_shift == pytest.approx(shift)
    assert report.separation == 0
    assert report.state == ("warning" if shift else "ok")  # the embeddings are the same: no significance


@pytest.mark.parametrize(("reference_rows", "current_rows"), [(300, 199), (199, 300), (300, 0), (0, 300)])
def test_too_few_rows_are_insufficient_data_and_never_ok(reference_rows: int, current_rows: int) -> None:
    report = measure(topics({"web": reference_rows}), topics({"plots": current_rows}), settings_with(min_rows=200))

    assert report == DriftReport("insufficient_data", reference_rows, current_rows)
    assert (report.score, report.p_value, report.reference_shares, report.most_novel) == (None, None, None, ())


def test_the_fewest_rows_are_enough() -> None:
    report = measure(topics({"web": 200}), topics({"plots": 200}), settings_with(min_rows=200))
    assert report.state == "drifted"
    assert report.score == 1


def test_a_whole_baseline_is_enough_however_small_it_was_set() -> None:
    settings = settings_with(min_rows=200, baseline_rows=100)
    assert measure(topics({"web": 100}), topics({"plots": 200}), settings).state == "drifted"
    assert measure(topics({"web": 99}), topics({"plots": 200}), settings).state == "insufficient_data"


def test_the_most_novel_rows_come_first_and_are_of_the_new_topic() -> None:
    report = measure(REFERENCE, current({"web": 90, "tables": 90, "plots": 120}), settings_with())

    assert len(report.most_novel) == len(set(report.most_novel)) == 20
    assert min(report.most_novel) >= 180
    assert list(report.most_novel_scores) == sorted(report.most_novel_scores, reverse=True)
    assert 0.9 < report.most_novel_scores[0] <= 1


def test_the_same_samples_give_the_same_report() -> None:
    window = current({"web": 90, "tables": 90, "plots": 120})
    assert measure(REFERENCE, window, settings_with()) == measure(REFERENCE, window, settings_with())


def test_a_report_is_json() -> None:
    window = current({"web": 90, "tables": 90, "plots": 120})
    for report in (measure(REFERENCE, window, settings_with()), DriftReport("insufficient_data", 0, 3)):
        values = report.to_dict()
        assert json.loads(json.dumps(values)) == values
        assert values["state"] == report.state
        assert values["most_novel"] == list(report.most_novel)


def test_samples_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(DifferentDimensionsError):
        measure(REFERENCE, topics({"web": 300}, dimensions=16), settings_with())
    with pytest.raises(UnusableSampleError, match="300 of 300 embeddings"):
        measure(REFERENCE, replace(REFERENCE, embeddings=np.full((300, 32), np.nan, np.float32)), settings_with())


# Real texts


@pytest.fixture(scope="module")
def docstrings() -> dict[str, Sample]:
    """Docstrings of two known areas, twice, and of a third, as the bundled model sees them."""
    known = [doc for area in ("databases", "workflows") for doc in sample_area(area, 100)]
    new = sample_area("statistics and plots", 50)
    documents = [*known, *new]
    network = TextNetwork.load(models.BUNDLED_MODEL, LabelSettings(max_tokens=40))
    vectors = network.embed([doc.text for doc in documents]).astype(np.float16).astype(np.float32)

    def of(rows: list[int]) -> Sample:
        return Sample(vectors[rows], [documents[row].area for row in rows])

    numbers = list(range(len(documents)))
    of_known, of_new = numbers[: len(known)], numbers[len(known) :]
    return {"reference": of(of_known[0::2]), "same": of(of_known[1::2]), "new": of(of_known[1::4] + of_new)}


def test_real_texts_of_a_new_area_are_drift_and_others_of_the_known_ones_are_not(docstrings: dict[str, Sample]) -> None:
    settings = settings_with(min_rows=100)
    same = measure(docstrings["reference"], docstrings["same"], settings)
    new = measure(docstrings["reference"], docstrings["new"], settings)

    assert same.state != "drifted"
    assert same.separation is not None
    assert same.separation < 0.3
    assert new.state == "drifted"
    assert new.separation is not None
    assert new.separation > 0.3
    labels = docstrings["new"].labels
    assert sum(labels[position] == "statistics and plots" for position in new.most_novel) >= 18
