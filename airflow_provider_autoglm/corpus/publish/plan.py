"""What becomes of every row: the first of two passes, which holds ids and no texts."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from airflow_provider_autoglm.corpus.publish.people import Word, outranks, word_of
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
KEPT_COLUMNS = ("fetched_at", *LABEL_COLUMNS.names)
"""What is remembered of a row that people have labelled."""


@dataclass(frozen=True)
class Fate:
    """Where a row goes: into a split, or aside with a reason.

    ``heir`` is the ``doc_id`` of the row labelled by people that takes the place of one of the previous version.
    """

    split: str = ""
    reason: str = ""
    is_rejected: bool = False
    heir: str = ""


_IN_SPLIT = {split: Fate(split=split) for split in SPLITS}
_ONLY = {split: frozenset({split}) for split in SPLITS}
_SUPERSEDED = Fate(reason="superseded")
_ABSTAINED = Fate(reason="abstained")
_REPEATED = Fate(reason="duplicate_doc_id")
_LABELLED_BY_PEOPLE = Fate(reason="labelled_by_people")


@dataclass(frozen=True, slots=True)
class _Row:
    """What is held of a row; ``text`` is a hash of the normalised text."""

    doc_id: str
    cluster: str
    label: str
    split: str
    text: int
    word: Word | None


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
        self.last_words: dict[int, _Row] = {}
        self.earlier_words: dict[int, str] = {}

    def read_previous(self, version: Version, storage: Storage) -> list[_Row | Fate]:
        corpus = Corpus.open(version.uri, storage=storage)
        rows: list[_Row | Fate] = []
        for split, values in _rows_with_split(corpus):
            row = _row(values, split)
            self._link(row)
            fate = self._unwanted(row, values.get("fetched_at"))
            rows.append(fate or row)
            self.earlier[row.doc_id] = row
            if values.get("url"):
                self.earlier_at.setdefault(_hashed(values["url"]), row.doc_id)
            if fate is None and row.word is not None:
                self.plan.kept_labels[row.doc_id] = {name: values.get(name) for name in KEPT_COLUMNS}
                self.earlier_words[row.text] = row.label
            self.plan.dropped += fate is not None
        return rows

    def read_new(self, corpora: Sequence[Corpus]) -> list[_Row | Fate]:
        return [self._admit(values) for corpus in corpora for values in _rows(corpus)]

    def _admit(self, values: dict[str, Any]) -> _Row | Fate:
        if not values.get("doc_id") or not values.get("text"):
            return Fate(reason="missing_doc_id" if not values.get("doc_id") else "missing_text", is_rejected=True)
        row = _row(values)
        kept_label = self.plan.kept_labels.get(row.doc_id)
        if kept_label is not None and values.get("label_source") not in LABELLED_BY_PEOPLE:
            row = replace(row, label=kept_label["label"])
        fate = self._unwanted(row, values.get("fetched_at"))
        if fate is not None:
            return fate
        if not row.label:
            return row
        self._link(row)
        other = self.fresh.get(row.doc_id)
        if other is None or outranks(row.word, row.label, other.word, other.label):
            self.fresh[row.doc_id] = row
        if other is None and row.doc_id not in self.earlier:
            self._note_edited(row, values.get("url"))
        return row

    def _unwanted(self, row: _Row, fetched: datetime | None) -> Fate | None:
        if row.doc_id in self.erased:
            return Fate(reason="erased")
        if self.oldest is not None and fetched is not None and fetched < self.oldest:
            return Fate(reason="expired")
        if row.label and self.labels and row.label not in self.labels:
            return Fate(reason="unknown_label", is_rejected=True)
        return None

    def _link(self, row: _Row) -> None:
        self.clusters.join(row.doc_id, row.cluster)
        # A document that came back under another address must not land in another split.
        first = self.first_with_text.setdefault(row.text, row.doc_id)
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
        self._hear_people(previous)
        earlier_splits = self._earlier_splits()
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
            self.plan.previous.append(entry if isinstance(entry, Fate) else self._superseded(entry) or place(entry))
        for entry in new:
            self.plan.new.append(entry if isinstance(entry, Fate) else self._left_out(entry) or place(entry))
        self._count_news()
        refuse_leakage(placed)
        return self.plan

    def _hear_people(self, previous: list[_Row | Fate]) -> None:
        """Find the one row that stands for each text that people have labelled."""
        staying = (row for row in previous if isinstance(row, _Row) and row.doc_id not in self.fresh)
        for row in chain(staying, self.fresh.values()):
            word = self._word(row)
            other = self.last_words.get(row.text)
            if word and (other is None or outranks(word, row.doc_id, self._word(other), other.doc_id)):
                self.last_words[row.text] = row

    def _word(self, row: _Row) -> Word | None:
        """What people said of the row, now or earlier."""
        return self.earlier[row.doc_id].word if row.word is None and row.doc_id in self.plan.kept_labels else row.word

    def _superseded(self, row: _Row) -> Fate | None:
        newest = self.fresh.get(row.doc_id, row)
        heir = self.last_words.get(newest.text, newest)
        if heir is row:
            return None
        return Fate(reason="superseded", heir=heir.doc_id) if self._word(heir) else _SUPERSEDED

    def _left_out(self, row: _Row) -> Fate | None:
        if not row.label:
            return _LABELLED_BY_PEOPLE if row.text in self.last_words else _ABSTAINED
        if self.fresh[row.doc_id] is not row:
            return _REPEATED
        return None if self.last_words.get(row.text, row) is row else _LABELLED_BY_PEOPLE

    def _count_news(self) -> None:
        """A text that people have labelled is one document, whatever addresses it has."""
        for row in self.fresh.values():
            earlier = self.earlier.get(row.doc_id)
            if self._left_out(row):
                continue
            if earlier is not None:
                is_confirmed = row.word is not None and row.doc_id not in self.plan.kept_labels
                self.plan.changed_labels += is_confirmed or earlier.label != row.label
            elif row.word is not None and self.first_with_text[row.text] in self.earlier:
                self.plan.changed_labels += self.earlier_words.get(row.text) != row.label
            else:
                self.plan.new_documents += 1

    def _earlier_splits(self) -> dict[str, frozenset[str]]:
        """The splits that the rows of each cluster had in the previous version."""
        splits: dict[str, frozenset[str]] = {}
        for row in self.earlier.values():
            name = self.clusters.name_of(row.doc_id)
            known = splits.setdefault(name, _ONLY[row.split])
            if row.split not in known:
                splits[name] = known | _ONLY[row.split]
        return splits


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
    return _Row(
        doc_id=doc_id,
        cluster=doc_id if cluster == doc_id else cluster,
        label=sys.intern(values.get("label") or ""),
        split=split,
        text=_hashed(normalise_text(values["text"])),
        word=word_of(values),
    )
