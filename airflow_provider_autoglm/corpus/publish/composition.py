"""What a version is made of, counted while its rows are written: sources, languages, labelers, confidence."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.publish.rows import open_scratch
from airflow_provider_autoglm.corpus.report.tally import OTHERS
from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE

_COUNTED = ("source", "host", "lang", "labeler", "label_source")
_LISTED = 20
_MAX_CHARS = 255


@dataclass
class Confidence:
    """The scores of automatically labelled rows; a row may have none."""

    rows: int = 0
    scored: int = 0
    total: float = 0.0

    def add(self, rows: pa.Table) -> None:
        """Take in rows of any label source."""
        by_people = pc.is_in(rows["label_source"].cast(pa.string()), value_set=pa.array(LABELLED_BY_PEOPLE))
        scores = rows["label_score"].cast(pa.float64()).filter(pc.invert(by_people))
        finite = scores.filter(pc.is_finite(scores))
        self.rows += len(scores)
        self.scored += len(finite)
        self.total += pc.sum(finite).as_py() or 0.0

    @property
    def mean_score(self) -> float | None:
        """The mean score to four digits, None where no row has one."""
        return round(self.total / self.scored, 4) if self.scored else None


class Composition:
    """How many rows of a version have each value of a few columns; the counts lie on disk."""

    def __init__(self) -> None:
        self.confidence = Confidence()
        self._database: sqlite3.Connection = open_scratch()
        self._database.execute(
            "CREATE TABLE counts (name TEXT, value TEXT, rows INTEGER, PRIMARY KEY (name, value)) WITHOUT ROWID"
        )

    def add(self, rows: pa.Table) -> None:
        """Take in rows of the version."""
        self.confidence.add(rows)
        for name in (name for name in _COUNTED if name in rows.column_names):
            values = pc.utf8_slice_codeunits(rows[name].drop_null().cast(pa.string()), 0, _MAX_CHARS)
            self._database.executemany(
                "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows",
                [(name, entry["values"], entry["counts"]) for entry in pc.value_counts(values).to_pylist()],
            )

    def most_frequent(self, name: str) -> Mapping[str, int]:
        """The 20 most frequent values of a column, and the sum of the rest as ``others``."""
        found: dict[str, int] = dict(
            self._database.execute(
                "SELECT value, rows FROM counts WHERE name = ? ORDER BY rows DESC, value LIMIT ?", (name, _LISTED)
            )
        )
        total = self._database.execute("SELECT coalesce(sum(rows), 0) FROM counts WHERE name = ?", (name,))
        rest = int(total.fetchone()[0]) - sum(found.values())
        return found | ({OTHERS: rest} if rest else {})

    def close(self) -> None:
        """Give the temporary file back."""
        self._database.close()
