"""Challenger against champion, on packaged models that answer by a keyword or misbehave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_autoglm.exceptions import DamagedModelError, TooFewRowsError
from airflow_provider_autoglm.settings import EvaluateSettings
from airflow_provider_autoglm.training.data import Dataset
from airflow_provider_autoglm.training.evaluate import Verdict, compare
from tests.packaged import Answer, write_tiny_model
from tests.training.published import publish_pairs

LABELS = ("web", "tables", "plots")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dataset whose texts name their label, but for every fifth; ``tables`` is the most frequent by far."""
    pairs = [
        (f"{'No name' if number % 5 == 0 else label} {number}", label)
        for number, label in enumerate(["web"] * 40 + ["tables"] * 100 + ["plots"] * 30)
    ]
    return publish_pairs(tmp_path_factory.mktemp("named"), pairs, labels=LABELS)


def model(folder: Path, answer: Answer, labels: tuple[str, ...] = LABELS, when: str = "") -> str:
    return write_tiny_model(folder / f"{answer}-{'-'.join(labels)}-{when}", labels=labels, answer=answer, when=when)


def judge(dataset: str, challenger: str, champion: str | None, **settings: object) -> Verdict:
    return compare(dataset, challenger, champion, EvaluateSettings.parse(settings))


def test_a_better_challenger_passes_with_both_scores_side_by_side(named: str, tmp_path: Path) -> None:
    verdict = judge(named, model(tmp_path, "keyword"), model(tmp_path, "first"))
    assert verdict.passed
    test = Dataset.open(named).read("test")
    right = [
        LABELS[number] in text or LABELS[number] == "web" for text, number in zip(test.texts, test.classes, strict=True)
    ]
    assert verdict.metrics["challenger/accuracy"] == pytest.approx(sum(right) / len(test))
    assert verdict.metrics["champion/accuracy"] == pytest.approx(float((test.classes == 0).mean()))
    metrics = verdict.metrics
    assert metrics["gain"] == pytest.approx(metrics["challenger/macro_f1"] - metrics["champion/macro_f1"])
    assert metrics["test_rows"] == len(test)
    assert metrics["mcnemar_p"] < 0.01
    assert verdict.details["opponent"] == "champion"
    assert verdict.details["champion"]["classes"]["tables"]["recall"] == 0
    assert verdict.details["challenger"]["classes"]["tables"]["support"] == int((test.classes == 1).sum())
    assert verdict.details["only_champion_right"] == 0
    assert f"champion {metrics['champion/macro_f1']:.4f}" in verdict.reasons[0]
    assert json.loads(json.dumps(verdict.to_dict())) == verdict.to_dict()


def test_a_worse_challenger_is_refused(named: str, tmp_path: Path) -> None:
    verdict = judge(named, model(tmp_path, "last"), model(tmp_path, "keyword"))
    assert not verdict.passed
    assert verdict.metrics["gain"] < 0
    assert "gain -" in verdict.reasons[0]


def test_an_equal_challenger_passes_unless_a_gain_is_asked_for(named: str, tmp_path: Path) -> None:
    same = model(tmp_path, "keyword")
    equal = judge(named, same, same)
    assert equal.passed
    assert (equal.metrics["gain"], equal.metrics["mcnemar_p"]) == (0.0, 1.0)
    asked = judge(named, same, same, min_gain=0.01)
    assert not asked.passed
    assert "at least +0.0100 is asked for" in asked.reasons[0]


def test_without_a_champion_the_most_frequent_class_of_the_training_split_has_to_be_beaten(
    named: str, tmp_path: Path
) -> None:
    test = Dataset.open(named).read("test")
    verdict = judge(named, model(tmp_path, "keyword"), None, metric="accuracy", min_gain=0.2)
    assert verdict.passed
    assert verdict.metrics["majority/accuracy"] == pytest.approx(float((test.classes == 1).mean()))
    assert verdict.details["opponent"] == "majority"
    assert not judge(named, model(tmp_path, "last"), None, metric="accuracy").passed


def test_a_challenger_with_answers_that_are_no_numbers_is_refused_however_good(named: str, tmp_path: Path) -> None:
    verdict = judge(named, model(tmp_path, "nan", when="plots"), None)
    assert not verdict.passed
    invalid = verdict.details["invalid_answers"]
    test = Dataset.open(named).read("test")
    assert invalid == sum("plots" in text for text in test.texts) > 0
    assert verdict.reasons[0] == f"{invalid} of {len(test)} answers are not finite numbers"
    assert verdict.metrics["gain"] > 0
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_a_champion_of_other_labels_is_compared_all_the_same(named: str, tmp_path: Path) -> None:
    verdict = judge(named, model(tmp_path, "keyword"), model(tmp_path, "keyword", ("news", "web")))
    assert verdict.passed
    champion = verdict.details["champion"]
    assert champion["classes"]["web"]["recall"] > 0.5
    unknown = [row[-1] for row in champion["confusion"]["counts"]]
    assert sum(unknown) > 0, "no answer was a label that the dataset does not know"
    assert champion["classes"]["tables"]["recall"] == 0


def test_a_test_split_that_is_too_small_says_how_small(named: str, tmp_path: Path) -> None:
    rows = len(Dataset.open(named).read("test"))
    challenger = model(tmp_path, "keyword")
    assert judge(named, challenger, None, min_rows=rows).passed
    with pytest.raises(TooFewRowsError, match=f"the test split has {rows} labelled rows, evaluate.min_rows asks"):
        judge(named, challenger, None, min_rows=rows + 1)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [("error", "RuntimeError: this model cannot answer"), ("wrong_shape", r"3 classes by logits \(\d+, 2\)")],
)
def test_a_model_that_breaks_on_a_text_is_named(named: str, tmp_path: Path, answer: Answer, problem: str) -> None:
    folder = model(tmp_path, answer)
    with pytest.raises(DamagedModelError, match=problem) as raised:
        judge(named, folder, None)
    assert raised.value.model_uri == folder


@pytest.mark.parametrize("answer", ["unloadable", "keyword"])
def test_a_package_that_cannot_be_loaded_is_named(named: str, tmp_path: Path, answer: Answer) -> None:
    folder = model(tmp_path, answer)
    if answer == "keyword":
        Path(folder, "tiny_model.py").unlink()
    with pytest.raises(DamagedModelError, match="cannot be used: "):
        judge(named, folder, None)


def test_a_package_without_our_metadata_or_of_a_newer_format_is_refused(named: str, tmp_path: Path) -> None:
    folder = Path(model(tmp_path, "keyword"))
    description = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(description.replace("format_version: 1", "format_version: 2"))
    with pytest.raises(DamagedModelError, match="it is of format 2, newer than this package"):
        judge(named, str(folder), None)
    (folder / "MLmodel").write_text(description.replace("  autoglm:", "  another:"))
    with pytest.raises(DamagedModelError, match="has no metadata 'autoglm'"):
        judge(named, str(folder), None)


def test_a_split_without_rows_can_be_judged_by_nobody(tmp_path: Path) -> None:
    dataset = publish_pairs(tmp_path, [(f"web {n}", "web") for n in range(4)], labels=LABELS, test_fraction=0.0)
    with pytest.raises(TooFewRowsError, match="has 0 labelled rows"):
        judge(dataset, model(tmp_path, "keyword"), None)
