"""Where the frontier of a crawl lies between two tries: with its corpus, on whatever storage that is."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.exceptions import CrawlRunningError, StorageError

log = logging.getLogger(__name__)

FOLDER = "_frontier"
LEASE_S = 30.0
"""Seconds without a sign of life after which the crawl of another machine counts as dead."""

_BEATS_OF_A_LEASE = 5
_COPY_AT_MOST_EVERY = 20.0
"""A copy is made when so many times the seconds have passed that the last one took."""


class FrontierPlace:
    """``path`` is the local file of the frontier; :meth:`ship` brings it to where a retry finds it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ship(self) -> None:
        """Called after each commit."""

    def finish(self) -> None:
        """Called after the last commit of this try."""


@contextmanager
def frontier_place(
    storage: Storage, corpus_uri: str, work: str, *, lease_s: float = LEASE_S
) -> Iterator[FrontierPlace]:
    """The place of the frontier of one ``work``, held by this process alone.

    On a file system it is a file in the corpus folder, which SQLite locks. On object storage it is a local copy of an
    object there, claimed by a numbered object that only one process can create and that is given up by ``lease_s`` of
    silence.

    :raises CrawlRunningError: if another process holds it.
    :raises StorageError: if storage refuses.
    """
    uri = f"{corpus_uri}/{FOLDER}/{work}.sqlite"
    if isinstance(storage.filesystem, LocalFileSystem):
        path = Path(storage.path(uri))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError("write", uri, error) from error
        yield FrontierPlace(path)
        return
    with tempfile.TemporaryDirectory(prefix="autoglm-frontier-") as folder, _claim(storage, uri, lease_s) as claim:
        yield _Copied(storage, f"{uri}.zst", Path(folder) / "frontier.sqlite", claim)


def forget_frontier(storage: Storage, corpus_uri: str, work: str) -> None:
    """Delete what a retry would have needed; the crawl is committed."""
    name = f"{work}.sqlite"
    folder = f"{as_uri(corpus_uri)}/{FOLDER}"
    for uri in storage.list(folder):
        if uri.startswith(f"{folder}/{name}"):
            storage.delete(uri)


class _Copied(FrontierPlace):
    def __init__(self, storage: Storage, uri: str, path: Path, claim: _Claim) -> None:
        super().__init__(path)
        self._storage = storage
        self._uri = uri
        self._claim = claim
        self._next_copy_at = 0.0
        with (
            suppress(FileNotFoundError),
            storage.open(uri) as packed,
            pa.CompressedInputStream(packed, "zstd") as source,
            path.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)

    def ship(self) -> None:
        if time.monotonic() >= self._next_copy_at:
            self.finish()

    def finish(self) -> None:
        started = time.monotonic()
        self._claim.check()
        packed = pa.BufferOutputStream()
        with pa.CompressedOutputStream(packed, "zstd") as target, self.path.open("rb") as source:
            shutil.copyfileobj(source, target)
        self._storage.replace(self._uri, packed.getvalue().to_pybytes())
        now = time.monotonic()
        self._next_copy_at = now + _COPY_AT_MOST_EVERY * (now - started)


class _Claim:
    """Number ``number`` of the claims on a frontier; the highest one holds it."""

    def __init__(self, storage: Storage, uri: str, number: int, lease_s: float) -> None:
        self._storage = storage
        self._uri = uri
        self._number = number
        self._lease_s = lease_s
        self._beats = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """:raises CrawlRunningError: if another process took over because this one was silent too long."""
        if self._storage.exists(_claim_uri(self._uri, self._number + 1)):
            raise CrawlRunningError(self._uri)

    def give_up(self) -> None:
        """Say that the holder is gone."""
        self._is_over.set()
        self._thread.join()
        self._storage.replace(_beat_uri(self._uri, self._number), json.dumps({"is_over": True}).encode())

    def _beat(self) -> None:
        while not self._is_over.wait(self._lease_s / _BEATS_OF_A_LEASE):
            self._beats += 1
            try:
                self._storage.replace(_beat_uri(self._uri, self._number), json.dumps({"beats": self._beats}).encode())
            except StorageError as error:
                log.warning("crawl: the claim on the frontier could not be renewed (%s)", error)


@contextmanager
def _claim(storage: Storage, uri: str, lease_s: float) -> Iterator[_Claim]:
    number = 0
    while storage.exists(_claim_uri(uri, number + 1)):
        number += 1
    if number and _is_alive(storage, _beat_uri(uri, number), lease_s):
        raise CrawlRunningError(uri)
    try:
        storage.create(_claim_uri(uri, number + 1), b"{}")
    except FileExistsError:
        raise CrawlRunningError(uri) from None
    claim = _Claim(storage, uri, number + 1, lease_s)
    try:
        yield claim
    finally:
        claim.give_up()


def _is_alive(storage: Storage, uri: str, lease_s: float) -> bool:
    """Whether the holder gives a sign of life within a lease; does not wait if it said that it is gone."""
    first = _read(storage, uri)
    if b"is_over" in first:
        return False
    log.info("crawl: waiting up to %.0f s to see whether another task still crawls into %s", lease_s, uri)
    end = time.monotonic() + lease_s
    while time.monotonic() < end:
        time.sleep(lease_s / _BEATS_OF_A_LEASE)
        now = _read(storage, uri)
        if now != first:
            return b"is_over" not in now
    return False


def _read(storage: Storage, uri: str) -> bytes:
    try:
        return storage.read(uri)
    except FileNotFoundError:
        return b""


def _claim_uri(uri: str, number: int) -> str:
    return f"{uri}.claim-{number}"


def _beat_uri(uri: str, number: int) -> str:
    return f"{uri}.beat-{number}"
