"""The columns of a version: what all corpora and the version before have in common."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from airflow_provider_autoglm.corpus.publish.versions import Version
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS, require_columns
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import IncompatibleSchemasError, SchemaChangedError, UnusableColumnError
from airflow_provider_autoglm.settings import PublishSettings

_NEEDED = ("doc_id", "text", "label")


def require_rows_to_publish(corpora: Sequence[Corpus]) -> None:
    """Check the columns that a version cannot do without.

    :raises MissingColumnsError: if a corpus lacks ``doc_id``, ``text`` or ``label``.
    :raises UnusableColumnError: if one of these, or ``cluster_id``, does not hold strings.
    """
    for corpus in corpora:
        for schema in corpus.schemas():
            require_columns(corpus.uri, schema.empty_table(), _NEEDED)
            _require_strings(corpus.uri, schema)


def common_schema(
    earlier: Sequence[Corpus], corpora: Sequence[Corpus], previous: Version | None, settings: PublishSettings
) -> pa.Schema:
    """The columns of the version that follows ``earlier``, which is of ``previous``.

    :raises SchemaChangedError: if columns differ from the newest version's and the switch is not set.
    :raises IncompatibleSchemasError: if a column has types that do not fit together.
    """
    new = [schema for corpus in corpora for schema in corpus.schemas()]
    old = [schema for corpus in earlier for schema in corpus.schemas()]
    if old and previous is not None and not settings.allow_schema_change:
        before = _unified(old)
        changes = sorted({change for schema in new for change in _changes(before, schema)})
        if changes:
            raise SchemaChangedError(previous.number, changes)
    # A column that must not be null in one corpus is null in the rows of another that lacks it.
    return pa.schema([column.with_nullable(True) for column in _unified([*old, *new, LABEL_COLUMNS])])


def cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """``table`` with the columns of ``schema``; those it lacks are null."""
    columns = [
        table[column.name].cast(column.type)
        if column.name in table.column_names
        else pa.nulls(table.num_rows, column.type)
        for column in schema
    ]
    return pa.table(columns, schema=schema)


def _unified(schemas: Sequence[pa.Schema]) -> pa.Schema:
    try:
        return pa.unify_schemas(list(schemas), promote_options="permissive")
    except pa.ArrowTypeError as error:
        raise IncompatibleSchemasError(error) from error


def _require_strings(uri: str, schema: pa.Schema) -> None:
    for name in (*_NEEDED, "cluster_id"):
        found = schema.field(name).type if name in schema.names else pa.null()
        if found not in (pa.string(), pa.large_string(), pa.null()):
            raise UnusableColumnError(uri, name, str(found), str(pa.string()))


def _changes(old: pa.Schema, new: pa.Schema) -> list[str]:
    added = [f"{column.name} added" for column in new if column.name not in old.names]
    known = [(old.field(column.name), column) for column in new if column.name in old.names]
    types = [(column.name, earlier.type, _widened(earlier, column)) for earlier, column in known]
    return added + [f"{name} {earlier} → {later}" for name, earlier, later in types if earlier != later]


def _widened(earlier: pa.Field, later: pa.Field) -> pa.DataType:
    """The type that holds both, or the later one if there is none."""
    try:
        return _unified([pa.schema([earlier]), pa.schema([later])]).types[0]
    except IncompatibleSchemasError:
        return later.type
