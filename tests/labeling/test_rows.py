from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.documents import Admitted
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS
from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.labels import Labels
from airflow_provider_autoglm.labeling.rows import label_table
from tests.labeling.conftest import POISON, settings_with
from tests.labeling.sentences import TEXTS, TRUTH

AMBIGUOUS = "The astronauts watched the football match and ate soup."


def labelled(table: pa.Table, labeler: EmbeddingLabeler, min_score: float = 0.0) -> Admitted:
    return label_table(table, lambda route: labeler, settings_with(min_score=min_score))


def table_of(texts: Sequence[str | None]) -> pa.Table:
    return pa.table({"doc_id": [f"{row:032x}" for row in range(len(texts))], "text": pa.array(texts, pa.string())})


def with_broken_bytes(texts: Sequence[str]) -> pa.Table:
    """What a Parquet file of another tool may hold: a lone surrogate behind the last text."""
    data = [text.encode() for text in texts]
    data[-1] += "\ud800".encode("utf-8", "surrogatepass")
    broken = pa.array(data, pa.binary()).cast(pa.string(), safe=False)
    return table_of(texts).set_column(1, "text", broken)


def labelled_by_people(label_source: str) -> pa.Table:
    people = pa.table(
        {
            "label": pa.array(["space", None], pa.string()),
            "label_score": pa.array([None, None], pa.float32()),
            "labeler": pa.array(["a person", None], pa.string()),
            "label_source": pa.array([label_source, label_source], pa.string()),
        }
    )
    table = table_of(["Boil the pasta in salted water.", "Bake the apple pie."])
    for name in people.column_names:
        table = table.append_column(name, people[name])
    return table


def test_a_table_without_label_columns_gets_them_all(labeler: EmbeddingLabeler) -> None:
    outcome = labelled(table_of(TEXTS), labeler)
    assert outcome.kept.schema.names == ["doc_id", "text", *LABEL_COLUMNS.names]
    assert [outcome.kept.schema.field(column.name).type for column in LABEL_COLUMNS] == LABEL_COLUMNS.types
    assert outcome.kept["label"].to_pylist() == list(TRUTH)
    assert set(outcome.kept["labeler"].to_pylist()) == {labeler.name}
    assert set(outcome.kept["label_source"].to_pylist()) == {"auto"}
    assert outcome.rejected.num_rows == 0


def test_score_margin_and_uncertainty_agree_with_the_probabilities(labeler: EmbeddingLabeler) -> None:
    kept = labelled(table_of(TEXTS), labeler).kept.to_pydict()
    ranked = [sorted(row, reverse=True) for row in labeler.predict(TEXTS).probabilities.tolist()]
    for number, (first, second, _) in enumerate(ranked):
        assert abs(kept["label_score"][number] - first) < 1e-6
        assert abs(kept["label_margin"][number] - (first - second)) < 1e-6
        assert 0 <= kept["uncertainty"][number] <= 1


def test_a_text_below_the_lowest_score_stays_without_label(labeler: EmbeddingLabeler) -> None:
    table = table_of([TEXTS[0], AMBIGUOUS])
    score = labelled(table, labeler).kept["label_score"].to_pylist()
    assert score[1] < score[0]
    kept = labelled(table, labeler, min_score=(score[0] + score[1]) / 2).kept.to_pydict()
    assert kept["label"] == [TRUTH[0], None]
    assert kept["label_score"] == score
    assert kept["label_source"] == ["auto", "auto"]


def test_labels_given_by_people_are_left_alone(labeler: EmbeddingLabeler) -> None:
    for label_source in ("human", "feedback"):
        first, second = labelled(labelled_by_people(label_source), labeler).kept.to_pylist()
        assert (first["label"], first["labeler"], first["label_source"]) == ("space", "a person", label_source)
        assert first["label_score"] is None
        # A person who gave no label leaves it to the labeler.
        assert (second["label"], second["labeler"], second["label_source"]) == ("cooking", labeler.name, "auto")


def test_labels_of_an_earlier_labeler_are_replaced(labeler: EmbeddingLabeler) -> None:
    once = labelled(table_of(TEXTS), labeler).kept
    stale = once.set_column(once.schema.get_field_index("label"), "label", pa.array(["space"] * len(TEXTS)))
    assert labelled(stale, labeler).kept.equals(once)


def test_dictionary_encoded_label_columns_are_read(labeler: EmbeddingLabeler) -> None:
    table = labelled_by_people("human")
    for name in ("label", "label_source"):
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table[name].dictionary_encode())
    assert labelled(table, labeler).kept["label"].to_pylist() == ["space", "cooking"]


def test_a_row_without_text_is_put_aside(labeler: EmbeddingLabeler) -> None:
    outcome = labelled(table_of([TEXTS[0], None, TEXTS[1]]), labeler)
    assert outcome.rejected["reason"].to_pylist() == ["missing_text"]
    assert outcome.kept["label"].to_pylist() == [TRUTH[0], TRUTH[1]]


