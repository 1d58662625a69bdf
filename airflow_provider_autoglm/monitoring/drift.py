"""How far traffic has moved away from a reference: one score, and whether it is more than chance.

``separation`` is about the share of the current rows that the reference does not explain, a little less where a new
topic resembles a known one; from 200 rows on it hardly depends on their number. ``label_shift`` is the share of rows
that would need another label for the predicted labels to be as frequent as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from airflow_provider_autoglm.monitoring.novelty import novelty, p_value_of
from airflow_provider_autoglm.monitoring.sample import Sample
from airflow_provider_autoglm.settings.drift import DriftSettings

DriftState = Literal["insufficient_data", "ok", "warning", "drifted"]

_MOST_NOVEL = 20


@dataclass(frozen=True)
class DriftReport:
    """What a comparison has found; all but ``state`` and the rows is None, or empty, for too few rows.

    :param score: the larger one of ``separation`` and ``label_shift``, both from 0 to 1.
    :param separation: 2 AUC - 1 of a classifier that tells the sides apart, at least 0.
    :param label_shift: total variation distance of the predicted labels.
    :param p_value: the chance of a separation like this, or a larger one, if nothing has changed.
    :param reference_shares: share of rows by label, most frequent first.
    :param most_novel: positions in the current sample of the rows least like the reference, the most novel first.
    :param most_novel_scores: their novelty: the probability, from 0 to 1, that they are not from the reference.
    """

    state: DriftState
    reference_rows: int
    current_rows: int
    score: float | None = None
    separation: float | None = None
    label_shift: float | None = None
    p_value: float | None = None
    reference_shares: Mapping[str, float] | None = None
    current_shares: Mapping[str, float] | None = None
    most_novel: tuple[int, ...] = ()
    most_novel_scores: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def measure(reference: Sample, current: Sample, settings: DriftSettings) -> DriftReport:
    """Compare two samples of one version of a model; the same samples give the same report.

    Too few rows are ``insufficient_data``, never "no drift": fewer than ``min_rows`` in ``current``, or fewer in
    ``reference`` than that and than a whole baseline has.

    :raises MissingExtraError: if scikit-learn or scipy is not installed.
    :raises DifferentDimensionsError: if the embeddings of the sides differ in length.
    :raises UnusableSampleError: if a side has not one label a row, or an embedding with a number that is not finite.
    """
    needed = min(settings.min_rows, settings.baseline_rows)
    if len(current) < settings.min_rows or len(reference) < needed:
        return DriftReport("insufficient_data", len(reference), len(current))
    found = novelty(reference, current)
    separation = max(0.0, 2 * found.auc - 1)
    reference_shares, current_shares = _shares(reference.labels), _shares(current.labels)
    label_shift = _total_variation(reference_shares, current_shares)
    p_value = p_value_of(reference, current)
    most_novel = np.argsort(-found.of_current, kind="stable")[:_MOST_NOVEL]
    return DriftReport(
        state=_state(max(separation, label_shift), p_value, settings),
        reference_rows=len(reference),
        current_rows=len(current),
        score=max(separation, label_shift),
        separation=separation,
        label_shift=label_shift,
        p_value=p_value,
        reference_shares=reference_shares,
        current_shares=current_shares,
        most_novel=tuple(most_novel.tolist()),
        most_novel_scores=tuple(found.of_current[most_novel].tolist()),
    )


def _shares(labels: Sequence[str]) -> dict[str, float]:
    """The share of each label, most frequent first; those as frequent by name."""
    counts = sorted(Counter(labels).items(), key=lambda entry: (-entry[1], entry[0]))
    return {label: rows / len(labels) for label, rows in counts}


def _total_variation(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return sum(abs(one.get(label, 0.0) - other.get(label, 0.0)) for label in sorted({*one, *other})) / 2


def _state(score: float, p_value: float, settings: DriftSettings) -> DriftState:
    if score > settings.threshold and p_value < settings.max_p_value:
        return "drifted"
    return "warning" if score > settings.warning else "ok"
