"""JSON documents: a list of records anywhere in them, read record by record."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from airflow_provider_autoglm.corpus.crawl.records.batch import Batch
from airflow_provider_autoglm.corpus.crawl.records.files import SourceFile
from airflow_provider_autoglm.corpus.crawl.records.paths import steps_of, take_fields
from airflow_provider_autoglm.corpus.crawl.records.rows import MAX_RECORD_CHARACTERS, RecordRows
from airflow_provider_autoglm.corpus.crawl.records.streams import open_text
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import DamagedSourceError, UnusableRecordsError
from airflow_provider_autoglm.settings import Source

_CHARACTERS_READ = 64 * 1024
_BLANK = " \t\r\n"
_AFTER_NUMBERS = tuple(f"{_BLANK},]}}")


def read_json_document(file: SourceFile, source: Source, storage: Storage, rows: RecordRows) -> Iterator[Batch]:
    """Batches of the records of a document: the list at ``records``, else the outermost one, else all values.

    So one object is one record, and so is each of several that follow one another.

    :raises DamagedSourceError: if the document ends early, is no JSON, or has a value that is too long for a record.
    :raises UnusableRecordsError: if there is no list at ``records``.
    """
    rows.know(source.fields)
    with open_text(file.uri, file.compression, storage, encoding=source.encoding) as text:
        document = _Document(file.uri, text)
        try:
            for number, record in enumerate(_records(document, source.records), start=1):
                if isinstance(record, dict):
                    rows.add(take_fields(record, source.fields))
                else:
                    rows.add_broken(json.dumps(record, ensure_ascii=False), f"record {number}: not an object")
                if rows.is_full:
                    yield rows.take()
        except (json.JSONDecodeError, RecursionError) as error:
            raise document.damage(error) from error
        yield rows.take()


def _records(document: _Document, path: str) -> Iterator[Any]:
    if path:
        _go_to(document, path)
        yield from document.elements()
        return
    while sign := document.peek():
        yield from document.elements() if sign == "[" else (document.value(),)


def _go_to(document: _Document, path: str) -> None:
    """Read on until the list at ``path`` begins."""
    found: list[str] = []
    for step in steps_of(path):
        if not document.enter(step):
            where = f"in {'.'.join(found)}" if found else "outermost"
            raise UnusableRecordsError(document.uri, f"records = {path!r}: there is no {step!r} {where}")
        found.append(step)
    if document.peek() != "[":
        raise UnusableRecordsError(document.uri, f"records = {path!r}: what is there is no list")


class _Document:
    """A JSON text that is read on value by value; no more of it is held than the value that is read."""

    def __init__(self, uri: str, file: io.TextIOBase) -> None:
        self.uri = uri
        self._file = file
        self._decoder = json.JSONDecoder()
        self._buffer = ""
        self._at = 0
        self._forgotten = 0
        self._is_read = False

    def damage(self, problem: object) -> DamagedSourceError:
        """The error that says what is wrong here."""
        return DamagedSourceError(self.uri, f"character {self._forgotten + self._at}: {problem}")

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _BLANK:
                    return self._buffer[self._at]
                self._at += 1
            if self._is_read:
                return ""
            self._read_on()

    def value(self) -> Any:
        """The value that comes next, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError:
                if self._is_read:
                    raise
            else:
                # A number may go on in what is not read yet: "1" is the beginning of "1.5" and of "10".
                is_number = isinstance(value, (int, float))
                if self._is_read or not is_number or self._buffer[end : end + 1] in _AFTER_NUMBERS:
                    self._at = end
                    return value
            if len(self._buffer) - self._at > MAX_RECORD_CHARACTERS:
                raise self.damage(
                    f"no JSON value of up to {MAX_RECORD_CHARACTERS} characters; is the list of records deeper inside? "
                    "Then set records"
                )
            self._read_on()

    def elements(self) -> Iterator[Any]:
        """The values of the list that comes next."""
        self._take("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() != "]":
                self._take(",")
        self._take("]")

    def enter(self, step: str) -> bool:
        """Go into the object or list that comes next, to the value at the key or position ``step``, if it has one."""
        is_object = self.peek() == "{"
        if not is_object and self.peek() != "[":
            return False
        end = "}" if is_object else "]"
        self._take("{" if is_object else "[")
        position = 0
        while self.peek() != end:
            key = self.value() if is_object else str(position)
            if is_object:
                self._take(":")
            if key == step:
                return True
            self.value()
            position += 1
            if self.peek() != end:
                self._take(",")
        return False

    def _take(self, sign: str) -> None:
        if self.peek() != sign:
            raise self.damage(f"expected {sign!r}, found {self.peek()!r}")
        self._at += 1

    def _read_on(self) -> None:
        """Read as much again as is held, so that a long value is tried a few times only."""
        held = self._buffer[self._at :]
        block = self._file.read(max(_CHARACTERS_READ, len(held)))
        self._is_read = not block
        self._forgotten += self._at
        self._buffer, self._at = held + block, 0
