"""Integrated gradients of a transformer: how much each word of a text adds to what the network says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from airflow_provider_autoglm.exceptions import MissingExtraError
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork, one_thread
from airflow_provider_autoglm.labeling.words import Span, units_of

Score = Callable[[Any], Any]
"""Of a tensor of logits [n, classes], one number for each row."""

_FEWEST_STEPS, _MOST_STEPS = 16, 128
_MAX_ERROR = 0.02
_ROWS_AT_ONCE = 16


class WordGradient(NamedTuple):
    """A word and what it adds to the score."""

    span: Span
    weight: float


def word_gradients(network: TextNetwork, text: str, score: Score, *, pair: str | None = None) -> list[WordGradient]:
    """The words of ``text`` that the network reads, in order, and how much each adds to ``score``.

    The weights, with those of white space, sum up to the difference between the score of the text and that of the same
    text with all its tokens masked (``pair``, the second sequence, stays). The path between the two is walked in 16
    steps, and in up to 128 where the sum is off by more than 2 %.

    Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017 (arXiv 1703.01365).

    :param text: without lone surrogates.
    :raises MissingExtraError: if captum is not installed.
    """
    given = (text,) if pair is None else (text, pair)
    encoded = network.tokenizer(
        *given, truncation="only_first", max_length=network.max_tokens, return_offsets_mapping=True, return_tensors="pt"
    )
    spans = [Span(*offsets) for offsets in encoded.pop("offset_mapping")[0].tolist()]
    of_text = [number for number, sequence in enumerate(encoded.sequence_ids(0)) if sequence == 0]
    if not of_text:
        return []
    weights = _token_weights(network, encoded, of_text, score)
    return _by_word(text, [spans[number] for number in of_text], weights[of_text].tolist())


def _token_weights(network: TextNetwork, encoded: Any, of_text: Sequence[int], score: Score) -> Any:
    """One weight a token: float64[tokens]."""
    try:
        from captum.attr import LayerIntegratedGradients
    except ImportError:
        raise MissingExtraError("captum", "label") from None
    more = {name: values.to(network.device) for name, values in encoded.items()}
    ids = more.pop("input_ids")
    masked = ids.clone()
    masked[0, of_text] = _silent_token(network.tokenizer)

    def scores(some: Any) -> Any:
        rows = {name: values.expand(len(some), -1) for name, values in more.items()}
        return score(network.module(input_ids=some, **rows).logits)

    gradients = LayerIntegratedGradients(scores, network.module.get_input_embeddings())
    steps = _FEWEST_STEPS
    with one_thread():
        while True:
            found, error = gradients.attribute(
                ids, masked, n_steps=steps, internal_batch_size=_ROWS_AT_ONCE, return_convergence_delta=True
            )
            total = float(found.sum() - error)
            if steps >= _MOST_STEPS or abs(float(error)) <= _MAX_ERROR * max(1.0, abs(total)):
                return found.sum(dim=-1)[0].detach().double().cpu().numpy()
            steps *= 2


def _silent_token(tokenizer: Any) -> int:
    """The token that says nothing: the mask, which unlike padding moves no position."""
    candidates = (tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id, 0)
    return next(int(token) for token in candidates if token is not None)


def _by_word(text: str, tokens: Sequence[Span], weights: Sequence[float]) -> list[WordGradient]:
    """Sum up tokens of one word; a token of several letters of a script without spaces is a word."""
    unit_of = np.full(len(text) + 1, -1)
    for number, unit in enumerate(units_of(text)):
        unit_of[unit.start : unit.end] = number
    found: list[WordGradient] = []
    last = -1
    for token, weight in zip(tokens, weights, strict=True):
        covered = np.flatnonzero(unit_of[token.start : token.end] >= 0) + token.start
        if not len(covered):
            continue
        span = Span(int(covered[0]), int(covered[-1]) + 1)
        if found and unit_of[span.start] == last:
            before = found.pop()
            span = Span(before.span.start, max(before.span.end, span.end))
            found.append(WordGradient(span, before.weight + weight))
        else:
            found.append(WordGradient(span, weight))
        last = int(unit_of[span.end - 1])
    return found
