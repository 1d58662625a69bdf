"""When a check is confirmed, decided from the checks before it alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from airflow_provider_autoglm.settings.drift import DriftSettings
from airflow_provider_autoglm.settings.feedback import FeedbackSettings
from airflow_provider_autoglm.state.checks import Check


def confirm_drift(
    measured: Check, earlier: Sequence[Check], now: float, *, settings: DriftSettings, window: Sequence[int]
) -> Check:
    """Confirm a drift that enough checks in a row have seen, outside the cooldown, with enough rows that are new.

    :param earlier: drift checks of the pipeline, newest first.
    :param now: the database's time, in seconds since the epoch.
    :param window: ids of the rows that were compared.
    :returns: ``measured`` with ``is_confirmed``, ``new_rows`` and the sentence ``confirmation`` in its report.
    """
    counted_until = last_counted(earlier)
    new_rows = sum(row > counted_until for row in window)
    in_a_row = _drifted_in_a_row(measured, earlier, counted_until)
    if measured.state == "insufficient_data":
        obstacle = "there is too little data"
    elif measured.state != "drifted":
        obstacle = f"the state is {measured.state}"
    elif in_a_row < settings.confirmations:
        obstacle = (
            f"{in_a_row} of {settings.confirmations} checks of version {measured.version} in a row are drifted; "
            "checks of the same rows count once"
        )
    elif new_rows < settings.min_new_rows:
        obstacle = (
            f"{new_rows} rows of the window were not counted by a confirmed check before, "
            f"drift.min_new_rows is {settings.min_new_rows}"
        )
    else:
        obstacle = _cooldown(earlier, now, settings.cooldown_s, "drift")
    reason = f"{in_a_row} checks of version {measured.version} in a row are drifted, {new_rows} rows are new"
    return _decided(measured, new_rows, obstacle, reason)


def confirm_feedback(
    measured: Check, earlier: Sequence[Check], now: float, *, settings: FeedbackSettings, after_id: int
) -> Check:
    """Confirm that there are enough labels, outside the cooldown.

    :param measured: its ``new_rows`` are the labelled rows after ``after_id``, the newest that was counted before.
    :returns: ``measured`` with ``is_confirmed`` and the sentence ``confirmation`` in its report.
    """
    labels = f"{measured.new_rows} labels are past their deadline and new"
    if last_counted(earlier) > after_id:
        return _decided(
            replace(measured, state="insufficient_data"), 0, "another check has just counted these labels", ""
        )
    if measured.state != "enough_labels":
        obstacle = f"{labels}, feedback.min_rows is {settings.min_rows}"
    else:
        obstacle = _cooldown(earlier, now, settings.cooldown_s, "feedback")
    return _decided(measured, measured.new_rows, obstacle, labels)


def last_counted(earlier: Sequence[Check]) -> int:
    """The newest row of the prediction log that a confirmed check has counted; 0 if none has."""
    return max((check.last_prediction_id or 0 for check in earlier if check.is_confirmed), default=0)


def _drifted_in_a_row(measured: Check, earlier: Sequence[Check], counted_until: int) -> int:
    """How many checks of the version up to this one are drifted, since the last confirmed one.

    Those with too little data are passed over, and so are those that saw nothing but rows of a later one.
    """
    count, oldest_end = 0, math.inf
    for check in (measured, *earlier):
        if check.version != measured.version or check.is_confirmed:
            break
        end = check.last_prediction_id or 0
        if check.state == "insufficient_data" or not counted_until < end < oldest_end:
            continue
        if check.state != "drifted":
            break
        count, oldest_end = count + 1, end
    return count


def _cooldown(earlier: Sequence[Check], now: float, cooldown_s: float, key: str) -> str:
    """What the last confirmed check stands in the way with; empty if it does not."""
    last = next((check for check in earlier if check.is_confirmed), None)
    if last is None or now - last.at >= cooldown_s:
        return ""
    return f"check {last.id} was confirmed {now - last.at:.0f} s ago, {key}.cooldown_s is {cooldown_s:.0f}"


def _decided(measured: Check, new_rows: int, obstacle: str, reason: str) -> Check:
    sentence = f"Not confirmed: {obstacle}." if obstacle else f"Confirmed: {reason}."
    report = {**measured.report, "confirmation": sentence}
    return replace(measured, is_confirmed=not obstacle, new_rows=new_rows, report=report)
