"""Batches of texts of like length, and finding the text that breaks one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.exceptions import AutoGLMError
from airflow_provider_autoglm.labeling.labels import Vectors

log = logging.getLogger(__name__)


def batches(lengths: Sequence[int], max_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Positions of texts, shortest first, in batches of at most ``max_tokens`` tokens with padding.

    ``lengths`` counts the tokens of each text. A text longer than ``max_tokens`` is a batch of its own.
    """
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable")
    first = 0
    for position in range(1, len(order) + 1):
        is_last = position == len(order)
        # Sorted by length, so the newest text is the longest: all others are padded to it.
        if is_last or (position - first + 1) * lengths[order[position]] > max_tokens:
            yield order[first:position]
            first = position


def isolate_failures(
    compute: Callable[[Sequence[str]], Vectors], texts: Sequence[str], width: int
) -> tuple[Vectors, NDArray[np.bool_]]:
    """``compute`` a row of ``width`` numbers for each text, and which texts made it raise (their rows are zero).

    A failing call is halved until the failing text stands alone, so its neighbours are computed all the same.
    """
    values = np.zeros((len(texts), width), np.float32)
    failed = np.zeros(len(texts), np.bool_)
    pending = [(0, len(texts))] if texts else []
    while pending:
        first, end = pending.pop()
        try:
            values[first:end] = compute(texts[first:end])
        except AutoGLMError:
            raise  # no text is to blame
        except Exception as error:
            if end - first == 1:
                log.warning("a text of %d characters breaks the model: %s", len(texts[first]), type(error).__name__)
                failed[first] = True
            else:
                middle = (first + end) // 2
                pending += [(middle, end), (first, middle)]
    return values, failed
