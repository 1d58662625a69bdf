"""Records that wait on disk for the state: lines of JSON, in order, safe against a kill and a loss of power."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import logging
import os
import uuid
from collections import deque
from collections.abc import Sequence

from airflow_provider_autoglm.serving.records import Record, from_line, to_line

_log = logging.getLogger(__name__)
_MAX_BATCH_BYTES = 8 * 1024**2


class Spool:
    """The records of one gateway, and of those before it that died: whoever writes or replays a file has it locked.

    Not safe between threads. What was replayed before a kill is replayed again: rows are unique in the state.

    :param state_name: the state that the records are for; files of another one are left alone.
    :param max_bytes: records beyond it are dropped.
    """

    def __init__(self, folder: str, *, pipeline: str, state_name: str, max_bytes: int) -> None:
        self._folder = folder
        self._prefix = hashlib.sha256(f"{state_name} {pipeline}".encode()).hexdigest()[:16]
        self._max_bytes = max_bytes
        self._files: deque[_SpoolFile] = deque()
        self._is_full = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._files

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.bytes for file in tuple(self._files))

    def append(self, records: Sequence[Record]) -> int:
        """Write the records to disk, to stay; returns how many had to be dropped: all or none."""
        lines = b"".join(to_line(record) for record in records)
        if self.bytes + len(lines) > self._max_bytes:
            return self._dropped(records, f"it holds {self.bytes} bytes, max_spool_bytes is {self._max_bytes}")
        try:
            if not self._files or not self._files[-1].is_own:
                self._files.append(_SpoolFile.create(self._folder, self._prefix))
            self._files[-1].append(lines)
        except OSError as error:
            return self._dropped(records, error.strerror or str(error))
        self._is_full = False
        return 0

    def adopt(self) -> None:
        """Take over the files of gateways that are gone, to be replayed before this one's own."""
        for path in sorted(glob.glob(os.path.join(glob.escape(self._folder), f"{self._prefix}-*.jsonl"))):
            file = _SpoolFile.take_over(path)
            if file is not None:
                _log.info("%s: %d bytes of a gateway that is gone are replayed", path, file.bytes)
                self._files.appendleft(file)

    def read(self, limit: int) -> list[Record]:
        """The first records that wait, at most ``limit``; the same again until :meth:`forget` is called."""
        return self._files[0].read(limit) if self._files else []

    def forget(self) -> None:
        """What was last read is in the state."""
        if self._files and self._files[0].forget():
            self._files.popleft().delete()

    def close(self) -> None:
        """Leave the files to the next gateway."""
        while self._files:
            self._files.pop().close()

    def _dropped(self, records: Sequence[Record], why: str) -> int:
        if not self._is_full:
            _log.error("the spool in %s takes no more records, they are dropped: %s", self._folder, why)
        self._is_full = True
        return len(records)


class _SpoolFile:
    def __init__(self, path: str, descriptor: int, *, is_own: bool) -> None:
        self.path = path
        self.is_own = is_own
        self._descriptor = descriptor
        self.bytes = os.fstat(descriptor).st_size
        self._replayed = 0
        self._read_to = 0

    @classmethod
    def create(cls, folder: str, prefix: str) -> _SpoolFile:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        # Under a name that nobody adopts until it is locked.
        unlocked = os.path.join(folder, f"{prefix}-{uuid.uuid4().hex}.new")
        path = f"{unlocked.removesuffix('.new')}.jsonl"
        descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.rename(unlocked, path)
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return cls(path, descriptor, is_own=True)

    @classmethod
    def take_over(cls, path: str) -> _SpoolFile | None:
        """The file, locked; None while another gateway holds it, or if it has just been replayed."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # replayed and deleted just now, or not ours to read
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            return None
        return cls(path, descriptor, is_own=False)

    def append(self, lines: bytes) -> None:
        try:
            written = 0
            while written < len(lines):
                written += os.pwrite(self._descriptor, lines[written:], self.bytes + written)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.bytes)  # half a batch would end in half a line
            raise
        self.bytes += len(lines)

    def read(self, limit: int) -> list[Record]:
        chunk = os.pread(self._descriptor, self._chunk_bytes(), self._replayed)
        self._read_to = self._replayed
        records: list[Record] = []
        for line in chunk.splitlines(keepends=True)[:limit]:
            self._read_to += len(line)
            try:
                if not line.endswith(b"\n"):
                    raise ValueError("the end of it is missing")
                records.append(from_line(line))
            except ValueError as error:
                _log.warning("%s: a line before byte %d is skipped: %s", self.path, self._read_to, error)
        return records

    def forget(self) -> bool:
        """True if nothing is left to be replayed."""
        self._replayed = self._read_to
        return self._replayed >= self.bytes

    def delete(self) -> None:
        os.unlink(self.path)
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def _chunk_bytes(self) -> int:
        """Bytes of the next lines, whole ones: 8 MiB, more if a single one is longer."""
        left = self.bytes - self._replayed
        wanted = min(left, _MAX_BATCH_BYTES)
        while wanted < left:
            end = os.pread(self._descriptor, wanted, self._replayed).rfind(b"\n") + 1
            if end:
                return end
            wanted = min(left, wanted * 2)
        return wanted
