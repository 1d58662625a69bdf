"""The form that Airflow's Required Actions page shows to people who label texts.

A section's heading is the one place of that page where a long text is read with ease, over its full width; a field's
title has a third of it, its description is small, and neither keeps line breaks. Each text is thus the heading of a
section of its own, and the form has no body, which the page would repeat in every section.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

if TYPE_CHECKING:
    from airflow_provider_autoglm.labeling.review import Form, FormRow
    from airflow_provider_autoglm.settings import LabelDefinition

HIDDEN = "about_"
"""Begins the name of each hidden field; it is there for its heading, which tells of the form or of a class."""

_HEX_DIGITS_OF_CODE = 6
_LONGEST_PHRASES = 150
_LONGEST_ADDRESS = 120
_LONGEST_TITLE = 120
_LONGEST_WORD = 40
_CUT = "…"
_ZERO_WIDTH_SPACE = "\u200b"
_PARAGRAPH = re.compile(r"[^\S\n]*\n\s*\n\s*")
_LONG_WORD = re.compile(rf"(\S{{{_LONGEST_WORD}}})(?=\S)")

_SAMPLE = (
    "Choose the class of each text, or “{none}”; leave a field empty if you cannot tell. Nothing is "
    "preselected: a suggestion would sway you, and from these answers the share of right labels is estimated."
)
_SUSPICIOUS = (
    "These texts have a label that looks wrong, or none. Correct what is wrong, or choose “{none}”; what you leave "
    "as it is counts as right. They are corrected only: the share of right labels is not estimated from them."
)
_SETS = {"sample": ("random sample", _SAMPLE), "suspicious": ("suspicious labels", _SUSPICIOUS)}


def subject_of(form: Form, pipeline: str) -> str:
    """One line that tells this form from the others of all pipelines."""
    name, _ = _SETS[form.review_set]
    return f"Label {len(form.rows)} texts of {pipeline}: {name}, form {form.number} of {form.count}"


def option_of(form: Form) -> str:
    """The one button of the form, which names what it submits.

    Airflow keeps the first form of a task instance when it is cleared, even if other texts have been drawn since, and
    accepts none but the options of that form: an answer without this one is about other texts.
    """
    return f"Submit form {form.number} · {form.draw_digest[:_HEX_DIGITS_OF_CODE]}"


def fields_of(form: Form, labels: Iterable[LabelDefinition]) -> ParamsDict:
    """A field ``row_00`` … for each text, where a class is chosen by its name, below what there is to know."""
    from airflow_provider_autoglm.labeling.review import NONE_OF_THESE

    name, what_to_do = _SETS[form.review_set]
    heading = f"Form {form.number} of {form.count}, {name}. {what_to_do.format(none=NONE_OF_THESE)}"
    fields = {f"{HIDDEN}form": _hidden(form.uri, heading)}
    for number, label in enumerate(labels):
        # Not in the list of choices: who types a class's name there finds every choice that has the word in it.
        if label.phrases:
            fields[f"{HIDDEN}{number:02d}"] = _hidden(label.name, f"{label.name}: {_described(label.phrases)}")
    for number, row in enumerate(form.rows, start=1):
        fields[row.field] = Param(
            row.prefilled,
            type=["null", "string"],
            enum=[*form.labels, NONE_OF_THESE],
            title=f"Class of text {number}",
            section=f"■ {number}. {_heading_of(row)}",
            description=_shortened(row.url or "", _LONGEST_ADDRESS),
        )
    return ParamsDict(fields)


def _hidden(value: str, heading: str) -> Param:
    return Param(value, type="string", const=value, section=heading)


def _described(phrases: Iterable[str]) -> str:
    """The first of the phrases, and more of them as far as they fit."""
    described = ""
    for phrase in phrases:
        short = _shortened(phrase, _LONGEST_PHRASES)
        longer = f"{described}; {short}" if described else short
        if len(longer) > _LONGEST_PHRASES:
            break
        described = longer
    return described


def _heading_of(row: FormRow) -> str:
    title = _shortened(row.title or "", _LONGEST_TITLE)
    text = _readable(row.text)
    return f"{title} — {text}" if title and not text.startswith(title) else text


def _readable(text: str) -> str:
    """``text`` in one line, which is all the page shows: paragraphs are marked, and long words can be broken."""
    line = " ".join(" ¶ ".join(_PARAGRAPH.split(text.strip())).split())
    return _LONG_WORD.sub(rf"\1{_ZERO_WIDTH_SPACE}", line)


def _shortened(text: str, limit: int) -> str:
    line = _readable(text)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + _CUT
