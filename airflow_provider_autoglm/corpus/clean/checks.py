"""Which texts are put aside, and why: the checks in order, of which the first that fails is the reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.measures import Measures, measure
from airflow_provider_autoglm.corpus.clean.patterns import matches
from airflow_provider_autoglm.settings import CleanSettings
from airflow_provider_autoglm.settings.clean_rules import selected_rules


class Reasons:
    """A reason for each text that failed a check, null for the others."""

    def __init__(self, text: pa.StringArray) -> None:
        self.column: pa.StringArray = pa.nulls(len(text), pa.string())
        self._text = text

    def add(self, failed: pa.BooleanArray, reason: str) -> None:
        """Give ``reason`` to those of the texts without one that failed."""
        failed = pc.and_(pc.is_null(self.column), pc.fill_null(failed, False))
        self.column = pc.if_else(failed, reason, self.column)

    def ask(
        self,
        is_failing: Callable[[pa.StringArray], pa.BooleanArray],
        reason: str,
        *,
        among: pa.BooleanArray | None = None,
    ) -> None:
        """The same, for a check that is asked only of texts without a reason, and only ``among`` some."""
        asked = pc.is_null(self.column) if among is None else pc.and_(pc.is_null(self.column), among)
        if asked.true_count:
            self.add(_spread(is_failing(self._text.filter(asked)).to_numpy(zero_copy_only=False), asked), reason)


def reasons_against(text: pa.StringArray, invalid: pa.BooleanArray, settings: CleanSettings) -> Reasons:
    """Why texts are put aside; ``invalid`` rows had bytes that are no UTF-8.

    :raises RuleTooSlowError: if a rule that runs in Python takes too long for a text.
    """
    reasons = Reasons(text)
    length = pc.fill_null(pc.utf8_length(text), 0)
    reasons.add(invalid, "invalid_utf8")
    reasons.add(pc.is_null(text), "missing_text")
    reasons.add(pc.equal(length, 0), "empty_text")
    reasons.add(pc.less(length, min(settings.min_chars, settings.min_chars_unspaced)), "too_short")
    reasons.add(pc.greater(length, settings.max_chars), "too_long")
    measured = pc.is_null(reasons.column)
    found = measure(text.filter(measured))
    shortest = np.where(found.is_unspaced, min(settings.min_chars, settings.min_chars_unspaced), settings.min_chars)
    reasons.add(_spread(length.filter(measured).to_numpy() < shortest, measured), "too_short")
    _check_rules(reasons, length, settings)
    for reason, is_over in _limits_exceeded(found, settings).items():
        reasons.add(_spread(is_over & found.is_long_enough, measured), reason)
    return reasons


def _check_rules(reasons: Reasons, length: pa.Array, settings: CleanSettings) -> None:
    for rule in selected_rules(settings.rules, settings.disable):
        if rule.kind == "reject":
            is_short_enough = None if rule.max_chars is None else pc.less_equal(length, rule.max_chars)
            _ask_pattern(reasons, rule.name, rule.pattern, is_short_enough)
    for own in settings.reject:
        _ask_pattern(reasons, own.name, own.pattern, None)


def _ask_pattern(reasons: Reasons, name: str, pattern: str, among: pa.BooleanArray | None) -> None:
    reasons.ask(lambda texts: matches(texts, pattern, rule=name), name, among=among)


def _limits_exceeded(found: Measures, settings: CleanSettings) -> dict[str, npt.NDArray[np.bool_]]:
    """For each reason whether the measured texts are over the limit that their script has."""
    is_unspaced = found.is_unspaced
    symbols = np.where(is_unspaced, settings.max_symbols_unspaced, settings.max_symbols)
    nonletters = np.where(is_unspaced, settings.max_nonletters_unspaced, settings.max_nonletters)
    phrases = np.where(is_unspaced, settings.max_repeated_phrases_unspaced, settings.max_repeated_phrases)
    return {
        "too_many_symbols": found.symbols > symbols,
        "too_few_letters": found.nonletters > nonletters,
        "repeated_lines": found.repeated_lines > settings.max_repeated_lines,
        "repeated_phrases": found.repeated_phrases > phrases,
    }


def _spread(flags: npt.NDArray[np.bool_], rows: pa.BooleanArray) -> pa.BooleanArray:
    """``flags`` of the chosen ``rows`` as flags of all, False for the others."""
    return pc.replace_with_mask(pa.array(np.zeros(len(rows), bool)), rows, pa.array(flags))
