"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator

from airflow_provider_autoglm.corpus.crawl.records.batch import Batch
from airflow_provider_autoglm.corpus.crawl.records.files import SourceFile
from airflow_provider_autoglm.corpus.crawl.records.paths import take_fields
from airflow_provider_autoglm.corpus.crawl.records.rows import RecordRows
from airflow_provider_autoglm.corpus.crawl.records.streams import Lines, LineTooLongError, open_text
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.settings import Source


def read_json_lines(file: SourceFile, source: Source, storage: Storage, rows: RecordRows) -> Iterator[Batch]:
    """Batches of the objects of a file; a line that is none is a broken record."""
    rows.know(source.fields)
    with open_text(file.uri, file.compression, storage, encoding=source.encoding) as text:
        lines = Lines(text)
        while True:
            lines.begin()
            try:
                line = next(lines, None)
            except LineTooLongError as error:
                rows.add_broken(error.beginning, f"line {error.number}: {error}")
                continue
            if line is None:
                break
            if not line.isspace():
                _add(line, lines.number, source, rows)
            if rows.is_full:
                yield rows.take()
        yield rows.take()


def _add(line: str, number: int, source: Source, rows: RecordRows) -> None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        rows.add_broken(line, f"line {number}: {error}")
        return
    if isinstance(record, dict):
        rows.add(take_fields(record, source.fields))
    else:
        rows.add_broken(line, f"line {number}: not an object")
