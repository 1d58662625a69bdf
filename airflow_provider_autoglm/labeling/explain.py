"""The words that carried a labeler's decision."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.exceptions import UnexplainedLabelError
from airflow_provider_autoglm.labeling.calibration import CalibratedLabeler
from airflow_provider_autoglm.labeling.classifier import ClassifierLabeler
from airflow_provider_autoglm.labeling.gradients import Score, WordGradient, word_gradients
from airflow_provider_autoglm.labeling.labels import Labeler, Labels
from airflow_provider_autoglm.labeling.llm.labeler import LlmLabeler
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from airflow_provider_autoglm.labeling.nli import NliLabeler
from airflow_provider_autoglm.labeling.words import chunks_of, words_of

MOST_CHARS = 2_000
"""What is explained of a text: its beginning, up to here."""

_MOST_CHUNKS = 64
_SMALLEST = float(np.finfo(np.float32).tiny)
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class WordWeight:
    """A word, the characters ``start`` to before ``end`` of its text, and what it adds to the label's log-odds.

    A weight below zero speaks against the label.
    """

    word: str
    start: int
    end: int
    weight: float


def explain(labeler: Labeler, text: str, label: str | None = None) -> tuple[WordWeight, ...]:
    """What each word of ``text`` adds to the log-odds of ``label`` (default: the one that ``labeler`` gives), in order.

    Words of the first 2,000 characters that the labeler reads; of scripts without spaces letters, or the tokens of the
    model. With a network that has gradients these are integrated gradients; of a zero-shot classifier the odds are
    those of the label's best statement. Else words are left out and tried alone. Scores are taken before calibration.
    The same each time.

    :raises MissingExtraError: if captum is not installed, which gradients need.
    :raises UnexplainedLabelError: for a language model, which costs money to ask, for a label that the labeler does not
        know, or if its model breaks on the text.
    """
    text = _LONE_SURROGATES.sub("\ufffd", text[:MOST_CHARS])
    if isinstance(labeler, CalibratedLabeler):
        labeler = labeler.labeler
    if isinstance(labeler, LlmLabeler):
        raise UnexplainedLabelError(labeler.name, "a language model is not asked again, which would cost money")
    if isinstance(labeler, ClassifierLabeler | NliLabeler):
        network = labeler.network
        if isinstance(network, TextNetwork) and _has_gradients(network):
            return _by_gradients(labeler, network, text, label)
    return _by_occlusion(labeler, text, label)


def _by_occlusion(labeler: Labeler, text: str, label: str | None) -> tuple[WordWeight, ...]:
    """The mean of what the label loses without a word and what it gains when the word stands alone.

    Of long texts, runs of words: 64 of them. Leaving out alone (Zeiler and Fergus, Visualizing and Understanding
    Convolutional Networks, ECCV 2014, arXiv 1311.2901; of words Li et al., 2016, arXiv 1612.08220) misses words that
    others make up for, "recipe" beside "onions". The two are a word's contributions as the last one and as the first
    one, the ends of what Shapley's value averages (Strumbelj and Kononenko, Knowledge and Information Systems, 2014).
    """
    spans = chunks_of(words_of(text), _MOST_CHUNKS)
    without = [text[: span.start] + text[span.end :] for span in spans]
    alone = [text[span.start : span.end] for span in spans]
    found = _predicted(labeler, [text, *without, "", *alone])
    odds = _log_odds(found, _column(labeler, found, label))
    of_text, of_without = odds[0], odds[1 : len(spans) + 1]
    of_nothing, of_alone = odds[len(spans) + 1], odds[len(spans) + 2 :]
    weights = (of_text - of_without + of_alone - of_nothing) / 2
    return _worded(text, map(WordGradient, spans, weights.tolist()))


def _by_gradients(
    labeler: ClassifierLabeler | NliLabeler, network: TextNetwork, text: str, label: str | None
) -> tuple[WordWeight, ...]:
    number = _column(labeler, _predicted(labeler, [text]), label)
    if isinstance(labeler, NliLabeler):
        statements = labeler.statements[number]
        logits = network.logits([text] * len(statements), statements)[:, labeler.entailment]
        statement = statements[int(np.argmax(logits))]
        found = word_gradients(network, text, _log_odds_of(labeler.entailment), pair=statement)
    else:
        column = int(labeler.columns[number])
        if column < 0:
            raise UnexplainedLabelError(labeler.name, f"its model has no class for the label {labeler.names[number]!r}")
        found = word_gradients(network, text, _log_odds_of(column, is_independent=labeler.is_independent))
    return _worded(text, found)


def _has_gradients(network: TextNetwork) -> bool:
    """Whether it can be differentiated, and its tokenizer tells where a token stands."""
    import torch

    is_quantised = any(weights.dtype == torch.int8 for weights in network.module.buffers())
    return not is_quantised and bool(network.tokenizer.is_fast)


def _log_odds_of(column: int, *, is_independent: bool = False) -> Score:
    def score(logits: Any) -> Any:
        import torch

        if is_independent:
            return logits[:, column]
        others = torch.cat([logits[:, :column], logits[:, column + 1 :]], dim=1)
        return logits[:, column] - others.logsumexp(dim=1)

    return score


def _predicted(labeler: Labeler, texts: list[str]) -> Labels:
    found = labeler.predict(texts)
    if not np.isfinite(found.probabilities).all():
        raise UnexplainedLabelError(labeler.name, "the model gives no finite numbers for the text, or for parts of it")
    return found


def _column(labeler: Labeler, found: Labels, label: str | None) -> int:
    """The class to explain; the first row is the text."""
    if label is None:
        return int(np.argmax(found.probabilities[0]))
    if label not in found.names:
        raise UnexplainedLabelError(labeler.name, f"it does not know the label {label!r}")
    return found.names.index(label)


def _log_odds(found: Labels, column: int) -> NDArray[np.float64]:
    p = found.probabilities.astype(np.float64)
    others = np.delete(p, column, axis=1).sum(axis=1)
    odds: NDArray[np.float64] = np.log(np.maximum(p[:, column], _SMALLEST)) - np.log(np.maximum(others, _SMALLEST))
    return odds


def _worded(text: str, found: Iterable[WordGradient]) -> tuple[WordWeight, ...]:
    return tuple(WordWeight(text[span.start : span.end], *span, weight) for span, weight in found)
