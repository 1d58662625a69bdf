"""Vectors of texts for a classifier that is independent of the labeler's own decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from airflow_provider_autoglm.labeling.batching import isolate_failures
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.routing import routes
from airflow_provider_autoglm.settings.label import ANY_LANGUAGE, LabelSettings

CHARACTERS_READ = 1_000
"""Of each text: what it is about stands there, memory stays small, and an encoder reads twice as many texts."""

_TOKENS_READ = 128
_ENCODER_KINDS = ("embedding", "few_shot")
_BATCH = 256
_NGRAMS = (2, 3)
_BUCKETS = 2**16
_DIMENSIONS = 100
_SEED = 0


def vectors_of(texts: Sequence[str], settings: LabelSettings) -> Vectors:
    """A vector a text, float32[n, d]; one that could not be computed is not finite.

    Where one encoder has labelled all texts they are its own, else (several encoders, or none) they come from character
    n-grams, which read any script and need no model.

    :raises MissingExtraError: if torch is not installed and the labeler has an encoder.
    :raises ModelNotFoundError: if that encoder cannot be loaded.
    """
    model = _only_encoder(settings)
    return _from_ngrams(texts) if model is None else _from_encoder(texts, model, settings)


def _only_encoder(settings: LabelSettings) -> str | None:
    if settings.kind not in _ENCODER_KINDS:
        return None
    languages = [None if route == ANY_LANGUAGE else route for route in routes(settings)]
    models = {settings.model_for(language) for language in languages if settings.has_model_for(language)}
    return models.pop() if len(models) == 1 else None


def _from_encoder(texts: Sequence[str], model: str, settings: LabelSettings) -> Vectors:
    from airflow_provider_autoglm.labeling.network.text_network import TextNetwork

    tokens = min(settings.max_tokens, _TOKENS_READ)
    network = TextNetwork.load(model, settings.model_copy(update={"max_tokens": tokens, "mc_dropout": 0}))
    vectors = np.full((len(texts), network.dimensions), np.nan, np.float32)
    for first in range(0, len(texts), _BATCH):
        some = slice(first, first + _BATCH)
        computed, failed = isolate_failures(network.embed, texts[some], network.dimensions)
        computed[failed] = np.nan
        vectors[some] = computed
    return vectors


def _from_ngrams(texts: Sequence[str]) -> Vectors:
    """TF-IDF of hashed character n-grams, reduced to few dimensions (latent semantic analysis, Deerwester 1990)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.preprocessing import normalize

    hashing: Any = HashingVectorizer(
        analyzer="char_wb", ngram_range=_NGRAMS, n_features=_BUCKETS, alternate_sign=False, norm=None
    )
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(hashing.transform(texts))
    with np.errstate(invalid="ignore"):  # texts that are all the same have no variance to share out
        reduced = TruncatedSVD(min(_DIMENSIONS, len(texts) - 1), random_state=_SEED).fit_transform(weighted)
    vectors: Vectors = normalize(reduced).astype(np.float32)
    return vectors
