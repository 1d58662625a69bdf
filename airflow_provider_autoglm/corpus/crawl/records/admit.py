"""The records of sources into the attempt of a crawl."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.crawl.records.batch import NOINDEX, Batch, admit_batch
from airflow_provider_autoglm.corpus.crawl.records.delimited import read_delimited
from airflow_provider_autoglm.corpus.crawl.records.files import FileSource, SourceFile
from airflow_provider_autoglm.corpus.crawl.records.json_documents import read_json_document
from airflow_provider_autoglm.corpus.crawl.records.json_lines import read_json_lines
from airflow_provider_autoglm.corpus.crawl.records.parquet import read_arrow, read_parquet
from airflow_provider_autoglm.corpus.crawl.records.rows import RecordRows
from airflow_provider_autoglm.corpus.crawl.records.warc import read_web_archive
from airflow_provider_autoglm.corpus.crawl.records.xml_documents import read_xml_document
from airflow_provider_autoglm.corpus.documents import replace_invalid_utf8
from airflow_provider_autoglm.corpus.manifest import Input
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import CrawlSettings

_ROWS_BETWEEN_REPORTS = 50_000
_RECORD_READERS = {
    "csv": read_delimited,
    "tsv": read_delimited,
    "jsonl": read_json_lines,
    "json": read_json_document,
    "xml": read_xml_document,
}
_TABLE_READERS = {"parquet": read_parquet, "arrow": read_arrow}


@dataclass(frozen=True)
class TableSource:
    """Records that something else reads, such as the rows of a query.

    ``name`` fills the column ``source``; ``digest`` stands for what ``batches`` gives: with the same one, a committed
    corpus is used again.
    """

    name: str
    digest: str
    batches: Callable[[], Iterator[Batch]] = field(repr=False)

    def as_input(self) -> Input:
        """How a manifest refers to it."""
        return Input(uri=f"query:{self.name}", digest=self.digest)


def admit_files(attempt: StageAttempt, found: FileSource, settings: CrawlSettings) -> None:
    """Let the records of the files of a source in as documents.

    :raises MissingColumnsError: if there is no column ``text``, or none that ``fields`` names.
    :raises UnusableRecordsError: if what is there are no records.
    :raises DamagedSourceError: if a file cannot be read to its end.
    :raises SourceNotFoundError: if a file is gone.
    """
    rows = RecordRows(found.source.location)
    for file in found.files:
        _admit(attempt, _read(file, found, rows, settings), file.uri, found.source.key)


def admit_table_source(attempt: StageAttempt, table_source: TableSource) -> None:
    """Let the records of ``table_source`` in as documents."""
    _admit(attempt, table_source.batches(), table_source.as_input().uri, table_source.name)


def _admit(attempt: StageAttempt, batches: Iterator[Batch], uri: str, key: str) -> None:
    unreported = 0
    for batch in batches:
        admitted = admit_batch(batch, uri=uri, source=key)
        attempt.count_in(batch.table.num_rows)
        attempt.write(admitted.kept)
        is_removed = pc.equal(admitted.rejected["reason"], NOINDEX)
        attempt.remove(admitted.rejected.filter(is_removed))
        attempt.reject(admitted.rejected.filter(pc.invert(is_removed)))
        unreported += batch.table.num_rows
        if unreported >= _ROWS_BETWEEN_REPORTS:
            attempt.report()
            unreported = 0
    attempt.report()


def _read(file: SourceFile, found: FileSource, rows: RecordRows, settings: CrawlSettings) -> Iterator[Batch]:
    source, storage = found.source, found.storage
    if read_records := _RECORD_READERS.get(file.format):
        return read_records(file, source, storage, rows)
    if read_table := _TABLE_READERS.get(file.format):
        batches = read_table(file, source, storage)
        return _as_text(batches, rows) if found.is_mixed else batches
    if source.fields:
        raise SettingsError([f"fields: {file.uri} is a web archive, whose columns are those of a crawl"])
    return read_web_archive(file, source.key, storage, settings)


def _as_text(batches: Iterator[Batch], rows: RecordRows) -> Iterator[Batch]:
    for batch in batches:
        rows.know(batch.table.column_names)
        table, invalid = replace_invalid_utf8(batch.table)
        for values, is_invalid in zip(table.to_pylist(), invalid.to_pylist(), strict=True):
            rows.add(values, problem="bytes that are no UTF-8" if is_invalid else None)
        yield rows.take()
