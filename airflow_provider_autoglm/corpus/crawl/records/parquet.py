"""Parquet and Arrow files: columns that have types, which stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_autoglm.corpus.crawl.records.batch import Batch
from airflow_provider_autoglm.corpus.crawl.records.files import SourceFile
from airflow_provider_autoglm.corpus.crawl.records.paths import steps_of
from airflow_provider_autoglm.corpus.crawl.records.streams import open_bytes
from airflow_provider_autoglm.corpus.schema import set_column
from airflow_provider_autoglm.corpus.shards import ROWS_OF_A_GROUP
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import DamagedSourceError, MissingColumnsError
from airflow_provider_autoglm.settings import Source

_HUB_METADATA = b"huggingface"
_ARROW_FILE = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def read_parquet(file: SourceFile, source: Source, storage: Storage) -> Iterator[Batch]:
    """Batches of the rows of a Parquet file; of the columns only those that are taken are read.

    :raises MissingColumnsError: if it lacks a column of ``fields``.
    :raises DamagedSourceError: if it is no Parquet.
    """
    with open_bytes(file.uri, None, storage) as opened, pq.ParquetFile(opened) as parquet:
        schema = parquet.schema_arrow
        columns = _columns_of(file.uri, schema, source.fields)
        yield Batch.of(_taken(schema.empty_table(), source.fields, schema))
        for batch in parquet.iter_batches(ROWS_OF_A_GROUP, columns=columns):
            yield Batch.of(_taken(pa.Table.from_batches([batch]), source.fields, schema))


def read_arrow(file: SourceFile, source: Source, storage: Storage) -> Iterator[Batch]:
    """Batches of the rows of an Arrow file or stream.

    :raises MissingColumnsError: if it lacks a column of ``fields``.
    :raises DamagedSourceError: if it is no Arrow, or ends early.
    """
    with open_bytes(file.uri, None, storage) as opened:
        schema, batches = _open_arrow(file.uri, opened)
        _columns_of(file.uri, schema, source.fields)
        yield Batch.of(_taken(schema.empty_table(), source.fields, schema))
        for batch in batches:
            for row in range(0, batch.num_rows, ROWS_OF_A_GROUP):
                table = pa.Table.from_batches([batch.slice(row, ROWS_OF_A_GROUP)])
                yield Batch.of(_taken(table, source.fields, schema))


def _open_arrow(uri: str, opened: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    beginning = opened.read(len(_ARROW_FILE))
    opened.seek(0)
    if beginning == _ARROW_FILE:
        file = pa.ipc.open_file(opened)
        return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
    size = opened.seek(0, 2)
    opened.seek(max(0, size - len(_END_OF_STREAM)))
    if opened.read() != _END_OF_STREAM:
        # A reader takes a stream that was cut between two batches for a whole one.
        raise DamagedSourceError(uri, "the stream has no end")
    opened.seek(0)
    stream = pa.ipc.open_stream(opened)
    return stream.schema, iter(stream)


def _columns_of(uri: str, schema: pa.Schema, fields: Mapping[str, str]) -> list[str] | None:
    """The columns of the file that ``fields`` take, or None for all."""
    if not fields:
        return None
    places = {path: _place(schema, path) for path in fields.values()}
    if missing := [path for path, place in places.items() if place is None]:
        raise MissingColumnsError(uri, missing, schema.names)
    return list(dict.fromkeys(place[0] for place in places.values() if place is not None))


def _place(schema: pa.Schema, path: str) -> Sequence[str] | None:
    """The column and the fields inside it that ``path`` leads to."""
    if path in schema.names:
        return [path]
    column, *inside = steps_of(path)
    if column not in schema.names:
        return None
    kind = schema.field(column).type
    for step in inside:
        if not pa.types.is_struct(kind) or kind.get_field_index(step) < 0:
            return None
        kind = kind.field(step).type
    return [column, *inside]


def _taken(table: pa.Table, fields: Mapping[str, str], schema: pa.Schema) -> pa.Table:
    """The columns that ``fields`` name, or all; a label that is a number in a dataset by its name."""
    origin = fields.get("label", "label")
    if fields:
        table = pa.table({column: _values(table, schema, path) for column, path in fields.items()})
    names = _class_names(schema, origin)
    if names and "label" in table.column_names and pa.types.is_integer(table["label"].type):
        is_class = pc.and_(pc.greater_equal(table["label"], 0), pc.less(table["label"], len(names)))
        position = pc.if_else(is_class, table["label"], None)
        table = set_column(table, "label", pa.array(names, pa.string()).take(position.combine_chunks()))
    return table


def _values(table: pa.Table, schema: pa.Schema, path: str) -> pa.ChunkedArray:
    column, *inside = _place(schema, path) or [path]
    values = table[column]
    return pc.struct_field(values, inside) if inside else values


def _class_names(schema: pa.Schema, column: str) -> list[str]:
    """The names of the classes of a column, as the library ``datasets`` leaves them in the schema."""
    found: Any = None
    with suppress(ValueError, KeyError, TypeError):
        found = json.loads((schema.metadata or {})[_HUB_METADATA])["info"]["features"][column]["names"]
    return found if isinstance(found, list) and all(isinstance(name, str) for name in found) else []
