"""What layers of 8 bits do beside multiplying: inputs to 8 bits and products back to 32, each in one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.compile_cache import kernel

_MOST = 127
_STEPS = 255
_SMALLEST_RANGE = 1e-12
_ALL_BUT_SIGN = 0x7FFFFFFF
_SIGN_BIT = 31


@kernel
def round_tokens(
    tokens: NDArray[np.float32],
    rounded: NDArray[np.int8],
    steps: NDArray[np.float32],
    middles: NDArray[np.float32],
) -> None:
    """Round each group of values of each token to 8 bits over its own range: x ≈ middle + step · rounded.

    :param tokens: float32[n, g · w]; a group that is not finite gets a step that is not.
    :param rounded: int8[g, n, w], written.
    :param steps: float32[n, g], written, like ``middles``.
    """
    groups, count, width = rounded.shape
    # Integers that are ordered as the floats of these bits, and NaN beyond all others: unlike a comparison of floats,
    # one of integers is vectorised.
    bits = tokens.view(np.int32)
    ends = np.empty(2, np.int32)
    for token in range(count):
        for group in range(groups):
            values = tokens[token, group * width : (group + 1) * width]
            places = bits[token, group * width : (group + 1) * width]
            least = _ordered(places[0])
            most = least
            for n in range(width):
                place = _ordered(places[n])
                least = min(least, place)
                most = max(most, place)
            ends[0], ends[1] = _ordered(least), _ordered(most)
            low, high = ends.view(np.float32)
            step = max(high - low, np.float32(_SMALLEST_RANGE)) / np.float32(_STEPS)
            middle = low + step * np.float32(_MOST + 1)
            steps[token, group], middles[token, group] = step, middle
            inverse = np.float32(1) / step
            row = rounded[group, token]
            for n in range(width):
                value = np.rint((values[n] - middle) * inverse)
                row[n] = np.int32(min(max(value, np.float32(-_MOST - 1)), np.float32(_MOST)))


@kernel
def _ordered(bits: np.int32) -> np.int32:
    """The bits of a float as an integer of the same order, and back."""
    return bits ^ ((bits >> np.int32(_SIGN_BIT)) & np.int32(_ALL_BUT_SIGN))


@kernel
def restore(
    products: NDArray[np.int32],
    steps: NDArray[np.float32],
    middles: NDArray[np.float32],
    scales: NDArray[np.float32],
    sums: NDArray[np.float32],
    outputs: NDArray[np.float32],
) -> None:
    """Add what the products of all groups stand for to ``outputs``: step · scale · product + middle · sum.

    :param products: int32[g, n, o] of the rounded tokens and weights of each group.
    :param steps: float32[n, g] of the tokens, like ``middles``.
    :param scales: float32[g, o] of the weights, like ``sums``, those of a group's weights.
    :param outputs: float32[n, o].
    """
    groups, count, width = products.shape
    for token in range(count):
        row = outputs[token]
        for group in range(groups):
            step, middle = steps[token, group], middles[token, group]
            product, scale, total = products[group, token], scales[group], sums[group]
            for n in range(width):
                row[n] += np.float32(product[n]) * step * scale[n] + middle * total[n]
