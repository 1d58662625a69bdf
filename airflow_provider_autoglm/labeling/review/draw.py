"""The stage that chooses the texts people are asked about and puts them into forms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.labeling.review.population import Population, read_population, read_rows
from airflow_provider_autoglm.labeling.review.sample import draw_sample
from airflow_provider_autoglm.labeling.review.shown import one_line, shown_text
from airflow_provider_autoglm.labeling.review.suspicious import Suspects
from airflow_provider_autoglm.settings.label import LabelSettings
from airflow_provider_autoglm.settings.review import ReviewSettings

STAGE = "review_draw"
SAMPLE: Literal["sample"] = "sample"
SUSPICIOUS: Literal["suspicious"] = "suspicious"
ReviewSet = Literal["sample", "suspicious"]

DRAW_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("text", pa.string()),
        ("title", pa.string()),
        ("url", pa.string()),
        ("label", pa.string()),
        ("label_score", pa.float32()),
        ("review_set", pa.string()),
        ("stratum", pa.string()),
        ("stratum_rows", pa.int64()),
        ("weight", pa.float64()),
        ("form", pa.int32()),
        ("position", pa.int32()),
    ]
)
"""A text of a form. ``text`` is cut and readable; ``stratum`` is the predicted label of a sampled text, and
``stratum_rows`` how many documents have it, of which the text stands for ``weight``; ``form`` counts from 1 and
``position`` in it from 0."""

_DECIDING = ("margin", "confidence", "expected_accuracy", "second_round", "form_texts", "shown_characters")
_DECIDING_SUSPICIOUS = ("suspicious_texts", "suspicious_pool")
_DECIDING_FEATURES = ("kind", "model", "models", "max_tokens", "precision")
_LONGEST_TITLE = 200
_LONGEST_URL = 500


def draw(
    source: str | Sequence[str],
    destination: str,
    settings: ReviewSettings,
    label: LabelSettings,
    *,
    earlier: str | None = None,
    storage: Storage | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Draw the texts of a spot check of the labels of ``source`` and commit them in forms.

    The random sample is stratified by predicted label and without replacement; its size is such that the interval gets
    no wider than wanted. Beside it stands a disjoint set of suspicious texts. Who labelled a text by hand is not asked
    again. The draw follows from the content of ``source`` and the settings: a retry asks the same.

    With ``earlier``, the first draw from the same corpora, further texts are drawn for a second round: both samples
    together are one, with the weights given here.

    :raises MissingColumnsError: if a corpus lacks ``doc_id``, ``text``, ``label`` or ``label_source``.
    :raises MissingExtraError: if suspicious texts are wanted and cleanlab, scikit-learn or torch is not installed.
    :raises SettingsError: if ``earlier`` was drawn from other corpora, with other settings, or in a second round.
    """
    corpora = open_sources(source, storage=storage)
    inputs = [corpus.as_input() for corpus in corpora]
    record = _record(settings, label, is_second=earlier is not None)
    if earlier is not None:
        first = Corpus.open(earlier, storage=storage)
        _check_earlier(first, [item.digest for item in inputs], settings, label)
        inputs.append(first.as_input())
    attempt = StageAttempt(STAGE, inputs, destination, record, storage=storage, provenance=provenance)
    if attempt.committed is not None:
        return attempt.reused_result()
    population = read_population(corpora)
    chosen = _choose(corpora, population, settings, label, is_second=earlier is not None)
    table = _table(corpora, population, chosen, settings)
    attempt.count_in(table.num_rows)
    attempt.write(table)
    return attempt.commit(
        metrics={
            "review/population": len(population.labelled),
            "review/sample": len(chosen.sample),
            "review/suspicious": len(chosen.suspicious),
            "review/forms": len(_forms(chosen, settings.form_texts)),
        }
    )


@dataclass(frozen=True)
class _Chosen:
    """Numbers of documents of a population, in the order of the hash; ``together`` are those of all rounds."""

    sample: NDArray[np.intp]
    suspicious: NDArray[np.intp]
    together: NDArray[np.intp]


