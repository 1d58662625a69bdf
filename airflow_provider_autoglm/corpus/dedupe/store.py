"""The documents that earlier runs kept, for near duplicates across runs: one immutable corpus a run.

Of a stored document lie here its fingerprints and a bottom-k sketch of its set of 4-grams: the smallest hashes, which
are the whole set of a short text. Reading the text again instead would tie the store to corpora that are cleaned up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.candidates import distance_of_prints
from airflow_provider_autoglm.corpus.dedupe.facts import FACTS, Look
from airflow_provider_autoglm.corpus.dedupe.minhash import NO_KEY
from airflow_provider_autoglm.corpus.dedupe.neighbours import iter_pairs_between
from airflow_provider_autoglm.corpus.dedupe.prints import BAND_COLUMNS
from airflow_provider_autoglm.corpus.dedupe.shingles import TextSets
from airflow_provider_autoglm.corpus.manifest import Input, digest_of
from airflow_provider_autoglm.corpus.run_parts import RunParts
from airflow_provider_autoglm.corpus.schema import set_column
from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.corpus.store import Corpus, StoredShard, work_digest
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

log = logging.getLogger(__name__)

STAGE = "dedupe_store"
SKETCH = 128
"""Hashes kept of a document: where its set has more, similarity is estimated with a standard error of 0.044 at most."""
_PRINTS_AT_ONCE = 1_000_000
NOTHING_STORED = pa.schema(
    [
        *(field for field in FACTS if field.name != "rank"),
        ("simhash", pa.uint64()),
        ("cluster_id", pa.large_string()),
        ("set_size", pa.int64()),
        ("sketch", pa.large_list(pa.uint32())),
    ]
).empty_table()


@dataclass(frozen=True)
class DocumentStore:
    """The parts of a pipeline as one run may see them: those of earlier runs, in order, and where its own part goes."""

    uri: str
    earlier: tuple[Corpus, ...]
    own_uri: str

    @classmethod
    def open(
        cls,
        state_uri: str,
        destination: str,
        settings: DedupeSettings,
        *,
        as_of: datetime | None = None,
        storage: Storage | None = None,
    ) -> DocumentStore:
        """The store below ``state_uri`` as of a time, for the run that writes to ``destination``.

        Parts of the same time or later are not seen, nor are those older than ``settings.window_days``. Without
        ``as_of`` it is that of the part that this destination has, else now.

        :raises SettingsError: if ``as_of`` has no time zone.
        """
        storage = storage or Storage.local()
        parts = RunParts.seen_by(state_uri, destination, as_of=as_of, storage=storage)
        oldest = datetime.min.replace(tzinfo=UTC)
        if settings.window_days is not None:
            oldest = parts.own.as_of - timedelta(days=settings.window_days)
        compared = [part.uri for part in parts.earlier if part.as_of >= oldest] if settings.across_runs else []
        earlier = tuple(Corpus.open(uri, storage=storage, verify=False) for uri in compared)
        return cls(as_uri(state_uri), earlier, parts.own.uri)

    def as_input(self) -> Input:
        """How a manifest refers to what was compared with."""
        return Input(uri=self.uri, digest=digest_of([corpus.digest for corpus in self.earlier]))

    def begin_part(self, attempt: StageAttempt) -> StageAttempt:
        """The part of the run that ``attempt`` is of; a retry takes the place of its own earlier part."""
        work = Input(uri=attempt.uri, digest=work_digest(attempt.inputs, attempt.settings_digest))
        return StageAttempt(STAGE, [work], self.own_uri, {"sketch": SKETCH}, storage=attempt.storage)

    def candidates(
        self,
        fingerprints: NDArray[np.uint64],
        band_keys: Sequence[NDArray[np.uint32]],
        settings: DedupeSettings,
        published: Sequence[Corpus] | None,
    ) -> pa.Table:
        """The stored documents that are candidates of any of ``fingerprints``, or of any key of the MinHash bands.

        With ``published`` only those that one of them holds: what was never published, or was erased since, keeps
        nothing out.

        :raises ShardMissingError: if a part lacks a file.
        :raises ShardDamagedError: if a file of a part cannot be read.
        """
        prints = np.unique(fingerprints)
        keys = [np.unique(band[band != NO_KEY]) for band in band_keys]
        found = [NOTHING_STORED]
        for shards in _together(self.earlier):
            found.extend(_near_rows(shards, prints, keys, distance_of_prints(settings)))
        rows = sum(corpus.rows for corpus in self.earlier)
        log.info("dedupe: %d documents of %d earlier runs compared", rows, len(self.earlier))
        stored = _with_keys(pa.concat_tables(found, promote_options="default"), len(band_keys)).combine_chunks()
        return stored if published is None else _published(stored, published)


def stored_rows(kept: pa.Table, prints: pa.Table, look: Look) -> pa.Table:
    """What the store keeps of documents, given their rows, prints, facts and whole sets of 4-grams."""
    sizes = np.diff(look.sets.bounds)
    taken = np.minimum(sizes, SKETCH)
    bounds = np.concatenate(([0], np.cumsum(taken)))
    places = np.arange(bounds[-1]) + np.repeat(look.sets.bounds[:-1] - bounds[:-1], taken)
    sketch = pa.LargeListArray.from_arrays(pa.array(bounds), pa.array(look.sets.values[places]))
    known = look.facts.drop_columns(["rank"])
    columns = {name: table[name] for table in (known, prints) for name in table.column_names}
    return pa.table(
        {**columns, "cluster_id": kept["cluster_id"].cast(pa.large_string()), "set_size": sizes, "sketch": sketch}
    )


def sketches_of(stored: pa.Table) -> TextSets:
    """The sketches of rows of the store, as sets."""
    lists = stored["sketch"].combine_chunks()
    return TextSets(lists.flatten().to_numpy(), (lists.offsets.to_numpy() - lists.offsets[0].as_py()).astype(np.int64))


def _together(parts: Sequence[Corpus]) -> Iterator[list[tuple[Corpus, StoredShard]]]:
    """Shards that are searched at once, of several parts where these are small."""
    together: list[tuple[Corpus, StoredShard]] = []
    rows = 0
    for corpus in parts:
        for stored in corpus.shards:
            together.append((corpus, stored))
            rows += stored.shard.rows
            if rows >= _PRINTS_AT_ONCE:
                yield together
                together, rows = [], 0
    if together:
        yield together


def _near_rows(
    shards: Sequence[tuple[Corpus, StoredShard]],
    prints: NDArray[np.uint64],
    keys: Sequence[NDArray[np.uint32]],
    max_hamming: int,
) -> Iterator[pa.Table]:
    """The rows of some shards that are candidates of ``prints`` or of ``keys``: ascending, an array a band, or none."""
    columns = ["simhash", *(BAND_COLUMNS if keys else ())]
    tables = [corpus.shard_columns(stored, columns) for corpus, stored in shards]
    stored_prints = np.concatenate([table["simhash"].to_numpy() for table in tables])
    is_near = np.zeros(stored_prints.size, np.bool_)
    for pairs in iter_pairs_between(prints, stored_prints, max_hamming):
        is_near[pairs & np.uint64(0xFFFFFFFF)] = True
    for name, band in zip(BAND_COLUMNS, keys, strict=False):
        is_near |= _is_among(np.concatenate([_keys_of(table, name) for table in tables]), band)
    without = sum(name not in table.column_names for table in tables for name in columns[-1:])
    if without:
        log.warning("dedupe: %d shards were stored without MinHash, only SimHash is compared with them", without)
    start = 0
    for (corpus, stored), table in zip(shards, tables, strict=True):
        near = np.flatnonzero(is_near[start : start + table.num_rows])
        start += table.num_rows
        if near.size:
            yield corpus.shard_rows(stored, near)


def _keys_of(table: pa.Table, name: str) -> NDArray[np.uint32]:
    if name not in table.column_names:
        return np.full(table.num_rows, NO_KEY, np.uint32)
    keys: NDArray[np.uint32] = table[name].to_numpy()
    return keys


def _is_among(values: NDArray[np.uint32], ascending: NDArray[np.uint32]) -> NDArray[np.bool_]:
    if ascending.size == 0:
        return np.zeros(values.size, np.bool_)
    places = np.minimum(np.searchsorted(ascending, values), ascending.size - 1)
    return np.asarray(ascending[places] == values, np.bool_)


def _with_keys(stored: pa.Table, bands: int) -> pa.Table:
    """The rows with the keys of ``bands`` bands, ``NO_KEY`` where they were stored without MinHash."""
    for name in BAND_COLUMNS[:bands]:
        none = pa.array(np.full(stored.num_rows, NO_KEY, np.uint32))
        known = name in stored.column_names
        stored = set_column(stored, name, stored[name].fill_null(NO_KEY) if known else none)
    return stored


def _published(stored: pa.Table, published: Sequence[Corpus]) -> pa.Table:
    """The rows of ``stored`` whose document one of the dataset versions holds."""
    asked = pc.unique(stored["doc_id"]).cast(pa.string())
    tables = (table for version in published for table in version.iter_tables(["doc_id"]))
    held = [table["doc_id"].filter(pc.is_in(table["doc_id"], asked)) for table in tables]
    chunks = [chunk for column in held for chunk in column.chunks]
    return stored.filter(pc.is_in(stored["doc_id"], pa.chunked_array(chunks, pa.string()).cast(pa.large_string())))
