"""What de-duplication looks at of every document, and where that lies until it is looked at: on disk."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash_of
from airflow_provider_autoglm.corpus.dedupe.minhash import BANDS, band_keys
from airflow_provider_autoglm.corpus.dedupe.threads import in_threads
from airflow_provider_autoglm.corpus.dedupe.tokens import batches_of, tokenise
from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE, normalise_text, require_columns
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

BAND_COLUMNS = tuple(f"band_{band:02d}" for band in range(BANDS))
_REQUIRED = ("doc_id", "text")
_TEXT_HASH_BYTES = 16

FACTS = pa.schema(
    [
        ("doc_id", pa.large_string()),
        ("simhash", pa.uint64()),
        ("text_hash", pa.binary(_TEXT_HASH_BYTES)),
        ("length", pa.int64()),
        ("is_labelled", pa.bool_()),
        ("rank", pa.float64()),
    ]
)
"""A row a document: ``text_hash`` and ``length`` in characters are of the normalised text; of two documents the one
with the larger ``rank`` is kept, null comes last. The 32 keys of MinHash follow where the method asks for them."""


class Prints(Protocol):
    """Rows of :data:`FACTS`, one a document, in the order of the documents: a corpus, or :class:`ScratchPrints`."""

    def iter_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows with ``columns``, some at a time."""


class ScratchPrints:
    """Prints in a file without a name: it is gone with this object, or with the process if that is killed."""

    def __init__(self, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        self._file = tempfile.TemporaryFile(prefix="autoglm-prints-")  # noqa: SIM115 - goes with this object
        with pa.ipc.new_file(pa.PythonFile(self._file, "w"), schema) as writer:
            for table in tables:
                writer.write_table(table)
                pa.default_memory_pool().release_unused()

    def iter_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """As :class:`Prints` says; only those columns are read."""
        file = pa.PythonFile(self._file, "r")
        names = pa.ipc.open_file(file).schema.names
        wanted = [number for number, name in enumerate(names) if columns is None or name in columns]
        reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=wanted))
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


def prints_schema(settings: DedupeSettings) -> pa.Schema:
    """The columns of prints for the method of ``settings``."""
    bands = BAND_COLUMNS if settings.method != "simhash" else ()
    return pa.schema([*FACTS, *((name, pa.uint32()) for name in bands)])


def iter_prints(sources: Sequence[Corpus], settings: DedupeSettings) -> Iterator[pa.Table]:
    """The prints of all documents of ``sources`` in order: rows that have a ``doc_id`` and a ``text``.

    :raises MissingColumnsError: if a corpus lacks ``doc_id``, ``text`` or a column that ``keep`` needs.
    :raises SettingsError: if ``keep_column`` is neither a number nor a time.
    """
    return in_threads(lambda table: prints_of(table, settings), _documents(sources, settings))


def is_document(table: pa.Table) -> pa.ChunkedArray:
    """Which rows have both a ``doc_id`` and a ``text``."""
    return pc.and_(pc.is_valid(table["doc_id"]), pc.is_valid(table["text"]))


def prints_of(documents: pa.Table, settings: DedupeSettings) -> pa.Table:
    """The prints of documents, of which none lacks ``doc_id`` or ``text``."""
    texts = documents["text"].to_pylist()
    normalised = [normalise_text(text) for text in texts]
    hashes = [hashlib.blake2b(text.encode(), digest_size=_TEXT_HASH_BYTES).digest() for text in normalised]
    length = pa.array(np.fromiter(map(len, normalised), np.int64, len(texts)))
    fingerprints, keys = [np.empty(0, np.uint64)], [np.empty((0, BANDS), np.uint32)]
    for batch in batches_of(texts):
        tokens = tokenise(batch)
        fingerprints.append(simhash_of(tokens))
        if settings.method != "simhash":
            keys.append(band_keys(tokens.codes, tokens.bounds))
    schema = prints_schema(settings)
    columns: list[pa.Array | pa.ChunkedArray | NDArray[np.uint32]] = [
        documents["doc_id"].cast(pa.large_string()),
        pa.array(np.concatenate(fingerprints)),
        pa.array(hashes, pa.binary(_TEXT_HASH_BYTES)),
        length,
        _is_labelled(documents),
        _rank(documents, length, settings),
    ]
    if settings.method != "simhash":
        columns.extend(np.ascontiguousarray(np.concatenate(keys).T))
    return pa.table(columns, schema=schema)


def _documents(sources: Sequence[Corpus], settings: DedupeSettings) -> Iterator[pa.Table]:
    needed = [*_REQUIRED, *_rank_column(settings)]
    for corpus in sources:
        for table in corpus.iter_tables([*needed, "label_source"]):
            require_columns(corpus.uri, table, needed)
            yield table.filter(is_document(table))


def _rank_column(settings: DedupeSettings) -> list[str]:
    column = {"longest": None, "earliest": "fetched_at", "column": settings.keep_column}[settings.keep]
    return [] if column is None else [column]


def _is_labelled(documents: pa.Table) -> pa.Array | pa.ChunkedArray:
    if "label_source" not in documents.column_names:
        return pa.array(np.zeros(documents.num_rows, np.bool_))
    # Tables of others hold a column of nulls alone as one without a type, or strings as a dictionary.
    sources = documents["label_source"].cast(pa.string())
    return pc.is_in(sources, pa.array(LABELLED_BY_PEOPLE, pa.string()))


def _rank(documents: pa.Table, length: pa.Array, settings: DedupeSettings) -> pa.Array | pa.ChunkedArray:
    if settings.keep == "longest":
        return length.cast(pa.float64())
    (name,) = _rank_column(settings)
    values = documents[name]
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        # Of a time only the order counts: microseconds since 1970 are whole numbers of a float until the year 2255.
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    elif not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_null(values.type)):
        found = f"column {name} has type {values.type}, but numbers, dates or timestamps are needed"
        raise SettingsError([f"dedupe.keep = {settings.keep}: {found}"])
    ranks = values.cast(pa.float64(), safe=False)
    return pc.negate(ranks) if settings.keep == "earliest" else ranks
