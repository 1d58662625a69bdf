"""Reading, shingling and writing that the peers have in common: the characters and 4-grams that SimHash looks at."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WORD_CHARACTERS = re.compile(r"[\w\u4e00-\u9fcc]+")
CHARACTERS_OF_A_GRAM = 4


def read(source: str, columns: list[str] | None = None) -> pa.Table:
    """The documents of a folder of shards in the order of their numbers."""
    table = pq.read_table(source, columns=columns and [*columns, "url"])
    return table.take(pc.sort_indices(table["url"].cast(pa.int64())))


def grams(text: str) -> list[str]:
    """The windows of four word characters of ``text``; a shorter one is one window, an empty one has none."""
    characters = "".join(WORD_CHARACTERS.findall(text.lower()))
    if len(characters) <= CHARACTERS_OF_A_GRAM:
        return [characters] if characters else []
    return [
        characters[start : start + CHARACTERS_OF_A_GRAM] for start in range(len(characters) - CHARACTERS_OF_A_GRAM + 1)
    ]


def write(table: pa.Table, kept_for: dict[int, int], destination: str) -> None:
    """Write the rows that stay to ``destination`` and to ``<destination>.removed`` who went for whom."""
    is_kept = [row not in kept_for for row in range(table.num_rows)]
    pq.write_table(table.filter(pa.array(is_kept)), destination, compression="zstd")
    pairs = {"row": list(kept_for), "kept": list(kept_for.values())}
    schema = pa.schema([("row", pa.int64()), ("kept", pa.int64())])
    pq.write_table(pa.table(pairs, schema), f"{destination}.removed")


def first_similar(candidates: Iterable[int], kept_for: dict[int, int]) -> Iterable[int]:
    """Those of ``candidates`` that have not gone themselves, in order."""
    return (row for row in sorted(candidates) if row not in kept_for)
