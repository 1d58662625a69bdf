"""What people said of a text: when, and how it reached us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE

_UNDATED = float("-inf")


class Word(NamedTuple):
    """A label given by people: of two for one text the later one counts, of equal times feedback.

    ``at`` is the row's ``fetched_at`` in seconds since 1970; a row without one is older than any other.
    """

    at: float
    is_feedback: bool


def word_of(values: Mapping[str, Any]) -> Word | None:
    """What people said of a row, or None where a machine or nobody gave its label."""
    if values.get("label_source") not in LABELLED_BY_PEOPLE or not values.get("label"):
        return None
    fetched = values.get("fetched_at")
    return Word(_UNDATED if fetched is None else fetched.timestamp(), values["label_source"] == "feedback")
