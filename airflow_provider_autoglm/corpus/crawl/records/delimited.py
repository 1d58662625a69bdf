"""CSV and TSV: records between delimiters, as RFC 4180 has them, with a header line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airflow_provider_autoglm.corpus.crawl.records.batch import Batch
from airflow_provider_autoglm.corpus.crawl.records.files import SourceFile
from airflow_provider_autoglm.corpus.crawl.records.rows import MAX_RECORD_CHARACTERS, RecordRows
from airflow_provider_autoglm.corpus.crawl.records.streams import Lines, LineTooLongError, open_text
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import MissingColumnsError, UnusableRecordsError
from airflow_provider_autoglm.settings import Source

_DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class _Broken:
    line: str
    problem: str


def read_delimited(file: SourceFile, source: Source, storage: Storage, rows: RecordRows) -> Iterator[Batch]:
    """Batches of the rows of a file; an empty cell is null.

    A record that is broken, such as by a quote that is not closed, costs its first line: reading goes on with the next.

    :raises MissingColumnsError: if the header lacks a column of ``fields``.
    :raises UnusableRecordsError: if the first line is no header.
    """
    with open_text(file.uri, file.compression, storage, encoding=source.encoding, newline="") as text:
        lines = Lines(text)
        records = _records(lines, source.delimiter or _DELIMITERS[file.format])
        header = next(records, None)
        if isinstance(header, _Broken):
            raise UnusableRecordsError(file.uri, f"the header is broken: {header.problem}")
        if header is None:
            return
        cells = _cells(file.uri, header, source.fields)
        rows.know(cells)
        for record in records:
            if isinstance(record, _Broken):
                rows.add_broken(record.line, record.problem)
            elif len(record) == len(header):
                rows.add({column: record[cell] or None for column, cell in cells.items()})
            else:
                problem = f"line {lines.number}: {len(record)} cells instead of {len(header)}"
                rows.add_broken("\n".join(record), problem)
            if rows.is_full:
                yield rows.take()
        yield rows.take()


def _records(lines: Lines, delimiter: str) -> Iterator[list[str] | _Broken]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_CHARACTERS))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _broken(lines, error)
        except LineTooLongError as error:
            yield _Broken(error.beginning, f"line {error.number}: {error}")
            if lines.has_begun:
                yield _broken(lines, error)
        else:
            if record:
                yield record


def _broken(lines: Lines, error: Exception) -> _Broken:
    line = lines.restart()
    return _Broken(line, f"line {lines.number}: {error}")


def _cells(uri: str, header: Sequence[str], fields: dict[str, str]) -> dict[str, int]:
    """Which cell each column is in."""
    names = [name.strip() or f"column_{number}" for number, name in enumerate(header, start=1)]
    wanted = fields or {name: name for name in names}
    if missing := [name for name in wanted.values() if name not in names]:
        raise MissingColumnsError(uri, missing, names)
    counts = Counter(names)
    if repeated := sorted({name for name in wanted.values() if counts[name] > 1}):
        raise UnusableRecordsError(uri, f"the header names {', '.join(repeated)} more than once")
    return {column: names.index(name) for column, name in wanted.items()}
