"""Whether a challenger fails more requests than the champion does over the same time.

The exact beta-binomial test of Lindon et al. (arXiv 2205.14762). If both were equally good, each error would hit the
challenger with a chance of ``s``, its share of the requests. ``e`` says how much better the errors fit a higher chance;
over all looks, however many, it exceeds ``1/alpha`` for a good challenger with a probability of at most ``alpha``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_autoglm.exceptions import MissingExtraError
from airflow_provider_autoglm.settings.rollout import RolloutSettings

try:
    from scipy.special import betaincc, betaln
except ImportError:
    raise MissingExtraError("scipy", "rollout") from None

Outcome = Literal["pass", "fail", "inconclusive"]

RULE = "beta-binomial test of errors"
_CONCENTRATIONS = (20.0, 200.0)  # how far above s the errors' share is looked for: widely, and closely
_SMALLEST_TAIL = 1e-250
_ALL_TRAFFIC_PERCENT = 100


@dataclass(frozen=True)
class Window:
    """Requests that were given to one side, and how many of them it failed."""

    requests: int = 0
    errors: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"{self.errors} errors in {self.requests} requests")


@dataclass(frozen=True)
class Step:
    """One step of a canary: what the champion (``baseline``) and the challenger (``canary``) did since it began."""

    weight_percent: int
    baseline: Window
    canary: Window


@dataclass(frozen=True)
class Judgement:
    """What the steps say of a challenger, in sentences; ``evidence`` holds rule, value, threshold and counts (JSON)."""

    outcome: Outcome
    reasons: tuple[str, ...]
    evidence: Mapping[str, Any]


def judge(steps: Sequence[Step], settings: RolloutSettings) -> Judgement:
    """Judge a challenger by its steps, oldest first.

    ``fail`` as soon as the evidence of all steps together exceeds ``1/alpha``, whatever the number of requests;
    ``pass`` if it does not and the newest step has ``min_requests`` of the challenger's; else ``inconclusive``. A step
    of 100 % has no champion to compare with: it passes by its number of requests and the evidence of earlier steps.
    """
    values = [log_evidence(step.baseline, step.canary) for step in steps]
    value, threshold = math.fsum(values), -math.log(settings.alpha)
    outcome, reasons = _outcome(steps, value, threshold, settings)
    evidence = {
        "rule": RULE,
        "value": value,
        "threshold": threshold,
        "unit": "natural logarithm of e",
        "alpha": settings.alpha,
        "min_requests": settings.min_requests,
        "steps": [_counts(step, log_e) for step, log_e in zip(steps, values, strict=True)],
    }
    return Judgement(outcome, reasons, evidence)


def log_evidence(baseline: Window, canary: Window) -> float:
    """The natural logarithm of ``e`` in one step; 0, no evidence, if only one side had requests or there is no error.

    Averaged over the priors Beta(k·s + ½, k·(1 - s)) above ``s``, for each k of ``_CONCENTRATIONS``.
    """
    requests = baseline.requests + canary.requests
    if canary.requests == 0 or baseline.requests == 0 or canary.errors + baseline.errors == 0:
        return 0.0
    s, rest = canary.requests / requests, baseline.requests / requests
    logs = [_log_e(k * s + 0.5, k * rest, s, rest, canary.errors, baseline.errors) for k in _CONCENTRATIONS]
    highest = max(logs)
    return highest + math.log(math.fsum(math.exp(log - highest) for log in logs) / len(logs))


def _log_e(a: float, b: float, s: float, rest: float, c: int, d: int) -> float:
    tails = _log_upper_tail(a + c, b + d, s, rest) - _log_upper_tail(a, b, s, rest)
    return float(betaln(a + c, b + d) - betaln(a, b)) + tails - c * math.log(s) - d * math.log(rest)


def _log_upper_tail(a: float, b: float, s: float, rest: float) -> float:
    """log P(X > s) for X ~ Beta(a, b) and rest = 1 - s, also where the probability is too small for a float."""
    tail = float(betaincc(a, b, s))
    if tail > _SMALLEST_TAIL:
        return math.log(tail)
    return b * math.log(rest) + a * math.log(s) - math.log(b) - float(betaln(a, b)) + _log_fraction(b, a, rest)


def _log_fraction(a: float, b: float, x: float) -> float:
    """log of the continued fraction of the incomplete beta function I_x(a, b) by Lentz' method; x below a/(a + b)."""
    tiny, precision = 1e-300, 1e-14
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    value, m = d, 0
    change = math.inf
    while abs(change - 1.0) > precision:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / (1.0 + term * d or tiny)
            c = 1.0 + term / c or tiny
            change = c * d
            value *= change
    return math.log(value)


def _outcome(
    steps: Sequence[Step], value: float, threshold: float, settings: RolloutSettings
) -> tuple[Outcome, tuple[str, ...]]:
    if not steps:
        return "inconclusive", ("there is no step to judge",)
    newest = steps[-1]
    shown = f"log e = {value:.2f}, limit {threshold:.2f} (alpha {settings.alpha:g})"
    if value > threshold:
        return "fail", (f"the challenger fails more requests than the champion: {_compared(steps)}; {shown}",)
    if newest.canary.requests < settings.min_requests:
        return "inconclusive", (
            f"{newest.canary.requests} of {settings.min_requests} requests of the challenger at "
            f"{newest.weight_percent} %; {shown}",
        )
    if newest.baseline.requests > 0:
        return "pass", (f"no sign that the challenger fails more: {_compared(steps)}; {shown}",)
    if newest.weight_percent < _ALL_TRAFFIC_PERCENT:
        return "inconclusive", (f"no request of the champion at {newest.weight_percent} % to compare with; {shown}",)
    return "pass", (
        f"{newest.canary.requests} requests of the challenger at 100 %, {newest.canary.errors} of them failed, with no "
        f"champion beside it to compare with; by the steps before: {shown}",
    )


def _compared(steps: Sequence[Step]) -> str:
    return ", ".join(
        f"at {step.weight_percent} % {_rate(step.canary)} of its requests against {_rate(step.baseline)}"
        for step in steps
    )


def _rate(window: Window) -> str:
    share = f" ({window.errors / window.requests:.2%})" if window.requests else ""
    return f"{window.errors} of {window.requests}{share}"


def _counts(step: Step, log_e: float) -> dict[str, float | int]:
    return {
        "weight_percent": step.weight_percent,
        "baseline_requests": step.baseline.requests,
        "baseline_errors": step.baseline.errors,
        "canary_requests": step.canary.requests,
        "canary_errors": step.canary.errors,
        "log_e": log_e,
    }
