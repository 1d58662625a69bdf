"""Splits: a cluster of near duplicates lies in one split, and keeps it in every later version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Set

from airflow_provider_autoglm.exceptions import SplitLeakageError
from airflow_provider_autoglm.settings import PublishSettings

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
_HASH_RANGE = 2**64


class Clusters:
    """Disjoint sets of documents that must not be split; a set is named by its smallest id."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def join(self, one: str, other: str) -> None:
        """Put both ids, with all that belongs to them, into one set."""
        one, other = self.name_of(one), self.name_of(other)
        if one != other:
            first, second = sorted((one, other))
            self._parent[second] = first

    def name_of(self, member: str) -> str:
        """The smallest id of the member's set."""
        root = member
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while (parent := self._parent.get(member, member)) != root:
            self._parent[member] = root
            member = parent
        return root


def hashed_split(cluster: str, settings: PublishSettings) -> str:
    """The split of a new cluster: a hash of its name, so that every run and machine agrees."""
    digest = hashlib.sha256(cluster.encode()).digest()
    share = int.from_bytes(digest[:8], "big") / _HASH_RANGE
    if share < settings.test_fraction:
        return TEST
    return VALIDATION if share < settings.test_fraction + settings.validation_fraction else TRAIN


def inherited_split(earlier: Set[str]) -> str:
    """The split of a cluster that earlier versions had in ``earlier``: once test, always test; merged means test."""
    return next(iter(earlier)) if len(earlier) == 1 else TEST


def refuse_leakage(rows: Iterable[tuple[str, str]]) -> None:
    """Check rows of (cluster id, split).

    :raises SplitLeakageError: if one cluster lies in two splits.
    """
    seen: dict[str, str] = {}
    for cluster, split in rows:
        other = seen.setdefault(cluster, split)
        if other != split:
            raise SplitLeakageError(cluster, sorted((other, split)))
