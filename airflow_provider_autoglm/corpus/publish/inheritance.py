"""What new rows take over from the rows of the previous version that they replace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.publish.plan import KEPT_COLUMNS, Fate
from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE, set_column

_TIES = ("url", "cluster_id")


class Inheritance:
    """Labels that people gave, and the ties that keep near duplicates in one split.

    A label does not get older when a machine meets its document again: ``fetched_at`` stays, unless it is newer.

    A row labelled by people may replace one of another address. It takes that row's ``url`` where it has none and its
    ``cluster_id`` where it is alone in its cluster, so that later editions of the page still find their split.
    """

    def __init__(self, kept_labels: Mapping[str, Mapping[str, Any]]) -> None:
        self._labels = kept_labels
        self._ties: dict[str, dict[str, str]] = {}

    def note(self, table: pa.Table, fates: Sequence[Fate]) -> None:
        """Remember the ties of the rows of ``table`` that have an heir; of several the smallest is kept."""
        for row, heir in ((row, fate.heir) for row, fate in enumerate(fates) if fate.heir):
            ties = self._ties.setdefault(heir, {})
            for name in _names(table):
                value = table[name][row].as_py()
                if value is not None:
                    ties[name] = min(value, ties.get(name, value))

    def hand_down(self, table: pa.Table) -> pa.Table:
        """New rows with what they take over."""
        ids = table["doc_id"].to_pylist()
        return self._with_ties(self._with_labels(table, ids), ids)

    def _with_labels(self, table: pa.Table, ids: list[str]) -> pa.Table:
        sources = table["label_source"].to_pylist()
        replaced = [
            doc_id in self._labels and source not in LABELLED_BY_PEOPLE
            for doc_id, source in zip(ids, sources, strict=True)
        ]
        if not any(replaced):
            return table
        for name in (
            column.name for column in table.schema if column.name in KEPT_COLUMNS and column.type != pa.null()
        ):
            own = table[name].combine_chunks()
            values = [
                self._labels[doc_id][name] if gives else None for doc_id, gives in zip(ids, replaced, strict=True)
            ]
            kept = pa.array(values, own.type)
            takes_over = pa.array(replaced)
            if name == "fetched_at":
                takes_over = pc.and_(takes_over, pc.fill_null(pc.greater(kept, own), pc.is_valid(kept)))
            table = set_column(table, name, pc.if_else(takes_over, kept, own))
        return table

    def _with_ties(self, table: pa.Table, ids: list[str]) -> pa.Table:
        if not any(doc_id in self._ties for doc_id in ids):
            return table
        for name in _names(table):
            # A cluster is named by one of its documents: alone in its cluster, a row has its own name there.
            values = [
                self._ties[doc_id].get(name, value) if doc_id in self._ties and value in (None, doc_id) else value
                for doc_id, value in zip(ids, table[name].to_pylist(), strict=True)
            ]
            table = set_column(table, name, pa.array(values, table.schema.field(name).type))
        return table


def _names(table: pa.Table) -> Iterator[str]:
    return (name for name in _TIES if name in table.column_names)
