"""Parquet files as a source: one file, or all ``*.parquet`` directly in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_autoglm.corpus.documents import admit_documents
from airflow_provider_autoglm.corpus.manifest import Input, digest_of
from airflow_provider_autoglm.corpus.shards import ROWS_OF_A_GROUP
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import DamagedSourceError, SourceNotFoundError
from airflow_provider_autoglm.settings import Source

_ROWS_BETWEEN_REPORTS = 50_000


def parquet_files(uri: str, storage: Storage) -> list[str]:
    """URIs of the files of a source, sorted.

    :raises SourceNotFoundError: if there is neither such a file nor a folder with Parquet files.
    """
    uri = as_uri(uri)
    if storage.is_folder(uri):
        files = [found for found in storage.list(uri) if found.endswith(".parquet")]
    else:
        files = [uri] if storage.exists(uri) else []
    if not files:
        raise SourceNotFoundError(uri)
    return files


def as_input(source: Source, files: Sequence[str], storage: Storage) -> Input:
    """How a manifest refers to a Parquet source: name, size and time of each file."""
    described = [(uri, storage.size(uri), storage.modified_at(uri)) for uri in files]
    return Input(uri=str(source.parquet), digest=digest_of(source.key, described))


def admit_files(attempt: StageAttempt, source: Source, files: Sequence[str]) -> None:
    """Let the rows of ``files`` in as documents of ``source``.

    :raises MissingColumnsError: if a file has no column ``text``.
    :raises DamagedSourceError: if a file is no Parquet.
    """
    for uri in files:
        unreported = 0
        for table in _tables(uri, attempt.storage):
            admitted = admit_documents(table, uri=uri, source=source.key)
            attempt.count_in(table.num_rows)
            attempt.write(admitted.kept)
            attempt.reject(admitted.rejected)
            unreported += table.num_rows
            if unreported >= _ROWS_BETWEEN_REPORTS:
                attempt.report()
                unreported = 0
        attempt.report()


def _tables(uri: str, storage: Storage) -> Iterator[pa.Table]:
    try:
        with storage.open(uri) as file, pq.ParquetFile(file) as parquet:
            if parquet.metadata.num_rows == 0:
                yield parquet.schema_arrow.empty_table()
            for batch in parquet.iter_batches(ROWS_OF_A_GROUP):
                yield pa.Table.from_batches([batch])
    except FileNotFoundError:
        raise SourceNotFoundError(uri) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedSourceError(uri, error) from error
