"""What is looked at of documents that have a candidate: their texts, once, and what decides which of them is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel
from airflow_provider_autoglm.corpus.dedupe.prints import is_document
from airflow_provider_autoglm.corpus.dedupe.shingles import TextSets, sets_of
from airflow_provider_autoglm.corpus.dedupe.threads import in_threads
from airflow_provider_autoglm.corpus.dedupe.tokens import batches_of, characters, composed
from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE, require_columns
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import SettingsError, UnusableColumnError
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

TEXT_HASH = ("text_hash_high", "text_hash_low")
FACTS = pa.schema(
    [
        ("doc_id", pa.large_string()),
        *((half, pa.uint64()) for half in TEXT_HASH),
        ("length", pa.int64()),
        ("is_labelled", pa.bool_()),
        ("rank", pa.float64()),
    ]
)
"""A row a document. Hash (128 bits) and ``length`` in characters are those of the text as ``schema.normalise_text`` has
it: texts that read the same have the same. The document with the larger ``rank`` is kept, null comes last."""

_REQUIRED = ("doc_id", "text")
_LAST_SPACE = 0x3000
_IS_SPACE = np.array([chr(code).isspace() for code in range(_LAST_SPACE + 1)])
_SPACE = 0x20


class Look(NamedTuple):
    """What is seen of some documents: a row of :data:`FACTS` and the set of 4-grams of each."""

    facts: pa.Table
    sets: TextSets


def look_at(documents: pa.Table, settings: DedupeSettings) -> Look:
    """Facts and sets of documents, of which none lacks ``doc_id`` or ``text``."""
    texts = composed(documents["text"].to_pylist())
    hashes, lengths, sets = [np.empty((2, 0), np.uint64)], [np.empty(0, np.int64)], [sets_of([])]
    for batch in batches_of(texts):
        every = characters(batch)
        high, low, length = _text_hashes(every.codes, every.bounds, _IS_SPACE)
        hashes.append(np.stack((high, low)))
        lengths.append(length)
        sets.append(sets_of(batch))
    length = np.concatenate(lengths)
    columns = [
        documents["doc_id"].cast(pa.large_string()),
        *np.concatenate(hashes, axis=1),
        length,
        _is_labelled(documents),
        _rank(documents, length, settings),
    ]
    return Look(pa.table(columns, schema=FACTS), TextSets.joined(sets))


def read_looks(sources: Sequence[Corpus], is_compared: NDArray[np.bool_], settings: DedupeSettings) -> Iterator[Look]:
    """Look at the documents that are compared, in order, a page of the corpus at a time."""
    return in_threads(lambda page: look_at(page, settings), _pages(sources, is_compared, settings))


def check_columns(sources: Sequence[Corpus], settings: DedupeSettings) -> None:
    """Look at the schemas of all shards.

    :raises MissingColumnsError: if a shard lacks ``doc_id``, ``text`` or a column that ``keep`` needs.
    :raises UnusableColumnError: if ``doc_id`` or ``text`` holds no strings.
    :raises SettingsError: if ``keep_column`` is neither a number nor a time.
    """
    for corpus in sources:
        for schema in corpus.schemas():
            require_columns(corpus.uri, schema.empty_table(), [*_REQUIRED, *_rank_column(settings)])
            for name in _REQUIRED:
                kind = schema.field(name).type
                if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
                    raise UnusableColumnError(corpus.uri, name, str(kind), "strings")
            _rank(schema.empty_table(), np.empty(0, np.int64), settings)


def _pages(sources: Sequence[Corpus], is_compared: NDArray[np.bool_], settings: DedupeSettings) -> Iterator[pa.Table]:
    seen = 0
    for corpus in sources if is_compared.any() else ():
        for table in corpus.iter_tables([*_REQUIRED, *_rank_column(settings), "label_source"]):
            documents = table.filter(is_document(table))
            yield documents.filter(pa.array(is_compared[seen : seen + documents.num_rows]))
            seen += documents.num_rows


def _rank_column(settings: DedupeSettings) -> list[str]:
    column = {"longest": None, "earliest": "fetched_at", "column": settings.keep_column}[settings.keep]
    return [] if column is None else [column]


def _is_labelled(documents: pa.Table) -> pa.Array | pa.ChunkedArray:
    if "label_source" not in documents.column_names:
        return pa.array(np.zeros(documents.num_rows, np.bool_))
    # Tables of others hold a column of nulls alone as one without a type, or strings as a dictionary.
    sources = documents["label_source"].cast(pa.string())
    return pc.is_in(sources, pa.array(LABELLED_BY_PEOPLE, pa.string()))


def _rank(documents: pa.Table, length: NDArray[np.int64], settings: DedupeSettings) -> pa.Array | pa.ChunkedArray:
    if settings.keep == "longest":
        return pa.array(length.astype(np.float64))
    (name,) = _rank_column(settings)
    values = documents[name]
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        # Of a time only the order counts: microseconds since 1970 are whole numbers of a float until the year 2255.
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    elif not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_null(values.type)):
        found = f"column {name} has type {values.type}, but numbers, dates or timestamps are needed"
        raise SettingsError([f"dedupe.keep = {settings.keep}: {found}"])
    ranks = values.cast(pa.float64(), safe=False)
    return pc.negate(ranks) if settings.keep == "earliest" else ranks


@kernel
def _text_hashes(
    codes: NDArray[np.uint32], bounds: NDArray[np.int64], is_space: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """Two hashes and the length of each text, with runs of white space folded to one space and none at its ends."""
    texts = bounds.size - 1
    high, low, lengths = np.empty(texts, np.uint64), np.empty(texts, np.uint64), np.zeros(texts, np.int64)
    for text in range(texts):
        one, other = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
        is_gap = False
        for position in range(bounds[text], bounds[text + 1]):
            code = codes[position]
            if code < np.uint32(is_space.size) and is_space[code]:
                is_gap = lengths[text] > 0
                continue
            if is_gap:
                one, other = _mixed(one, other, np.uint64(_SPACE))
                lengths[text] += 1
                is_gap = False
            one, other = _mixed(one, other, np.uint64(code))
            lengths[text] += 1
        high[text], low[text] = one, other
    return high, low, lengths


@kernel
def _mixed(one: np.uint64, other: np.uint64, code: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Take a character into both hashes; each step is a bijection (multiply and xor-shift, as in SplitMix64)."""
    one = (one ^ code) * np.uint64(0xBF58476D1CE4E5B9)
    other = (other + code + np.uint64(1)) * np.uint64(0x94D049BB133111EB)
    return one ^ (one >> np.uint64(31)), other ^ (other >> np.uint64(29))