def test_a_row_of_a_person_without_text_passes(labeler: EmbeddingLabeler) -> None:
    table = labelled_by_people("human").slice(0, 1)
    table = table.set_column(1, "text", pa.nulls(1, pa.string()))
    assert labelled(table, labeler).kept["label"].to_pylist() == ["space"]


def test_a_text_with_a_lone_surrogate_is_put_aside_and_its_neighbours_labelled_alike(
    labeler: EmbeddingLabeler,
) -> None:
    outcome = labelled(with_broken_bytes([*TEXTS, "broken"]), labeler)
    clean = labelled(table_of(TEXTS), labeler).kept
    assert outcome.rejected["reason"].to_pylist() == ["model_error"]
    assert outcome.rejected["text"].to_pylist()[0].startswith("broken")
    assert outcome.kept["label"].equals(clean["label"])
    for got, expected in zip(outcome.kept["label_score"].to_pylist(), clean["label_score"].to_pylist(), strict=True):
        assert abs(got - expected) < 1e-5


def test_a_text_with_output_that_is_no_number_is_put_aside_and_its_neighbours_labelled(poisoned_model: str) -> None:
    poisoned = EmbeddingLabeler.load(settings_with(model=poisoned_model))
    texts = [*TEXTS[:5], f"A {POISON} crossed the road.", *TEXTS[5:]]
    outcome = labelled(table_of(texts), poisoned)
    assert outcome.rejected["reason"].to_pylist() == ["invalid_output"]
    assert outcome.rejected["label"].to_pylist() == [None]
    assert outcome.kept["label"].to_pylist() == list(TRUTH)


def test_an_empty_table_stays_empty(labeler: EmbeddingLabeler) -> None:
    outcome = labelled(table_of([]), labeler)
    assert outcome.kept.num_rows == outcome.rejected.num_rows == 0
    assert set(LABEL_COLUMNS.names) <= set(outcome.kept.schema.names)


@pytest.mark.parametrize("text", ["", " \n\t ", "\u3000"])
def test_a_text_of_nothing_is_put_aside(labeler: EmbeddingLabeler, text: str) -> None:
    assert labelled(table_of([TEXTS[0], text]), labeler).rejected["reason"].to_pylist() == ["missing_text"]


@pytest.mark.parametrize("text", ["😀🎉🚀", "?!... --- ***", "€€€"])
def test_a_text_without_letter_or_digit_stays_without_label(labeler: EmbeddingLabeler, text: str) -> None:
    kept = labelled(table_of([TEXTS[0], text]), labeler).kept.to_pylist()
    assert [row["label"] for row in kept] == [TRUTH[0], None]
    assert (kept[1]["label_score"], kept[1]["labeler"], kept[1]["label_source"]) == (None, None, "auto")


def test_a_language_without_model_stays_without_label(labeler: EmbeddingLabeler) -> None:
    settings = settings_with(models={"en": "sentence-transformers/all-MiniLM-L6-v2", "*": None})
    table = table_of(TEXTS[:3]).append_column("lang", pa.array(["en", "zh", None]))
    kept = label_table(table, lambda route: labeler if route == "en" else None, settings).kept
    assert kept["label"].to_pylist() == [TRUTH[0], None, None]


@dataclass(frozen=True)
class Doubting:
    """Abstains from every other text, and has a measure of doubt of its own for the first."""

    name: str = "doubting"

    def predict(self, texts: Sequence[str]) -> Labels:
        rows = np.tile(np.array([[0.8, 0.1, 0.1]], np.float32), (len(texts), 1))
        own = np.full(len(texts), np.nan, np.float32)
        own[:1] = 0.125
        return Labels(("cooking", "football", "space"), rows, np.arange(len(texts)) % 2 == 1, own)


def test_what_a_labeler_abstains_from_has_no_label_and_its_own_doubt_counts() -> None:
    kept = label_table(table_of(TEXTS[:4]), lambda route: Doubting(), settings_with()).kept
    assert kept["label"].to_pylist() == ["cooking", None, "cooking", None]
    assert kept["uncertainty"].to_pylist()[0] == 0.125
    assert 0 < kept["uncertainty"].to_pylist()[1] < 1
    assert kept["label_score"].to_pylist() == pytest.approx([0.8] * 4)


@dataclass(frozen=True)
class Refusing:
    """Cannot go on, whatever the text."""

    name: str = "refusing"

    def predict(self, texts: Sequence[str]) -> Labels:
        raise UnusableModelError("a model", "it cannot be used")


def test_what_is_no_fault_of_a_text_stops_the_stage() -> None:
    with pytest.raises(UnusableModelError):
        label_table(table_of(TEXTS), lambda route: Refusing(), settings_with())


def test_labels_that_come_without_their_source_are_warned_of(
    labeler: EmbeddingLabeler, caplog: pytest.LogCaptureFixture
) -> None:
    own = table_of(TEXTS[:3]).append_column("label", pa.array(["space", None, "space"]))
    assert labelled(own, labeler).kept["label"].to_pylist() == list(TRUTH[:3])
    assert "2 rows came with a label and no label_source" in caplog.text
