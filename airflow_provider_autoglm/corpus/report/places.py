"""Where a row of a corpus lies, so that few rows can be chosen by small columns and read alone."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa

from airflow_provider_autoglm.corpus.store import Corpus, Kind, StoredShard


class Place(NamedTuple):
    """A row of a shard."""

    shard: StoredShard
    row: int


class _Ordered(Protocol):
    def __lt__(self, other: Self, /) -> bool: ...


_OrderedT = TypeVar("_OrderedT", bound=_Ordered)


def keep_first(choices: list[_OrderedT], choice: _OrderedT, limit: int) -> None:
    """Add ``choice`` if it is one of the ``limit`` first in order; of copies one is enough."""
    if len(choices) >= limit and not (choices and choice < choices[-1]):
        return
    if choice not in choices:
        insort(choices, choice)
        del choices[limit:]


def row_groups(corpus: Corpus, kind: Kind, columns: Sequence[str]) -> Iterator[tuple[Place, pa.Table]]:
    """The row groups of all shards, each with the place of its first row; columns that a shard lacks are left out."""
    for shard in corpus.stored(kind):
        row = 0
        for table in corpus.shard_tables(shard, columns):
            yield Place(shard, row), table
            row += table.num_rows


def rows_at(corpus: Corpus, places: Iterable[Place], columns: Sequence[str]) -> dict[Place, dict[str, Any]]:
    """Those of ``columns`` that there are of the rows at ``places``; a row group is read once and held alone."""
    rows_of: defaultdict[StoredShard, set[int]] = defaultdict(set)
    for place in places:
        rows_of[place.shard].add(place.row)
    found = {}
    for shard, numbers in rows_of.items():
        rows = sorted(numbers)
        table = corpus.shard_rows(shard, np.array(rows))
        wanted = table.select([name for name in columns if name in table.column_names])
        for row, values in zip(rows, wanted.to_pylist(), strict=True):
            found[Place(shard, row)] = values
    return found
