"""Labelling one table: which rows are looked at, which are put aside, and the columns the others get."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.documents import Admitted, replace_invalid_utf8, separate
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS, LABELLED_BY_PEOPLE, set_column
from airflow_provider_autoglm.labeling.batching import isolate_failures
from airflow_provider_autoglm.labeling.labels import Labeler, Vectors, certainty_of

MISSING_TEXT = "missing_text"
MODEL_ERROR = "model_error"
INVALID_OUTPUT = "invalid_output"


def label_table(table: pa.Table, labeler: Labeler, names: tuple[str, ...], min_score: float) -> Admitted:
    """Label the rows that no person has labelled; rows the labeler cannot take are rejected.

    A row whose score is below ``min_score`` is kept with a null label.
    """
    texts = texts_of(table)
    table = _with_label_columns(replace_invalid_utf8(table)[0])
    is_open = ~_labelled_by_people(table)
    reasons = np.full(table.num_rows, None, object)
    has_text = np.array([text is not None for text in texts], np.bool_)
    reasons[is_open & ~has_text] = MISSING_TEXT

    rows = np.flatnonzero(is_open & has_text)
    probabilities, failed = isolate_failures(
        lambda some: labeler.predict(some).probabilities, [texts[row] or "" for row in rows], len(names)
    )
    invalid = ~failed & ~np.isfinite(probabilities).all(axis=1)
    reasons[rows[failed]] = MODEL_ERROR
    reasons[rows[invalid]] = INVALID_OUTPUT

    is_labelled = ~failed & ~invalid
    values = _empty_values(is_open, labeler.name)
    _fill(values, rows[is_labelled], probabilities[is_labelled], names, min_score)
    return separate(_merge(table, values, is_open), pa.array(reasons, pa.string()))


def texts_of(table: pa.Table) -> list[str | None]:
    """The column ``text``; bytes that are no UTF-8 become lone surrogates, which every tokenizer refuses."""
    values = table["text"].cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "surrogateescape") for value in values]


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


def _empty_values(is_open: NDArray[np.bool_], labeler: str) -> dict[str, NDArray[Any]]:
    values = {column.name: np.full(len(is_open), None, object) for column in LABEL_COLUMNS}
    values["labeler"][is_open] = labeler
    values["label_source"][is_open] = "auto"
    return values


def _fill(
    values: dict[str, NDArray[Any]],
    rows: NDArray[np.intp],
    probabilities: Vectors,
    names: tuple[str, ...],
    min_score: float,
) -> None:
    certainty = certainty_of(probabilities)
    labels = np.array(names, object)[certainty.best]
    labels[certainty.score < min_score] = None
    values["label"][rows] = labels
    values["label_score"][rows] = certainty.score
    values["label_margin"][rows] = certainty.margin
    values["uncertainty"][rows] = certainty.uncertainty


def _merge(table: pa.Table, values: dict[str, NDArray[Any]], is_open: NDArray[np.bool_]) -> pa.Table:
    mask = pa.array(is_open)
    for column in LABEL_COLUMNS:
        new = pa.array(values[column.name], column.type)
        merged = pc.if_else(mask, new, table[column.name].combine_chunks())
        table = set_column(table, column.name, merged)
    return table
