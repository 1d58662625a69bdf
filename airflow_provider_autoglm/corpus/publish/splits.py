"""Splits: a cluster of near duplicates lies in one split, and keeps it in every later version."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator

from airflow_provider_autoglm.exceptions import SplitLeakageError
from airflow_provider_autoglm.settings import PublishSettings

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
_HASH_RANGE = 2**64
_DATA_FOLDER = "data/"


class Clusters:
    """Disjoint sets of documents that must not be split, by numbers below ``members``; 4 bytes each.

    A set is named by its smallest number. Numbers that follow the order of ids name it by its smallest id.
    """

    def __init__(self, members: int) -> None:
        self._parent = array("i", range(members))

    def join(self, one: int, other: int) -> None:
        """Put both, with all that belongs to them, into one set."""
        one, other = self.name_of(one), self.name_of(other)
        if one != other:
            self._parent[max(one, other)] = min(one, other)

    def name_of(self, member: int) -> int:
        """The smallest number of the member's set."""
        parent = self._parent
        root = member
        while parent[root] != root:
            root = parent[root]
        while parent[member] != root:
            parent[member], member = root, parent[member]
        return root


def hashed_split(cluster: str, settings: PublishSettings) -> str:
    """The split of a new cluster: a hash of its name, so that every run and machine agrees."""
    digest = hashlib.sha256(cluster.encode()).digest()
    share = int.from_bytes(digest[:8], "big") / _HASH_RANGE
    return _split_at(share, settings)


def refuse_leakage(rows: Iterable[tuple[str, str]]) -> None:
    """Check rows of (cluster id, split).

    :raises SplitLeakageError: if one cluster lies in two splits.
    """
    seen: dict[str, str] = {}
    for cluster, split in rows:
        other = seen.setdefault(cluster, split)
        if other != split:
            raise SplitLeakageError(cluster, sorted((other, split)))


def splits_by_time(
    clusters: Iterable[tuple[str, int]], rows: int, settings: PublishSettings
) -> Iterator[tuple[str, str]]:
    """The splits of clusters that have none yet: the newest are ``test``, those before them ``validation``.

    :param clusters: name and rows of each, the newest first.
    :param rows: rows of all of them. A cluster goes where the middle of its rows lies, so that shares are as near to
        what is asked for as whole clusters allow.
    """
    newer = 0
    for name, members in clusters:
        share = (newer + members / 2) / rows
        newer += members
        yield name, _split_at(share, settings)


def _split_at(share: float, settings: PublishSettings) -> str:
    if share < settings.test_fraction:
        return TEST
    return VALIDATION if share < settings.test_fraction + settings.validation_fraction else TRAIN


def split_of(shard_name: str) -> str:
    """The split that a shard of a dataset belongs to, by its name ``data/<split>-…``."""
    return shard_name.removeprefix(_DATA_FOLDER).partition("-")[0]
