"""The fingerprints of every document, and where they lie until they are compared: on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash_of
from airflow_provider_autoglm.corpus.dedupe.minhash import BANDS, band_keys
from airflow_provider_autoglm.corpus.dedupe.scratch import scratch_errors
from airflow_provider_autoglm.corpus.dedupe.threads import in_threads
from airflow_provider_autoglm.corpus.dedupe.tokens import batches_of, composed, tokenise
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

BAND_COLUMNS = tuple(f"band_{band:02d}" for band in range(BANDS))

_ROWS_OF_A_PIECE = 16_384


class Prints(Protocol):
    """Rows of fingerprints, one a document, in the order of the documents: a corpus, or :class:`ScratchPrints`."""

    def iter_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows with ``columns``, some at a time."""


class ScratchPrints:
    """Prints in a file without a name: it is gone with this object, or with the process if that is killed."""

    def __init__(self, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        self._file = tempfile.TemporaryFile(prefix="autoglm-prints-")  # noqa: SIM115 - goes with this object
        writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), schema)
        for table in _of_many_rows(tables):
            with scratch_errors():
                writer.write_table(table)
            pa.default_memory_pool().release_unused()
        with scratch_errors():
            writer.close()
            self._file.flush()

    def iter_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """As :class:`Prints` says; only those columns are read."""
        file = pa.PythonFile(self._file, "r")
        names = pa.ipc.open_file(file).schema.names
        wanted = [number for number, name in enumerate(names) if columns is None or name in columns]
        reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=wanted))
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


def _of_many_rows(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables: a column is read in as many pieces."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(page.num_rows for page in waiting) >= _ROWS_OF_A_PIECE:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def prints_schema(settings: DedupeSettings) -> pa.Schema:
    """``simhash``, and the 32 keys of MinHash where the method of ``settings`` asks for them."""
    return pa.schema([("simhash", pa.uint64()), *((name, pa.uint32()) for name in bands_of(settings))])


def bands_of(settings: DedupeSettings) -> tuple[str, ...]:
    """The columns of MinHash that the method asks for."""
    return BAND_COLUMNS if settings.method != "simhash" else ()


def iter_prints(sources: Sequence[Corpus], settings: DedupeSettings) -> Iterator[pa.Table]:
    """The prints of all documents of ``sources`` in order: rows that have a ``doc_id`` and a ``text``."""
    tables = (table for corpus in sources for table in corpus.iter_tables(["doc_id", "text"]))
    return in_threads(lambda table: prints_of(table.filter(is_document(table))["text"].to_pylist(), settings), tables)


def is_document(table: pa.Table) -> pa.ChunkedArray:
    """Which rows have both a ``doc_id`` and a ``text``."""
    return pc.and_(pc.is_valid(table["doc_id"]), pc.is_valid(table["text"]))


def prints_of(texts: Sequence[str], settings: DedupeSettings) -> pa.Table:
    """The prints of ``texts``, of their form NFC: texts that read the same have the same."""
    fingerprints, keys = [np.empty(0, np.uint64)], [np.empty((0, BANDS), np.uint32)]
    for batch in batches_of(composed(texts)):
        tokens = tokenise(batch)
        fingerprints.append(simhash_of(tokens))
        if bands_of(settings):
            keys.append(band_keys(tokens.codes, tokens.bounds))
    bands: list[NDArray[np.uint32]] = list(np.ascontiguousarray(np.concatenate(keys).T)) if bands_of(settings) else []
    return pa.table([np.concatenate(fingerprints), *bands], schema=prints_schema(settings))
