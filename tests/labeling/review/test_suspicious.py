from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import pytest

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import MissingExtraError
from airflow_provider_autoglm.labeling.review.population import Population, read_population
from airflow_provider_autoglm.labeling.review.suspicious import Suspects, wrong_labels
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.conftest import settings_with
from tests.labeling.review.conftest import Checks, Row, review_settings, row
from tests.labeling.sentences import TEXTS, TRUTH

NOTHING = np.zeros(0, np.intp)
NGRAMS = settings_with(kind="llm", model="any")


def sentences(wrong: dict[int, str | None], *, copies: int = 1) -> list[Row]:
    """The test sentences with their true labels, but for those that ``wrong`` changes."""
    return [
        row(number, wrong.get(number, TRUTH[number % len(TRUTH)]), text=TEXTS[number % len(TEXTS)])
        for number in range(copies * len(TEXTS))
    ]


def suspects(
    checks: Checks, content: list[Row], *, taken: Any = NOTHING, **settings: Any
) -> tuple[Suspects, list[int]]:
    """What is suspicious, as places in ``content``."""
    label: LabelSettings = settings.pop("label", NGRAMS)
    corpora = [Corpus.open(checks.corpus(content))]
    population: Population = read_population(corpora)
    found = Suspects(corpora, population, np.array(taken, np.intp), review_settings(**settings), label)
    return found, population.row[found.choose()].tolist()


def test_wrong_labels_are_found_by_the_encoder_of_the_labeler(checks: Checks) -> None:
    wrong = {3: "space" if TRUTH[3] != "space" else "cooking", 20: "football" if TRUTH[20] != "football" else "space"}
    _, found = suspects(checks, sentences(wrong), label=settings_with(), suspicious_texts=2)
    assert set(found) == set(wrong)


def test_without_an_encoder_they_are_found_by_character_ngrams(checks: Checks) -> None:
    wrong = {50: "football" if TRUTH[10] != "football" else "space"}
    _, found = suspects(checks, sentences(wrong, copies=4), suspicious_texts=1)
    assert found == [50]


def test_who_is_in_the_random_sample_is_not_suspicious(checks: Checks) -> None:
    wrong = {3: "space" if TRUTH[3] != "space" else "cooking"}
    _, found = suspects(checks, sentences(wrong), taken=[3], label=settings_with(), suspicious_texts=1)
    assert found != [3]


def test_half_of_them_at_most_have_no_label_and_the_smallest_margins_fill_up(checks: Checks) -> None:
    content = [row(number, None if number < 10 else "a", label_margin=number / 100) for number in range(30)]
    _, found = suspects(checks, content, suspicious_texts=8)
    assert len([place for place in found if place < 10]) == 4
    assert sorted(place for place in found if place >= 10) == [10, 11, 12, 13]


def test_with_fewer_texts_than_wanted_all_are_shown(checks: Checks) -> None:
    _, found = suspects(checks, [row(0, None), row(1), row(2, label_margin=None)], suspicious_texts=50)
    assert sorted(found) == [0, 1]


def test_too_few_texts_of_each_label_leave_the_margins_alone(checks: Checks) -> None:
    content = [row(number, "abc"[number % 3], label_margin=number / 100) for number in range(27)]
    _, found = suspects(checks, content, suspicious_texts=3)
    assert sorted(found) == [0, 1, 2]


def test_texts_that_break_the_encoder_leave_the_margins_alone(checks: Checks, poisoned_model: str) -> None:
    content = [row(number, "ab"[number % 2], text="A zebra.", label_margin=number / 100) for number in range(40)]
    _, found = suspects(checks, content, label=settings_with(model=poisoned_model), suspicious_texts=2)
    assert sorted(found) == [0, 1]


def test_a_label_of_few_texts_is_not_judged_by_the_others(checks: Checks) -> None:
    content = [*sentences({}, copies=4), row(1_000, "rare", text="Something else.", label_margin=0.0)]
    _, found = suspects(checks, content, suspicious_texts=1)
    assert found == [160]


def test_a_pool_smaller_than_the_corpus_is_drawn_evenly_and_the_same_each_time(checks: Checks) -> None:
    content = sentences({}, copies=8)
    chosen = [suspects(checks, content, suspicious_texts=20, suspicious_pool=100)[1] for _ in range(2)]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 20


def test_they_come_in_the_order_of_the_hash(checks: Checks) -> None:
    found, _ = suspects(checks, sentences({1: None, 2: None}), suspicious_texts=12)
    order = found.population.order[found.choose()].astype(object)
    assert (np.diff(order) > 0).all()


@pytest.mark.parametrize("wanted", [0, 1])
def test_none_wanted_or_none_there_is_none_shown(checks: Checks, wanted: int) -> None:
    assert suspects(checks, [], suspicious_texts=wanted)[1] == []


def test_cleanlab_says_nothing() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        wrong_labels(vectors, (np.arange(60) % 3).astype(np.int32))
    assert said.getvalue() == ""


def test_without_cleanlab_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    monkeypatch.delitem(sys.modules, "cleanlab.filter", raising=False)
    with pytest.raises(MissingExtraError, match=r"cleanlab is not installed.*\[label\]"):
        wrong_labels(np.zeros((20, 2), np.float32), np.zeros(20, np.int32))
