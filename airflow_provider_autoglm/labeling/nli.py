"""Labels by entailment: a text belongs to the label whose statement follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling.dropout import disagreement
from airflow_provider_autoglm.labeling.embedding import name_of
from airflow_provider_autoglm.labeling.labels import Labels, Vectors
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from airflow_provider_autoglm.labeling.scores import softmax
from airflow_provider_autoglm.labeling.unknown import unknown_to
from airflow_provider_autoglm.settings.label import LabelSettings

_ENTAILMENT = "entail"
_PAIRS_AT_ONCE = 4_096
_FEWEST_CHARACTERS = 100_000
_CHARACTERS_A_TOKEN = 16


@dataclass(frozen=True)
class NliLabeler:
    """Softmax over each label's best entailment logit.

    Yin, Hay and Roth, Benchmarking Zero-shot Text Classification, EMNLP 2019 (arXiv 1909.00161).

    ``statements`` holds the hypotheses of each of ``names``; ``entailment`` is the column of the network's logits that
    says that one follows from the text. A text of words that the model does not know abstains.
    """

    name: str
    names: tuple[str, ...]
    statements: tuple[tuple[str, ...], ...]
    network: TextNetwork
    entailment: int
    passes: int = 0

    @classmethod
    def load(cls, settings: LabelSettings, *, language: str | None = None) -> Self:
        """Load a model of natural language inference, with two classes or three.

        :raises MissingExtraError: if torch is not installed.
        :raises ModelNotFoundError: if the model cannot be loaded.
        :raises UnusableModelError: if it has no class for entailment.
        """
        model = settings.model_for(language)
        network = TextNetwork.load(model, settings, head="classifier")
        return cls(
            name=name_of(settings, model),
            names=tuple(label.name for label in settings.labels),
            statements=tuple(
                tuple(settings.hypothesis.replace("{}", phrase) for phrase in label.descriptions)
                for label in settings.labels
            ),
            network=network,
            entailment=_entailment(model, network.classes),
            passes=settings.mc_dropout,
        )

    def predict(self, texts: Sequence[str]) -> Labels:
        """Label ``texts``, in their order; a row the model broke on is not finite."""
        found = Labels(self.names, softmax(self._scores(texts)), unknown_to(self.network.tokenizer, texts))
        if not self.passes:
            return found
        return replace(found, uncertainty=disagreement(softmax(self._scores(texts, passes=self.passes))))

    def _scores(self, texts: Sequence[str], *, passes: int = 0) -> Vectors:
        """Each label's best entailment logit: float32[n, labels]; with ``passes`` float32[passes, n, labels]."""
        flat = [statement for statements in self.statements for statement in statements]
        # The tokens of all pairs of a thousand texts would fill gigabytes.
        at_once = max(1, _PAIRS_AT_ONCE // len(flat))
        blocks = [texts[first : first + at_once] for first in range(0, len(texts), at_once)] or [texts]
        by_text = np.concatenate([self._entailments(block, flat, passes) for block in blocks], axis=-2)
        first_of_label = np.cumsum([0, *map(len, self.statements[:-1])])
        best: Vectors = np.maximum.reduceat(by_text, first_of_label, axis=-1)
        return best

    def _entailments(self, texts: Sequence[str], flat: Sequence[str], passes: int) -> Vectors:
        """The entailment logit of each text with each statement: float32[…, n, statements]."""
        # Each text is tokenised as often as there are statements, and some hold next to no token that counts.
        longest = max(_FEWEST_CHARACTERS, _CHARACTERS_A_TOKEN * self.network.max_tokens)
        premises = [text[:longest] for text in texts for _ in flat]
        logits = self.network.logits(premises, [*flat] * len(texts), passes=passes)[..., self.entailment]
        return logits.reshape(*logits.shape[:-1], len(texts), len(flat))


def _entailment(model: str, classes: Sequence[str]) -> int:
    for number, name in enumerate(classes):
        if name.lower().startswith(_ENTAILMENT):
            return number
    raise UnusableModelError(
        model, f"none of its classes ({', '.join(classes)}) is entailment, so it is no zero-shot classifier"
    )
