"""The texts of a table, as labelers take them."""

from __future__ import annotations

import pyarrow as pa


def texts_of(table: pa.Table) -> list[str | None]:
    """The column ``text``; bytes that are no UTF-8 become lone surrogates, which every tokenizer refuses."""
    values = table["text"].cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "surrogateescape") for value in values]
