from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.exceptions import DifferentDimensionsError, UnusableSampleError
from airflow_provider_autoglm.monitoring.novelty import FEWEST_ROWS, Novelty, novelty, p_value_of
from airflow_provider_autoglm.monitoring.sample import Sample
from tests.monitoring.samples import repeated, topics

KNOWN = {"web": 100, "tables": 100}
REFERENCE = topics(KNOWN, seed=1)
SAME = topics(KNOWN, seed=2)
NEW = topics({"web": 60, "tables": 60, "plots": 80}, seed=3)

EMPTY = Sample(np.zeros((0, 0), np.float32), [])


def test_rows_of_a_new_topic_are_novel_and_those_of_known_ones_are_not() -> None:
    scores = novelty(REFERENCE, NEW)

    known, new = scores.of_current[:120], scores.of_current[120:]
    assert new.mean() > 0.75
    assert known.mean() < 0.5
    assert min(new) > np.median(known)
    assert scores.of_reference.mean() < 0.5


def test_the_separation_is_about_the_share_of_the_new_topic() -> None:
    assert 2 * novelty(REFERENCE, NEW).auc - 1 == pytest.approx(0.4, abs=0.06)
    assert 2 * novelty(REFERENCE, SAME).auc - 1 == pytest.approx(0, abs=0.1)


def test_the_auc_counts_pairs_and_ties_half() -> None:
    assert Novelty(np.array([0.1, 0.5]), np.array([0.5, 0.9])).auc == 3.5 / 4
    assert Novelty(np.array([0.5, 0.5]), np.array([0.5])).auc == 0.5


def test_the_same_samples_give_the_same_scores() -> None:
    first, second = novelty(REFERENCE, NEW), novelty(REFERENCE, NEW)
    assert first.of_reference.tolist() == second.of_reference.tolist()
    assert first.of_current.tolist() == second.of_current.tolist()
    assert p_value_of(REFERENCE, NEW) == p_value_of(REFERENCE, NEW)


def test_identical_samples_cannot_be_told_apart() -> None:
    assert novelty(REFERENCE, REFERENCE).auc == 0.5
    assert p_value_of(REFERENCE, REFERENCE) > 0.2


@pytest.mark.parametrize("times", [2, 5])
def test_texts_that_are_sent_more_than_once_are_not_novel_by_that(times: int) -> None:
    seldom = topics({"web": 200 // times, "tables": 200 // times}, seed=4, dimensions=256)
    reference = topics(KNOWN, seed=1, dimensions=256)
    assert novelty(reference, repeated(seldom, times)).auc < 0.57
    assert novelty(repeated(seldom, times), reference).auc < 0.57


def test_without_a_new_topic_the_p_value_is_seldom_small() -> None:
    p_values = [p_value_of(topics(KNOWN, seed=seed), topics(KNOWN, seed=seed + 1)) for seed in range(100, 160, 2)]
    assert sum(p < 0.01 for p in p_values) <= 1
    assert 0.3 < np.mean(p_values) < 0.7


def test_a_new_topic_is_significant() -> None:
    assert p_value_of(REFERENCE, NEW) < 1e-4


def test_a_side_of_one_repeated_text_is_compared() -> None:
    alone = topics({"plots": 1}, seed=5)
    for sides in ((REFERENCE, repeated(alone, 50)), (repeated(alone, 50), REFERENCE)):
        assert novelty(*sides).auc > 0.95
        assert p_value_of(*sides) < 1e-4
    assert novelty(repeated(alone, 30), repeated(alone, 40)).auc == 0.5


@given(
    st.lists(st.integers(0, 9), min_size=FEWEST_ROWS, max_size=40),
    st.lists(st.integers(0, 9), min_size=FEWEST_ROWS, max_size=40),
)
@settings(max_examples=40, deadline=None)
def test_every_row_has_a_probability_however_the_texts_repeat(of_reference: list[int], of_current: list[int]) -> None:
    texts = topics({"web": 5, "tables": 5}, seed=6)
    sides = [Sample(texts.embeddings[rows], [texts.labels[row] for row in rows]) for rows in (of_reference, of_current)]
    scores = novelty(*sides)
    for some, sample in zip((scores.of_reference, scores.of_current), sides, strict=True):
        assert len(some) == len(sample)
        assert ((some >= 0) & (some <= 1)).all()
    assert 0 <= p_value_of(*sides) <= 1


def test_embeddings_of_different_lengths_are_refused_with_both_lengths() -> None:
    with pytest.raises(DifferentDimensionsError, match=r"32 dimensions \(reference\) and of 16 \(current\)") as raised:
        novelty(REFERENCE, topics(KNOWN, dimensions=16))
    assert (raised.value.reference, raised.value.current) == (32, 16)
    assert not raised.value.retry_can_help


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["reference", "current"])
def test_numbers_that_are_not_finite_are_refused(side: str, value: float) -> None:
    embeddings = SAME.embeddings.copy()
    embeddings[[3, 7], 5] = value
    samples = {"reference": REFERENCE, "current": REFERENCE, side: replace(SAME, embeddings=embeddings)}
    for compare in (novelty, p_value_of):
        with pytest.raises(UnusableSampleError, match=f"the {side} sample .*: 2 of 200 embeddings hold a number"):
            compare(samples["reference"], samples["current"])


@pytest.mark.parametrize(("small", "rows"), [(EMPTY, 0), (topics({"web": FEWEST_ROWS - 1}), 19)])
def test_too_few_rows_are_refused(small: Sample, rows: int) -> None:
    with pytest.raises(UnusableSampleError, match=f"the current sample .*: {rows} rows are too few"):
        novelty(REFERENCE, small)
    with pytest.raises(UnusableSampleError, match=f"the reference sample .*: {rows} rows are too few"):
        novelty(small, REFERENCE)


def test_the_fewest_rows_are_compared() -> None:
    scores = novelty(topics({"web": FEWEST_ROWS}, seed=7), topics({"plots": FEWEST_ROWS}, seed=8))
    assert scores.auc == 1


def test_a_label_is_needed_for_every_row() -> None:
    with pytest.raises(UnusableSampleError, match=r"the current sample .*: 199 labels for 200 rows"):
        novelty(REFERENCE, replace(SAME, labels=SAME.labels[1:]))


def test_one_thread_computes_and_the_process_gets_its_own_number_back() -> None:
    with threadpoolctl.threadpool_limits(2):
        before = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
        novelty(REFERENCE, SAME)
        assert [pool["num_threads"] for pool in threadpoolctl.threadpool_info()] == before


@pytest.mark.parametrize("module", ["sklearn", "scipy"])
def test_without_its_libraries_a_comparison_says_what_to_install(module: str) -> None:
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "import numpy as np\n"
        "from airflow_provider_autoglm.exceptions import MissingExtraError\n"
        "from airflow_provider_autoglm.monitoring.drift import measure\n"
        "from airflow_provider_autoglm.monitoring.sample import Sample\n"
        "from airflow_provider_autoglm.settings import DriftSettings\n"
        "sample = Sample(np.zeros((200, 2), np.float32), ['web'] * 200)\n"
        "try:\n    measure(sample, sample, DriftSettings())\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert output == f"{module} is not installed; run: pip install 'airflow-provider-autoglm[monitor]'\n"
