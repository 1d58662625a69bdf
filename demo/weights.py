"""Which share of the requests a gateway gave to which version, over time, and as a chart of characters."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import requests

_EVERY_S = 0.5
_TIMEOUT_S = 5.0
_ALL = 100
_LEVELS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 60


@dataclass(frozen=True)
class WeightSample:
    """Percentages by version at ``at``, in seconds since the epoch; empty before there is a champion."""

    at: float
    weights: Mapping[str, int]


class WeightSampler:
    """Looks at ``GET /v1/routes`` of the gateway at ``url`` every half second, as long as the block runs.

    It is the gateway's own view: the weight of a challenger is 0 from the moment in which its breaker opens.
    """

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/routes"
        self._is_over = threading.Event()
        self._samples: list[WeightSample] = []
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        if error is None:
            self._thread.join()

    def samples(self) -> list[WeightSample]:
        """All samples so far; none of the moments in which the gateway did not answer."""
        return list(self._samples)

    def _look(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._is_over.wait(_EVERY_S):
                try:
                    status = session.get(self._url, timeout=_TIMEOUT_S).json()
                except (requests.RequestException, ValueError):
                    continue
                self._samples.append(WeightSample(time.time(), weights_of(status)))


def weights_of(status: Mapping[str, Any]) -> dict[str, int]:
    """The percentages in what ``GET /v1/routes`` answers."""
    if status.get("answering") is None:
        return {}
    weight = int(status["effective_weight"])
    shares = {str(status["answering"]): _ALL - weight}
    if status.get("challenger") is not None:
        shares[str(status["challenger"])] = weight
    return shares


def changes(samples: Sequence[WeightSample]) -> list[WeightSample]:
    """The samples that differ from the one before."""
    return [
        sample
        for before, sample in zip([None, *samples], samples, strict=False)
        if before is None or before.weights != sample.weights
    ]


def chart_lines(
    samples: Sequence[WeightSample], marks: Mapping[str, Sequence[float]], *, columns: int = _COLUMNS
) -> Iterator[str]:
    """One line a version over the time of all samples; a column shows the largest share in its time.

    :param marks: by version, when (seconds since the epoch) a breaker took it out of traffic: shown as ``x``, since it
        may have had its share for less than the time between two samples.
    """
    if not samples:
        yield "Weights over time: the gateway told none"
        return
    start, seconds = samples[0].at, samples[-1].at - samples[0].at
    width = max(seconds / columns, _EVERY_S)

    def column(at: float) -> int:
        return max(0, min(columns - 1, int((at - start) / width)))

    shares: dict[str, list[int]] = defaultdict(lambda: [0] * columns)
    for sample in samples:
        for version, weight in sample.weights.items():
            share = shares[version]
            share[column(sample.at)] = max(share[column(sample.at)], weight)
    yield f"Weights over time ({seconds:.0f} s, a column is {width:.1f} s, x: its breaker opened)"
    for version in sorted({*shares, *marks}):
        bar = [_level(share) for share in shares[version]]
        for at in marks.get(version, ()):
            bar[column(at)] = "x"
        yield f"  version {version:<4} {''.join(bar).rstrip()}"


def _level(weight: int) -> str:
    return _LEVELS[-(-weight * (len(_LEVELS) - 1) // _ALL)]
