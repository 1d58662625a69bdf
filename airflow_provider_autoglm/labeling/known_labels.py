"""Texts whose label is known, for calibration: those of a corpus, or of the spot checks of a dataset version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.publish.splits import TRAIN, split_of
from airflow_provider_autoglm.corpus.schema import REVIEWED_SAMPLE, normalise_text, require_columns
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.labeling.documents import texts_of
from airflow_provider_autoglm.labeling.routing import rows_by_route
from airflow_provider_autoglm.settings.label import LabelSettings

MAX_ROWS = 5_000
"""More would cost time and make one temperature no better."""

_COLUMNS = ("text", "label", "labeler", "lang")


@dataclass(frozen=True)
class KnownLabels:
    """Texts and the numbers of their true classes."""

    texts: Sequence[str]
    truth: NDArray[np.intp]


def read_known_labels(uri: str, settings: LabelSettings, route: str, storage: Storage) -> KnownLabels:
    """The first ``MAX_ROWS`` texts of a route whose label is one of the settings'.

    Of a dataset version only texts count that people have labelled in a random spot check: what they corrected because
    it looked wrong says nothing of the rest. What the labeler has learned from is left out: its examples and, for a
    trained classifier, the split ``train``.

    :raises MissingColumnsError: if the corpus lacks ``text`` or ``label``.
    """
    numbers = {definition.name: number for number, definition in enumerate(settings.labels)}
    examples = _examples(settings, storage)
    corpus = Corpus.open(uri, storage=storage, verify=False)
    texts: list[str] = []
    truth: list[int] = []
    for table in _tables(corpus, settings, route):
        for text, label in zip(texts_of(table), table["label"].to_pylist(), strict=True):
            if text and label in numbers and normalise_text(text) not in examples:
                texts.append(text)
                truth.append(numbers[label])
        if len(texts) >= MAX_ROWS:
            break
    return KnownLabels(texts[:MAX_ROWS], np.array(truth[:MAX_ROWS], np.intp))


def _examples(settings: LabelSettings, storage: Storage) -> set[str]:
    """What a labeler of the kind ``few_shot`` has learned from, normalised."""
    if settings.kind != "few_shot":
        return set()
    examples = {normalise_text(text) for definition in settings.labels for text in definition.examples}
    if settings.examples:
        for table in Corpus.open(settings.examples, storage=storage, verify=False).iter_tables(["text"]):
            examples.update(normalise_text(text) for text in texts_of(table) if text)
    return examples


def _tables(corpus: Corpus, settings: LabelSettings, route: str) -> Iterator[pa.Table]:
    is_dataset = corpus.manifest.dataset is not None
    for stored in corpus.shards:
        if is_dataset and settings.kind == "classifier" and split_of(stored.shard.name) == TRAIN:
            continue
        for table in corpus.shard_tables(stored, _COLUMNS):
            require_columns(corpus.uri, table, ["text", "label"])
            checked = table.filter(pc.equal(table["labeler"], REVIEWED_SAMPLE)) if is_dataset else table
            for found, rows in rows_by_route(checked, settings):
                if found == route:
                    yield checked.take(np.flatnonzero(rows))
