"""Labels by likeness: a text belongs to the label whose description lies nearest in the space of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.encoder import SentenceEncoder, normalised
from airflow_provider_autoglm.labeling.labels import Labels, Vectors
from airflow_provider_autoglm.settings.label import LabelDefinition, LabelSettings

_HEX_DIGITS_IN_NAME = 8


@dataclass(frozen=True)
class EmbeddingLabeler:
    """Softmax over the cosine similarities of a text to one prototype a label.

    ``prototypes`` are vectors of length 1, in the order of ``names``; described or refined on texts.
    """

    name: str
    names: tuple[str, ...]
    encoder: SentenceEncoder
    prototypes: Vectors
    temperature: float

    @classmethod
    def load(cls, settings: LabelSettings, *, language: str | None = None) -> Self:
        """Load the model and describe each label by the mean of its phrases, or by its name if it has none.

        :raises MissingExtraError: if torch is not installed.
        :raises ModelNotFoundError: if the model cannot be loaded.
        :raises UnusableModelError: if it gives numbers that are not finite for the labels.
        """
        name = settings.model_for(language)
        model = models.load(name)
        encoder = SentenceEncoder(model, max_tokens=settings.max_tokens, batch_tokens=settings.batch_tokens)
        prototypes = np.stack([_described(label, encoder) for label in settings.labels])
        if not np.isfinite(prototypes).all():
            raise UnusableModelError(name, "its vectors of the labels are not finite numbers")
        return cls(
            name=name_of(settings, name),
            names=tuple(label.name for label in settings.labels),
            encoder=encoder,
            prototypes=prototypes,
            temperature=settings.temperature,
        )

    def predict(self, texts: Sequence[str]) -> Labels:
        """Label ``texts``, in their order; a row the model broke on is not finite."""
        return self.classify(self.encoder.encode(texts))

    def classify(self, vectors: Vectors) -> Labels:
        """Label texts by their vectors."""
        similarities = vectors.astype(np.float64) @ self.prototypes.T.astype(np.float64)
        logits = similarities / self.temperature
        odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return Labels(self.names, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32))

    def with_prototypes(self, prototypes: Vectors) -> Self:
        """The same labeler with other prototypes."""
        return replace(self, prototypes=prototypes)


def name_of(settings: LabelSettings, model: str) -> str:
    """Kind, model and the first digits of the settings' digest, as the column ``labeler`` shows it."""
    model = model.rstrip("/").rsplit("/", 1)[-1]
    return f"{settings.kind}/{model}@{digest_of(settings.model_dump(mode='json'))[:_HEX_DIGITS_IN_NAME]}"


def _described(label: LabelDefinition, encoder: SentenceEncoder) -> Vectors:
    return normalised(encoder.encode(label.phrases or (label.name,)).mean(axis=0))
