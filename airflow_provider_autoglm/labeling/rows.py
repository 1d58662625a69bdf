"""Labelling one table: which rows are looked at, which are put aside, and the columns the others get."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.documents import Admitted, replace_invalid_utf8, separate
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS, LABELLED_BY_PEOPLE, set_column
from airflow_provider_autoglm.labeling.documents import texts_of
from airflow_provider_autoglm.labeling.labels import Labeler, certainty_of
from airflow_provider_autoglm.labeling.predictions import Predictions, predict_each
from airflow_provider_autoglm.labeling.routing import rows_by_route
from airflow_provider_autoglm.settings.label import LabelSettings

log = logging.getLogger(__name__)

MISSING_TEXT = "missing_text"
MODEL_ERROR = "model_error"
INVALID_OUTPUT = "invalid_output"


def label_table(table: pa.Table, labeler_of: Callable[[str], Labeler | None], settings: LabelSettings) -> Admitted:
    """Label the rows that no person has labelled; rows the labeler cannot take are rejected.

    ``labeler_of`` gives the labeler of a route, None if its texts stay without label. A row of no class, whose score is
    below ``min_score``, or that has no letter or digit, is kept with a null label.
    """
    texts = texts_of(table)
    table = _with_label_columns(replace_invalid_utf8(table)[0])
    is_open = ~_labelled_by_people(table)
    has_text = np.array([bool((text or "").strip()) for text in texts], np.bool_)
    is_readable = np.array([any(map(str.isalnum, text or "")) for text in texts], np.bool_)
    reasons = np.full(table.num_rows, None, object)
    reasons[is_open & ~has_text] = MISSING_TEXT
    _warn_of_lost_labels(table, is_open)
    values = {column.name: np.full(table.num_rows, None, object) for column in LABEL_COLUMNS}
    values["label_source"][is_open] = "auto"
    for route, is_taken in rows_by_route(table, settings):
        rows = np.flatnonzero(is_taken & is_open & is_readable)
        labeler = labeler_of(route) if len(rows) else None
        if labeler is not None:
            found = predict_each(labeler, [texts[row] or "" for row in rows], len(settings.labels))
            reasons[rows[~found.is_usable]] = INVALID_OUTPUT
            reasons[rows[found.has_failed]] = MODEL_ERROR
            values["labeler"][rows] = labeler.name
            _fill(values, rows, found, settings)
    return separate(_merge(table, values, is_open), pa.array(reasons, pa.string()))


def _with_label_columns(table: pa.Table) -> pa.Table:
    for column in LABEL_COLUMNS:
        if column.name in table.column_names:
            table = set_column(table, column.name, table[column.name].cast(column.type))
        else:
            table = table.append_column(column, pa.nulls(table.num_rows, column.type))
    return table


def _labelled_by_people(table: pa.Table) -> NDArray[np.bool_]:
    by_people = pc.is_in(table["label_source"], value_set=pa.array(LABELLED_BY_PEOPLE))
    found: NDArray[np.bool_] = np.asarray(pc.and_(by_people, pc.is_valid(table["label"])), np.bool_)
    return found


def _warn_of_lost_labels(table: pa.Table, is_open: NDArray[np.bool_]) -> None:
    """A label without source may be a person's, whose tool does not know how to say so."""
    has_label = pc.and_(pc.is_valid(table["label"]), pc.is_null(table["label_source"]))
    lost = int((np.asarray(has_label, np.bool_) & is_open).sum())
    if lost:
        log.warning(
            "label: %d rows came with a label and no label_source; they are labelled anew. Set label_source to human "
            "in the source if people gave it",
            lost,
        )


def _fill(values: dict[str, NDArray[Any]], rows: NDArray[np.intp], found: Predictions, settings: LabelSettings) -> None:
    usable = found.is_usable
    rows = rows[usable]
    certainty = certainty_of(found.probabilities[usable])
    labels = np.array([definition.name for definition in settings.labels], object)[certainty.best]
    labels[found.abstained[usable] | (certainty.score < settings.min_score)] = None
    own = found.uncertainty[usable]
    values["label"][rows] = labels
    values["label_score"][rows] = certainty.score
    values["label_margin"][rows] = certainty.margin
    values["uncertainty"][rows] = np.where(np.isfinite(own), own, certainty.uncertainty)


def _merge(table: pa.Table, values: dict[str, NDArray[Any]], is_open: NDArray[np.bool_]) -> pa.Table:
    mask = pa.array(is_open)
    for column in LABEL_COLUMNS:
        new = pa.array(values[column.name], column.type)
        merged = pc.if_else(mask, new, table[column.name].combine_chunks())
        table = set_column(table, column.name, merged)
    return table
