"""What becomes of every row: the first of two passes, which holds ids and no texts."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_autoglm.corpus.publish.splits import (
    SPLITS,
    Clusters,
    hashed_split,
    inherited_split,
    refuse_leakage,
)
from airflow_provider_autoglm.corpus.publish.versions import Version
from airflow_provider_autoglm.corpus.schema import LABEL_COLUMNS, LABELLED_BY_PEOPLE, normalise_text
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import PublishSettings

_COLUMNS = ("doc_id", "url", "text", "fetched_at", "cluster_id", *LABEL_COLUMNS.names)
_DATA_FOLDER = "data/"


@dataclass(frozen=True)
class Fate:
    """Where a row goes: into a split, or aside with a reason."""

    split: str = ""
    reason: str = ""
    is_rejected: bool = False


_IN_SPLIT = {split: Fate(split=split) for split in SPLITS}
_ONLY = {split: frozenset({split}) for split in SPLITS}
_SUPERSEDED = Fate(reason="superseded")


@dataclass(frozen=True, slots=True)
class _Row:
    doc_id: str
    cluster: str
    label: str
    split: str


@dataclass
class Plan:
    """The fate of each row of the previous version and of the new corpora, both in their order."""

    previous: list[Fate] = field(default_factory=list)
    new: list[Fate] = field(default_factory=list)
    kept_labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    label_counts: Counter[str] = field(default_factory=Counter)
    split_counts: Counter[str] = field(default_factory=Counter)
    new_documents: int = 0
    changed_labels: int = 0
    dropped: int = 0

    @property
    def has_news(self) -> bool:
        """Whether the version would differ from the previous one."""
        return bool(self.new_documents or self.changed_labels or self.dropped)


class _Planner:
    def __init__(self, settings: PublishSettings, now: datetime) -> None:
        self.settings = settings
        self.labels = set(settings.labels)
        self.erased = set(settings.erase_doc_ids)
        self.oldest = now - timedelta(days=settings.window_days) if settings.window_days else None
        self.plan = Plan()
        self.clusters = Clusters()
        self.first_with_text: dict[int, str] = {}
        self.earlier_at: dict[int, str] = {}
        self.edited_at: dict[int, str | None] = {}
        self.earlier: dict[str, _Row] = {}
        self.fresh: dict[str, _Row] = {}

    def read_previous(self, version: Version, storage: Storage) -> list[_Row | Fate]:
        corpus = Corpus.open(version.uri, storage=storage)
        rows: list[_Row | Fate] = []
        for split, values in _rows_with_split(corpus):
            row = _row(values, split)
            self._link(row, values["text"])
            fate = self._unwanted(row, values.get("fetched_at"))
            rows.append(fate or row)
            self.earlier[row.doc_id] = row
            if values.get("url"):
                self.earlier_at.setdefault(_hashed(values["url"]), row.doc_id)
            if fate is None and values.get("label_source") in LABELLED_BY_PEOPLE:
                self.plan.kept_labels[row.doc_id] = {name: values.get(name) for name in LABEL_COLUMNS.names}
            self.plan.dropped += fate is not None
        return rows

    def read_new(self, corpora: Sequence[Corpus]) -> list[_Row | Fate]:
        return [self._admit(values) for corpus in corpora for values in _rows(corpus)]

    def _admit(self, values: dict[str, Any]) -> _Row | Fate:
        if not values.get("doc_id") or not values.get("text"):
            return Fate(reason="missing_doc_id" if not values.get("doc_id") else "missing_text", is_rejected=True)
        if values["doc_id"] in self.plan.kept_labels and values.get("label_source") not in LABELLED_BY_PEOPLE:
            values = {**values, **self.plan.kept_labels[values["doc_id"]]}
        row = _row(values)
        fate = self._unwanted(row, values.get("fetched_at"))
        if fate is not None:
            return fate
        if not row.label:
            return Fate(reason="abstained")
        if row.doc_id in self.fresh:
            return Fate(reason="duplicate_doc_id")
        self._link(row, values["text"])
        self.fresh[row.doc_id] = row
        if row.doc_id not in self.earlier:
            self.plan.new_documents += 1
            self._note_edited(row, values.get("url"))
        elif self.earlier[row.doc_id].label != row.label or self._is_confirmed(values):
            self.plan.changed_labels += 1
        return row

    def _is_confirmed(self, values: dict[str, Any]) -> bool:
        """Whether people gave the label that only a machine had given before."""
        return values.get("label_source") in LABELLED_BY_PEOPLE and values["doc_id"] not in self.plan.kept_labels

    def _unwanted(self, row: _Row, fetched: datetime | None) -> Fate | None:
        if row.doc_id in self.erased:
            return Fate(reason="erased")
        if self.oldest is not None and fetched is not None and fetched < self.oldest:
            return Fate(reason="expired")
        if row.label and self.labels and row.label not in self.labels:
            return Fate(reason="unknown_label", is_rejected=True)
        return None

    def _link(self, row: _Row, text: str) -> None:
        self.clusters.join(row.doc_id, row.cluster)
        # A document that came back under another address must not land in another split.
        first = self.first_with_text.setdefault(_hashed(normalise_text(text)), row.doc_id)
        self.clusters.join(row.doc_id, first)

    def _note_edited(self, row: _Row, url: str | None) -> None:
        """Remember a new text at an address that an earlier version has; None where several rows share the address."""
        if url and (address := _hashed(url)) in self.earlier_at:
            self.edited_at[address] = None if address in self.edited_at else row.doc_id

    def decide(self, previous: list[_Row | Fate], new: list[_Row | Fate]) -> Plan:
        # A page that was edited must not land in another split than the text it had before.
        for address, doc_id in self.edited_at.items():
            if doc_id is not None:
                self.clusters.join(doc_id, self.earlier_at[address])
        earlier_splits: dict[str, frozenset[str]] = {}
        for row in self.earlier.values():
            name = self.clusters.name_of(row.doc_id)
            known = earlier_splits.setdefault(name, _ONLY[row.split])
            if row.split not in known:
                earlier_splits[name] = known | _ONLY[row.split]
        placed: list[tuple[str, str]] = []

        def place(row: _Row) -> Fate:
            name = self.clusters.name_of(row.doc_id)
            earlier = earlier_splits.get(name)
            split = inherited_split(earlier) if earlier else hashed_split(name, self.settings)
            placed.append((row.cluster, split))
            self.plan.label_counts[row.label] += 1
            self.plan.split_counts[split] += 1
            return _IN_SPLIT[split]

        for entry in previous:
            is_superseded = isinstance(entry, _Row) and entry.doc_id in self.fresh
            self.plan.previous.append(_SUPERSEDED if is_superseded else _settled(entry, place))
        self.plan.new.extend(_settled(entry, place) for entry in new)
        refuse_leakage(placed)
        return self.plan


def make_plan(
    corpora: Sequence[Corpus], previous: Version | None, settings: PublishSettings, *, now: datetime, storage: Storage
) -> Plan:
    """Decide for every row of the new corpora and of the previous version.

    ``now`` ends the window of ``settings.window_days``; it comes from the inputs, so that a retry decides the same.

    :raises SplitLeakageError: if one cluster would lie in two splits.
    """
    planner = _Planner(settings, now)
    kept = planner.read_previous(previous, storage) if previous is not None else []
    return planner.decide(kept, planner.read_new(corpora))


def split_of(shard_name: str) -> str:
    """The split that a shard of a dataset belongs to, by its name ``data/<split>-…``."""
    return shard_name.removeprefix(_DATA_FOLDER).partition("-")[0]


def _settled(entry: _Row | Fate, place: Callable[[_Row], Fate]) -> Fate:
    return entry if isinstance(entry, Fate) else place(entry)


def _rows(corpus: Corpus) -> Iterator[dict[str, Any]]:
    for table in corpus.iter_tables(_COLUMNS):
        yield from table.to_pylist()


def _rows_with_split(corpus: Corpus) -> Iterator[tuple[str, dict[str, Any]]]:
    for stored in corpus.shards:
        split = split_of(stored.shard.name)
        for table in corpus.shard_tables(stored, _COLUMNS):
            yield from ((split, values) for values in table.to_pylist())


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _row(values: dict[str, Any], split: str = "") -> _Row:
    doc_id = values["doc_id"]
    cluster = values.get("cluster_id") or doc_id
    return _Row(doc_id, doc_id if cluster == doc_id else cluster, sys.intern(values.get("label") or ""), split)
