"""Labels from a few examples of each: a logistic head on the vectors of an encoder that stays as it is."""

from __future__ import annotations

import importlib.util
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from airflow_provider_autoglm.corpus.schema import normalise_text, require_columns
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, MissingExtraError, SettingsError
from airflow_provider_autoglm.labeling.batching import isolate_failures
from airflow_provider_autoglm.labeling.documents import texts_of
from airflow_provider_autoglm.labeling.dropout import disagreement
from airflow_provider_autoglm.labeling.embedding import name_of
from airflow_provider_autoglm.labeling.labels import Labels
from airflow_provider_autoglm.labeling.logistic_head import LogisticHead, fit_logistic_head
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.labeling.text_encoder import TextEncoder
from airflow_provider_autoglm.settings.label import LabelSettings

log = logging.getLogger(__name__)

MOST_EXAMPLES = 500
"""Of one label; with more, a classifier trained on all of them is the better choice."""

_Example = tuple[str, int]


@dataclass(frozen=True)
class FewShotLabeler:
    """What ``head`` says of the vectors of ``encoder``; ``passes`` with dropout, if any, tell the uncertainty."""

    name: str
    names: tuple[str, ...]
    encoder: TextEncoder
    head: LogisticHead
    passes: int = 0

    @classmethod
    def load(cls, settings: LabelSettings, *, language: str | None = None, resources: Resources | None = None) -> Self:
        """Load the encoder and fit the head to the examples of the labels and of the corpus ``settings.examples``.

        :raises SettingsError: if a label has no example that the model can read, or no corpus of examples is there.
        :raises MissingExtraError: if torch or scikit-learn is not installed.
        :raises ModelNotFoundError: if the model cannot be loaded.
        :raises UnusableModelError: if it is no encoder of texts.
        :raises MissingColumnsError: if the corpus of examples lacks ``text`` or ``label``.
        """
        if importlib.util.find_spec("sklearn") is None:
            raise MissingExtraError("scikit-learn", "label")
        model = settings.model_for(language)
        encoder = TextEncoder.load(model, settings)
        examples = _examples(settings, (resources or Resources()).storage)
        _require_all(settings, examples)
        vectors, failed = isolate_failures(encoder.encode, [text for text, _ in examples], encoder.dimensions)
        usable = ~failed & np.isfinite(vectors).all(axis=1)
        classes = np.array([number for _, number in examples], np.intp)
        _require_all(settings, [example for example, is_usable in zip(examples, usable, strict=True) if is_usable])
        log.info("label: a head of %d labels fitted to %d examples", len(settings.labels), int(usable.sum()))
        return cls(
            name=name_of(settings, model),
            names=tuple(label.name for label in settings.labels),
            encoder=encoder,
            head=fit_logistic_head(vectors[usable], classes[usable]),
            passes=settings.mc_dropout,
        )

    def predict(self, texts: Sequence[str]) -> Labels:
        """Label ``texts``, in their order; a row the model broke on is not finite, one it cannot read abstains."""
        found = Labels(self.names, self.head.probabilities(self.encoder.encode(texts)), self.encoder.unknown(texts))
        if not self.passes:
            return found
        dropped = self.head.probabilities(self.encoder.encode(texts, passes=self.passes))
        return replace(found, uncertainty=disagreement(dropped))


def _examples(settings: LabelSettings, storage: Storage) -> list[_Example]:
    """Different texts and the numbers of their labels, the first ``MOST_EXAMPLES`` of each label.

    A text that is given for two labels counts for neither. All examples are gone through twice, so that no more than
    these are in memory and yet a contradiction is seen wherever it stands.
    """
    chosen: dict[str, _Example] = {}
    counts: Counter[int] = Counter()
    for text, number in _all_examples(settings, storage):
        read = normalise_text(text)
        if read not in chosen and counts[number] < MOST_EXAMPLES:
            chosen[read] = (text, number)
            counts[number] += 1
    contradicted = set()
    for text, number in _all_examples(settings, storage):
        read = normalise_text(text)
        if read in chosen and chosen[read][1] != number:
            contradicted.add(read)
    if contradicted:
        log.warning("label: %d texts are examples of two labels or more; they count for none", len(contradicted))
    return [example for read, example in chosen.items() if read not in contradicted]


def _all_examples(settings: LabelSettings, storage: Storage) -> Iterator[_Example]:
    for number, label in enumerate(settings.labels):
        for text in label.examples:
            yield text, number
    if not settings.examples:
        return
    numbers = {label.name: number for number, label in enumerate(settings.labels)}
    try:
        corpus = Corpus.open(settings.examples, storage=storage)
    except CorpusNotCommittedError as error:
        raise SettingsError([f"label.examples = {settings.examples!r}: {error}"]) from None
    for table in corpus.iter_tables(["text", "label"]):
        require_columns(corpus.uri, table, ["text", "label"])
        for given, name in zip(texts_of(table), table["label"].to_pylist(), strict=True):
            if given and name in numbers:
                yield given, numbers[name]


def _require_all(settings: LabelSettings, examples: Sequence[_Example]) -> None:
    shown = {number for _, number in examples}
    if missing := [label.name for number, label in enumerate(settings.labels) if number not in shown]:
        where = f" or put texts with the label into the corpus {settings.examples}" if settings.examples else ""
        raise SettingsError(
            [f"labels: kind few_shot has no usable example of {', '.join(missing)}; add some to `examples`{where}"]
        )
