"""Files of a source as streams: unpacked, decoded, with lines of a bounded length."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

import pyarrow as pa

from airflow_provider_autoglm.corpus.crawl.records.rows import MAX_RECORD_CHARACTERS
from airflow_provider_autoglm.corpus.object_store import ObjectReader
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import DamagedSourceError, SourceNotFoundError

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""Endings of packed files, and the codec of each."""
UNDECODABLE = "\udc80"
"""What stands for bytes that are no text: half a character, which no valid file holds."""
_DECODING_ERRORS = "autoglm-undecodable"
_BYTES_LOOKED_AT = 1024 * 1024
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

codecs.register_error(_DECODING_ERRORS, lambda error: (UNDECODABLE, cast("UnicodeDecodeError", error).end))


@contextmanager
def open_bytes(uri: str, compression: str | None, storage: Storage) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked as they are read; seekable if it is not packed.

    :raises SourceNotFoundError: if it is gone.
    :raises StorageError: if storage fails.
    :raises DamagedSourceError: if it cannot be read to its end.
    """
    try:
        with storage.open(uri) as opened:
            # Failures of the storage are told apart from damage of what lies there.
            file: Any = ObjectReader(opened, uri)
            if compression is not None:
                file = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression)
            yield file
    except FileNotFoundError:
        raise SourceNotFoundError(uri) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedSourceError(uri, error) from error


@contextmanager
def open_text(
    uri: str, compression: str | None, storage: Storage, *, encoding: str = "", newline: str = "\n"
) -> Iterator[io.TextIOWrapper]:
    """The text of a file, without byte order mark; bytes that are none become :data:`UNDECODABLE`.

    :raises SourceNotFoundError: if it is gone.
    :raises StorageError: if storage fails.
    :raises DamagedSourceError: if it cannot be read to its end.
    """
    encoding = encoding or detect_encoding(uri, compression, storage)
    if codecs.lookup(encoding).name == "utf-8":
        encoding = "utf-8-sig"
    with open_bytes(uri, compression, storage) as file:
        yield io.TextIOWrapper(file, encoding=encoding, errors=_DECODING_ERRORS, newline=newline)


def detect_encoding(uri: str, compression: str | None, storage: Storage) -> str:
    """The codec of a file by its byte order mark, else UTF-8 if its first MiB is, else what its bytes look like."""
    with open_bytes(uri, compression, storage) as file:
        sample = file.read(_BYTES_LOOKED_AT)
    for mark, encoding in _BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return encoding
    try:
        # Not final: the sample may end in the middle of a character.
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        from resiliparse.parse.encoding import detect_encoding as look_at

        return look_at(sample) or "utf-8"
    return "utf-8"


class LineTooLongError(ValueError):
    """A line is longer than a record may be; it was skipped."""

    def __init__(self, number: int, beginning: str) -> None:
        self.number = number
        self.beginning = beginning
        super().__init__(f"longer than {MAX_RECORD_CHARACTERS} characters")


class Lines:
    """Lines of a text, one after the other. ``number`` is that of the last one, from 1.

    :meth:`restart` gives back the lines since :meth:`begin` but the first: what a record took that was none.
    """

    def __init__(self, file: io.TextIOBase) -> None:
        self.number = 0
        self._file = file
        self._read = 0
        self._given_back: list[tuple[int, str]] = []
        self._taken: list[tuple[int, str]] = []

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        """:raises LineTooLongError: if the line is; the next call gives the one after it."""
        self.number, line = self._given_back.pop() if self._given_back else self._next_of_file()
        self._taken.append((self.number, line))
        return line

    def begin(self) -> None:
        """A record begins with the next line."""
        self._taken = []

    @property
    def has_begun(self) -> bool:
        """Whether the record that has begun has a line."""
        return bool(self._taken)

    def restart(self) -> str:
        """Go back to the second line of the record that has begun; returns the first."""
        (self.number, first), *others = self._taken
        self._given_back.extend(reversed(others))
        return first

    def _next_of_file(self) -> tuple[int, str]:
        line = self._file.readline(MAX_RECORD_CHARACTERS)
        if not line:
            raise StopIteration
        self._read += 1
        if len(line) < MAX_RECORD_CHARACTERS:
            return self._read, line
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = self._file.readline(MAX_RECORD_CHARACTERS)
        raise LineTooLongError(self._read, line)
