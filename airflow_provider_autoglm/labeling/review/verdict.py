"""Whether a corpus may be published, by what people answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_autoglm.labeling.review.estimate import Estimate, estimate
from airflow_provider_autoglm.labeling.review.tally import Tally
from airflow_provider_autoglm.settings.review import ReviewSettings

Outcome = Literal["passed", "failed", "again", "unreviewed"]


@dataclass(frozen=True)
class Judged:
    """The outcome, why, and the estimate; None where too few answered."""

    outcome: Outcome
    reason: str
    estimate: Estimate | None


def judge(found: Tally, settings: ReviewSettings, *, rounds: int) -> Judged:
    """Judge the answers of one or two ``rounds``.

    The whole interval above the target passes, below it fails. Between, a second round is asked for if there is none
    yet and a text is left to ask; else the estimate decides.
    """
    if not found.population:
        return Judged("unreviewed", "no text has an automatic label, so there was nothing to check", None)
    may_ask_again = settings.second_round and rounds == 1 and found.is_incomplete
    if found.answered / found.asked < settings.min_answered:
        return _unanswered(found, settings, may_ask_again=may_ask_again)
    measured = estimate(found.strata, settings.confidence, rounds=rounds)
    assert measured is not None, "min_answered is above 0, so there are answers"
    target = settings.target_accuracy
    shown = f"the estimated share of right labels is {measured}, the target {target:g}"
    if measured.low >= target:
        return Judged("passed", shown, measured)
    if measured.high < target:
        return Judged("failed", shown, measured)
    if may_ask_again:
        return Judged("again", f"{shown} lies in the interval", measured)
    return Judged("passed" if measured.accuracy >= target else "failed", shown, measured)


def _unanswered(found: Tally, settings: ReviewSettings, *, may_ask_again: bool) -> Judged:
    needed = f"review.min_answered = {settings.min_answered:g}"
    reason = f"{found.answered} of {found.asked} sampled texts were answered; {needed}"
    if settings.on_no_answer == "pass":
        return Judged("unreviewed", reason, None)
    if settings.on_no_answer == "wait" and may_ask_again:
        return Judged("again", reason, None)
    return Judged("failed", reason, None)
