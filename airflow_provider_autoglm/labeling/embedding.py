"""Labels by likeness: a text belongs to the label whose description lies nearest in the space of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling.dropout import disagreement
from airflow_provider_autoglm.labeling.labels import Labels, Vectors
from airflow_provider_autoglm.labeling.network.text_network import normalised
from airflow_provider_autoglm.labeling.scores import softmax
from airflow_provider_autoglm.labeling.text_encoder import TextEncoder
from airflow_provider_autoglm.settings.label import LabelDefinition, LabelSettings

_HEX_DIGITS_IN_NAME = 8
_REGISTRY = "models:/"


@dataclass(frozen=True)
class EmbeddingLabeler:
    """Softmax over the cosine similarities of a text to one prototype a label.

    ``prototypes`` are vectors of any length, in the order of ``names``; described or refined on texts. ``center`` is
    taken off texts and prototypes before they are compared. A text less like every label than ``min_similarity``, or of
    words that the model does not know, abstains. ``passes`` with dropout, if any, tell the uncertainty.
    """

    name: str
    names: tuple[str, ...]
    encoder: TextEncoder
    prototypes: Vectors
    temperature: float
    min_similarity: float = 0.0
    passes: int = 0
    center: Vectors | None = None

    @classmethod
    def load(cls, settings: LabelSettings, *, language: str | None = None) -> Self:
        """Load the model and describe each label by the mean of its phrases, or by its name if it has none.

        :raises MissingExtraError: if torch is not installed.
        :raises ModelNotFoundError: if the model cannot be loaded.
        :raises UnusableModelError: if it gives numbers that are not finite for the labels, or is no encoder of texts.
        """
        name = settings.model_for(language)
        encoder = TextEncoder.load(name, settings)
        prototypes = np.stack([_described(label, encoder) for label in settings.labels])
        if not np.isfinite(prototypes).all():
            raise UnusableModelError(name, "its vectors of the labels are not finite numbers")
        return cls(
            name=name_of(settings, name),
            names=tuple(label.name for label in settings.labels),
            encoder=encoder,
            prototypes=prototypes,
            temperature=settings.temperature,
            min_similarity=settings.min_similarity,
            passes=settings.mc_dropout,
        )

    def predict(self, texts: Sequence[str]) -> Labels:
        """Label ``texts``, in their order; a row the model broke on is not finite."""
        similarities = self._similarities(self.encoder.encode(texts))
        abstained = self._are_unlike(similarities) | self.encoder.unknown(texts)
        found = Labels(self.names, self._probabilities(similarities), abstained)
        if not self.passes:
            return found
        dropped = self.encoder.encode(texts, passes=self.passes)
        return replace(found, uncertainty=disagreement(self._probabilities(self._similarities(dropped))))

    def classify(self, vectors: Vectors) -> Labels:
        """Label texts by their vectors, float32[n, d]."""
        similarities = self._similarities(vectors)
        return Labels(self.names, self._probabilities(similarities), self._are_unlike(similarities))

    def with_prototypes(self, prototypes: Vectors, center: Vectors | None = None) -> Self:
        """The same labeler with other prototypes, from which ``center`` has not been taken off yet.

        With a center, the mean of texts should keep its length: scaled to 1 it would lie beyond the texts.
        """
        return replace(self, prototypes=prototypes, center=center)

    def _similarities(self, vectors: Vectors) -> NDArray[np.float64]:
        """Cosines [..., labels]."""
        of_texts, of_labels = self._centred(vectors), self._centred(self.prototypes)
        return of_texts.astype(np.float64) @ of_labels.T.astype(np.float64)

    def _are_unlike(self, similarities: NDArray[np.float64]) -> NDArray[np.bool_]:
        unlike: NDArray[np.bool_] = similarities.max(axis=1, initial=-1.0) < self.min_similarity
        return unlike

    def _centred(self, vectors: Vectors) -> Vectors:
        return normalised(vectors if self.center is None else vectors - self.center)

    def _probabilities(self, similarities: NDArray[np.float64]) -> Vectors:
        return softmax(similarities / self.temperature)


def name_of(settings: LabelSettings, model: str) -> str:
    """Kind, model and the first digits of the settings' digest, as the column ``labeler`` shows it.

    Of a path and of a hub's model the last part stands there, of one in the registry name and version.
    """
    model = model.rstrip("/")
    model = model.removeprefix(_REGISTRY) if model.startswith(_REGISTRY) else model.rsplit("/", 1)[-1]
    return f"{settings.kind}/{model}@{digest_of(settings.model_dump(mode='json'))[:_HEX_DIGITS_IN_NAME]}"


def _described(label: LabelDefinition, encoder: TextEncoder) -> Vectors:
    return normalised(encoder.encode(label.descriptions).mean(axis=0))
