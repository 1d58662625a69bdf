"""What the drift checks of a demo have found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from airflow_provider_autoglm.state.checks import Check


@dataclass(frozen=True)
class CheckFigures:
    """One drift check: ``separation`` (G) and ``label_shift`` (TV) make up the score; None where nothing was compared.

    ``rows`` are those of the window; ``judged_rows`` are those of them that people told the label of, of which the
    model had ``realised_accuracy`` right. ``answered_by`` is the DAG run that makes a dataset because of it.
    """

    id: int
    run: str
    version: str | None
    state: str
    is_confirmed: bool
    score: float | None
    separation: float | None
    label_shift: float | None
    p_value: float | None
    rows: int
    new_rows: int
    last_prediction_id: int | None
    judged_rows: int
    realised_accuracy: float | None
    confirmation: str
    answered_by: str | None

    @classmethod
    def of(cls, check: Check) -> Self:
        """The figures of a recorded check."""
        report = check.report
        realised = report["realised_accuracy"] or {"rows": 0, "accuracy": None}
        return cls(
            id=check.id,
            run=check.run,
            version=check.version,
            state=check.state,
            is_confirmed=check.is_confirmed,
            score=check.score,
            separation=report["separation"],
            label_shift=report["label_shift"],
            p_value=check.p_value,
            rows=report["window"]["rows"],
            new_rows=check.new_rows,
            last_prediction_id=check.last_prediction_id,
            judged_rows=realised["rows"],
            realised_accuracy=realised["accuracy"],
            confirmation=report["confirmation"],
            answered_by=check.answered_by,
        )


def check_line(figures: CheckFigures) -> str:
    """The check for a terminal."""
    confirmed = ", confirmed" if figures.is_confirmed else ""
    return f"check {figures.id} of version {figures.version}: {figures.state}{confirmed}; {'; '.join(_parts(figures))}"


def _parts(figures: CheckFigures) -> Iterator[str]:
    if figures.separation is not None:
        yield f"G {figures.separation:.2f}, TV {figures.label_shift:.2f}, p = {figures.p_value:.2g}"
    yield f"{figures.rows} rows, {figures.new_rows} of them new"
    if figures.realised_accuracy is not None:
        yield f"{figures.realised_accuracy:.1%} right by the feedback on {figures.judged_rows}"