def _choose(
    corpora: Sequence[Corpus],
    population: Population,
    settings: ReviewSettings,
    label: LabelSettings,
    *,
    is_second: bool,
) -> _Chosen:
    labelled = population.labelled
    drawn = draw_sample(population.stratum[labelled], population.order[labelled], settings)
    first, second = labelled[drawn.first], labelled[drawn.second]
    both = np.concatenate([first, second])
    if is_second:
        return _Chosen(second, np.zeros(0, np.intp), both)
    return _Chosen(first, Suspects(corpora, population, both, settings, label).choose(), first)


def _table(corpora: Sequence[Corpus], population: Population, chosen: _Chosen, settings: ReviewSettings) -> pa.Table:
    numbers = np.concatenate([chosen.sample, chosen.suspicious])
    by_row = {int(population.row[number]): int(number) for number in numbers}
    columns = ["doc_id", "text", "title", "url", "label", "label_score"]
    shown = {
        by_row[row]: _shown(values, settings.shown_characters)
        for row, values in read_rows(corpora, np.sort(population.row[numbers]), columns)
    }
    rows_of = np.bincount(population.stratum[population.labelled], minlength=len(population.labels))
    drawn_of = np.bincount(population.stratum[chosen.together], minlength=len(population.labels))
    rows = []
    for form, (review_set, members) in enumerate(_forms(chosen, settings.form_texts), start=1):
        for position, number in enumerate(members.tolist()):
            place = {"review_set": review_set, "form": form, "position": position}
            rows.append({**shown[number], **place, **_weight(population, number, review_set, rows_of, drawn_of)})
    return pa.Table.from_pylist(rows, DRAW_SCHEMA)


def _forms(chosen: _Chosen, form_texts: int) -> list[tuple[ReviewSet, NDArray[np.intp]]]:
    """The documents of each form, those of the sample first; forms of a set are of like size."""
    return [*_of_set(SAMPLE, chosen.sample, form_texts), *_of_set(SUSPICIOUS, chosen.suspicious, form_texts)]


def _of_set(
    review_set: ReviewSet, numbers: NDArray[np.intp], form_texts: int
) -> Iterator[tuple[ReviewSet, NDArray[np.intp]]]:
    if len(numbers):
        for members in np.array_split(numbers, math.ceil(len(numbers) / form_texts)):
            yield review_set, members


def _weight(
    population: Population,
    number: int,
    review_set: ReviewSet,
    rows_of: NDArray[np.intp],
    drawn_of: NDArray[np.intp],
) -> dict[str, Any]:
    if review_set == SUSPICIOUS:
        return {}
    stratum = population.stratum[number]
    rows = int(rows_of[stratum])
    return {"stratum": population.labels[stratum], "stratum_rows": rows, "weight": rows / int(drawn_of[stratum])}


def _shown(values: dict[str, Any], max_characters: int) -> dict[str, Any]:
    return {
        **values,
        "text": shown_text(values["text"] or "", max_characters),
        "title": one_line(values.get("title"), _LONGEST_TITLE),
        "url": one_line(values.get("url"), _LONGEST_URL),
    }


def _record(settings: ReviewSettings, label: LabelSettings, *, is_second: bool) -> dict[str, Any]:
    """What decides the draw, for the manifest."""
    has_suspicious = settings.suspicious_texts > 0 and not is_second
    deciding = (*_DECIDING, *_DECIDING_SUSPICIOUS) if has_suspicious else _DECIDING
    return {
        "round": 2 if is_second else 1,
        "labels": [definition.name for definition in label.labels],
        "review": settings.model_dump(mode="json", include=set(deciding)),
        "label": label.model_dump(mode="json", include=set(_DECIDING_FEATURES)) if has_suspicious else {},
    }


def _check_earlier(earlier: Corpus, digests: list[str], settings: ReviewSettings, label: LabelSettings) -> None:
    manifest = earlier.manifest
    if [item.digest for item in manifest.inputs] != digests:
        raise SettingsError([f"earlier: {earlier.uri} is no first draw from these corpora"])
    if manifest.settings != _record(settings, label, is_second=False):
        raise SettingsError([f"earlier: {earlier.uri} was drawn with other settings; draw it again"])
