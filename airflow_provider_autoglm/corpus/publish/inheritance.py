"""What new rows take over from the rows of the previous version that they replace.

A label does not get older when a machine meets its document again: ``fetched_at`` stays, unless it is newer.

A row labelled by people may replace one of another address. It takes that row's ``url`` where it has none and its
``cluster_id`` where it is alone in its cluster, so that later editions of the page still find their split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.publish.plan import Fates
from airflow_provider_autoglm.corpus.publish.rows import KEPT_COLUMNS
from airflow_provider_autoglm.corpus.schema import set_column

_TIES = ("url", "cluster_id")


def hand_down(table: pa.Table, fates: Fates) -> pa.Table:
    """New rows with what they take over."""
    if fates.kept_labels:
        table = _with_labels(table, fates.kept_labels)
    return _with_ties(table, fates.ties) if fates.ties else table


def _with_labels(table: pa.Table, kept_labels: Mapping[int, Mapping[str, Any]]) -> pa.Table:
    rows = range(table.num_rows)
    replaced = pa.array([row in kept_labels for row in rows])
    for name in (column.name for column in table.schema if column.name in KEPT_COLUMNS and column.type != pa.null()):
        own = table[name].combine_chunks()
        kept = pa.array([kept_labels[row][name] if row in kept_labels else None for row in rows], own.type)
        takes_over = replaced
        if name == "fetched_at":
            takes_over = pc.and_(replaced, pc.fill_null(pc.greater(kept, own), pc.is_valid(kept)))
        table = set_column(table, name, pc.if_else(takes_over, kept, own))
    return table


def _with_ties(table: pa.Table, ties: Mapping[int, Mapping[str, str | None]]) -> pa.Table:
    ids = table["doc_id"].to_pylist()
    for name in (name for name in _TIES if name in table.column_names):
        values = table[name].to_pylist()
        for row, given in ties.items():
            # A cluster is named by one of its documents: alone in its cluster, a row has its own name there.
            if values[row] in (None, ids[row]) and given[name] is not None:
                values[row] = given[name]
        table = set_column(table, name, pa.array(values, table.schema.field(name).type))
    return table
