"""Batches that grow smaller when memory runs out, instead of failing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.batching import batches

log = logging.getLogger(__name__)

_SIGNS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "bad_alloc",
    "could not create a primitive",  # what oneDNN says when it gets no memory
)

Batch = NDArray[np.intp]


class TokenBudget:
    """How many tokens of a batch a model has been seen to have memory for; shared by all that run that model."""

    def __init__(self) -> None:
        self.limit: int | None = None

    def run(self, lengths: Sequence[int], max_tokens: int, compute: Callable[[Batch], None]) -> None:
        """Call ``compute`` with the positions of texts, in batches of at most ``max_tokens`` tokens with padding.

        A batch that memory does not suffice for is repeated in halves, and no later one is larger than those.

        :raises MemoryError, RuntimeError: what torch raises if one text alone does not fit.
        """
        waiting = list(batches(lengths, self._within(max_tokens)))[::-1]
        while waiting:
            batch = waiting.pop()
            if not _fits(compute, batch):
                self._halve(len(batch) * int(lengths[batch[-1]]))
                rest = np.concatenate([batch, *reversed(waiting)])
                lengths_of_rest = [lengths[row] for row in rest]
                waiting = [rest[part] for part in batches(lengths_of_rest, self._within(max_tokens))][::-1]

    def _within(self, max_tokens: int) -> int:
        return max_tokens if self.limit is None else min(max_tokens, self.limit)

    def _halve(self, tokens: int) -> None:
        self.limit = max(1, tokens // 2)
        log.warning(
            "out of memory on a batch of %d tokens: going on with %d, see label.batch_tokens", tokens, self.limit
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory was not enough: torch has a type for it on GPUs only."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
    )


def _fits(compute: Callable[[Batch], None], batch: Batch) -> bool:
    # Its own function: when it returns, the traceback that holds the tensors of the failed attempt is gone.
    try:
        compute(batch)
    except Exception as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
        return False
    return True
