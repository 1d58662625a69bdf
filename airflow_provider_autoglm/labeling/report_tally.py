"""How many rows of a labelled corpus have which label, from whom, and how sure, counted a row group at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.report.bar_chart import Bar
from airflow_provider_autoglm.corpus.report.tally import count_values
from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE

BINS = 20
"""Of scores and margins, from 0 to 1."""

COLUMNS = ("label", "label_score", "label_margin", "label_source", "labeler", "lang")

_MAX_LANG_CHARS = 16
_MAX_LABELER_CHARS = 255
_UNKNOWN = "unknown"
_NONE = "none"


@dataclass
class Route:
    """Rows of one language that one labeler saw, how many of them it gave a label, and the sum of those scores."""

    texts: int = 0
    labelled: int = 0
    score_sum: float = 0.0

    @property
    def mean_score(self) -> float:
        """Of labelled rows."""
        return self.score_sum / self.labelled if self.labelled else 0.0


@dataclass
class Tally:
    """Counts of rows. ``scores`` and ``margins`` are of rows that a labeler gave a label, in bins of one twentieth."""

    by_label: Counter[str] = field(default_factory=Counter)
    by_people: Counter[str] = field(default_factory=Counter)
    abstained: int = 0
    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    scores: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    margins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, table: pa.Table) -> None:
        """Count rows with :data:`COLUMNS`; ``lang`` may be absent."""
        people = is_by_people(table)
        count_values(self.by_people, table["label"].filter(people))
        auto = table.filter(pc.invert(people))
        count_values(self.by_label, auto["label"])
        self.abstained += auto["label"].null_count
        labelled = auto.filter(pc.is_valid(auto["label"]))
        self.scores += _binned(labelled["label_score"])
        self.margins += _binned(labelled["label_margin"])
        self._add_routes(auto)

    @property
    def labelled(self) -> int:
        """Rows that a labeler gave a label."""
        return sum(self.by_label.values())

    @property
    def labelled_by_people(self) -> int:
        """Rows whose label people gave."""
        return sum(self.by_people.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "labelled": self.labelled,
            "abstained": self.abstained,
            "labelled_by_people": self.labelled_by_people,
            "rows_by_label": dict(sorted(self.by_label.items())),
            "rows_by_label_of_people": dict(sorted(self.by_people.items())),
            "routes": [
                {"lang": lang, "labeler": labeler, "texts": route.texts, "labelled": route.labelled}
                | {"mean_score": round(route.mean_score, 6)}
                for (lang, labeler), route in sorted(self.routes.items())
            ],
            "scores_from": _from_values(self.scores),
            "margins_from": _from_values(self.margins),
        }

    def _add_routes(self, auto: pa.Table) -> None:
        seen = pa.table(
            {
                "lang": _lang_of(auto),
                "labeler": pc.utf8_slice_codeunits(pc.fill_null(auto["labeler"], _NONE), 0, _MAX_LABELER_CHARS),
                "labelled": pc.is_valid(auto["label"]).cast(pa.int64()),
                "score": pc.if_else(pc.is_valid(auto["label"]), auto["label_score"], 0.0).cast(pa.float64()),
            }
        )
        sums = seen.group_by(["lang", "labeler"]).aggregate(
            [("labelled", "count"), ("labelled", "sum"), ("score", "sum")]
        )
        for row in sums.to_pylist():
            route = self.routes.setdefault((row["lang"], row["labeler"]), Route())
            route.texts += row["labelled_count"]
            route.labelled += row["labelled_sum"]
            route.score_sum += row["score_sum"] or 0.0


def is_by_people(table: pa.Table) -> pa.ChunkedArray:
    """Which rows people have labelled."""
    by_people = pc.is_in(table["label_source"], value_set=pa.array(LABELLED_BY_PEOPLE))
    return pc.and_(by_people, pc.is_valid(table["label"]))


def bars(counts: NDArray[np.int64]) -> list[Bar]:
    """One bar a bin, named by where it begins."""
    return [Bar(f"{number / BINS:g}", int(count)) for number, count in enumerate(counts)]


def _from_values(counts: NDArray[np.int64]) -> Mapping[str, int]:
    return {bar.label: bar.count for bar in bars(counts)}


def _binned(values: pa.ChunkedArray) -> NDArray[np.int64]:
    # float32: 0.15 lies a little below, and belongs to the bin that begins there.
    numbers = np.asarray(values.drop_null(), np.float64) + np.finfo(np.float32).eps
    bins = np.clip((numbers * BINS).astype(np.int64), 0, BINS - 1)
    return np.bincount(bins, minlength=BINS).astype(np.int64)


def _lang_of(table: pa.Table) -> pa.ChunkedArray:
    if "lang" not in table.column_names:
        return pa.chunked_array([pa.array([_UNKNOWN] * table.num_rows, pa.string())])
    return pc.utf8_slice_codeunits(pc.fill_null(table["lang"], _UNKNOWN), 0, _MAX_LANG_CHARS)
