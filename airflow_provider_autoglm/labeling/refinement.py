"""Moving each label's prototype to the mean of its confident texts, once, and sharing the result between tasks."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.corpus.parts import stage_folder, whole_corpus
from airflow_provider_autoglm.corpus.schema import require_columns
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import StorageError
from airflow_provider_autoglm.labeling.batching import isolate_failures
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.encoder import normalised
from airflow_provider_autoglm.labeling.labels import Vectors, certainty_of
from airflow_provider_autoglm.labeling.rows import texts_of
from airflow_provider_autoglm.settings.label import LabelSettings

log = logging.getLogger(__name__)

CONFIDENT_SHARE = 0.5
"""Share of the texts nearest to a label that move it: on AG News that half is right in 93 of 100 cases, all in 82."""


class _Prototypes(BaseModel):
    """What the tasks of a stage share: one vector a label."""

    model_config = ConfigDict(frozen=True)

    names: tuple[str, ...]
    texts: int
    vectors: tuple[tuple[float, ...], ...]


def refine_on_corpus(
    labeler: EmbeddingLabeler,
    source: str | Sequence[str],
    destination: str,
    settings: LabelSettings,
    *,
    storage: Storage | None = None,
) -> EmbeddingLabeler:
    """``labeler`` refined on ``refine_texts`` texts of the whole corpus, also where ``source`` is a part.

    The prototypes are kept beside the stage's corpus; the first task to finish them decides for all parts and
    retries, so that all label alike.

    :raises MissingColumnsError: if a corpus lacks ``doc_id`` or ``text``.
    :raises StorageError: if the kept prototypes cannot be read.
    """
    storage = storage or Storage.local()
    sources = [source] if isinstance(source, str) else source
    # The task verifies the shards of its own part; the sampled texts of the whole are only read.
    whole = open_sources(list(dict.fromkeys(map(whole_corpus, sources))), storage=storage, verify=False)
    work = digest_of([corpus.digest for corpus in whole], settings.model_dump(mode="json"))
    uri = f"{stage_folder(destination)}/_prototypes/{work}.json"
    found = _read(uri, storage)
    if found is None:
        found = _computed(labeler, whole, settings.refine_texts)
        try:
            storage.create(uri, found.model_dump_json().encode())
        except FileExistsError:
            found = _read(uri, storage) or found
    return labeler.with_prototypes(np.asarray(found.vectors, np.float32))


def refined(labeler: EmbeddingLabeler, vectors: Vectors) -> Vectors:
    """Prototypes moved to the mean of the more confident half of each label's texts.

    A label that is nearest to no text keeps its prototype. One step only: further ones drift away from what the
    label means.
    """
    certainty = certainty_of(labeler.classify(vectors).probabilities)
    prototypes = labeler.prototypes.copy()
    for number in range(len(prototypes)):
        rows = np.flatnonzero(certainty.best == number)
        if len(rows):
            by_score = rows[np.argsort(-certainty.score[rows], kind="stable")]
            confident = by_score[: math.ceil(CONFIDENT_SHARE * len(rows))]
            prototypes[number] = normalised(vectors[confident].mean(axis=0))
    return prototypes


def _computed(labeler: EmbeddingLabeler, corpora: Sequence[Corpus], max_texts: int) -> _Prototypes:
    encoder = labeler.encoder
    found = [np.zeros((0, encoder.dimensions), np.float32)]
    for texts in _sampled_texts(corpora, max_texts):
        vectors, failed = isolate_failures(encoder.encode, texts, encoder.dimensions)
        found.append(vectors[~failed & np.isfinite(vectors).all(axis=1)])
    vectors = np.concatenate(found)
    log.info("label: %d prototypes refined on %d texts", len(labeler.names), len(vectors))
    return _Prototypes(names=labeler.names, texts=len(vectors), vectors=refined(labeler, vectors).tolist())


def _sampled_texts(corpora: Sequence[Corpus], max_texts: int) -> Iterator[list[str]]:
    """The texts with the smallest ``doc_id``: a hash, so they are spread evenly over sources and labels."""
    ids = (doc_id for table in _tables(corpora, ["doc_id"]) for doc_id in table["doc_id"].to_pylist() if doc_id)
    sample = set(heapq.nsmallest(max_texts, ids))
    for table in _tables(corpora, ["doc_id", "text"]):
        rows = zip(table["doc_id"].to_pylist(), texts_of(table), strict=True)
        yield [text for doc_id, text in rows if doc_id in sample and text is not None]


def _tables(corpora: Sequence[Corpus], columns: Sequence[str]) -> Iterator[pa.Table]:
    for corpus in corpora:
        for table in corpus.iter_tables(columns):
            require_columns(corpus.uri, table, columns)
            yield table


def _read(uri: str, storage: Storage) -> _Prototypes | None:
    try:
        return _Prototypes.model_validate_json(storage.read(uri))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        cause = f"{error.errors()[0]['msg']}; delete the file and run the stage again"
        raise StorageError("read the label prototypes", uri, cause) from None
