"""One column of texts, cleaned: repaired, normal, without what rules take out, and masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.characters import (
    normal,
    normal_characters,
    normal_layout,
    normal_where_changed,
)
from airflow_provider_autoglm.corpus.clean.columns import change_where, differs
from airflow_provider_autoglm.corpus.clean.lines import drop_lines
from airflow_provider_autoglm.corpus.clean.masking import mask_personal_data
from airflow_provider_autoglm.corpus.clean.mojibake import repair_mojibake
from airflow_provider_autoglm.corpus.clean.patterns import replace_pattern
from airflow_provider_autoglm.settings import CleanSettings
from airflow_provider_autoglm.settings.clean import whole_line
from airflow_provider_autoglm.settings.clean_rules import Rule, selected_rules

MOJIBAKE = "mojibake"
_MOST_ROUNDS = 20
"""Each costs a search through the text; without a limit a text of nested marks would take their number squared."""


@dataclass(frozen=True)
class CleanedTexts:
    """The texts, and counts: ``changed/<rule>`` texts that a rule has changed, ``masked/<kind>`` values masked."""

    text: pa.StringArray
    counts: Counter[str] = field(default_factory=Counter)


def clean_text(text: pa.StringArray, settings: CleanSettings) -> pa.StringArray:
    """The texts as :func:`cleaned_texts` makes them; nulls stay null."""
    return cleaned_texts(text, settings).text


def cleaned_texts(text: pa.StringArray, settings: CleanSettings) -> CleanedTexts:
    """Mojibake, characters, the user's replacements, white space, the user's lines, built-in rules and masks.

    What the built-in rules, masks and repair do is repeated for the texts that they change until nothing changes any
    more, so that cleaning a clean text changes nothing unless a rule of the user's does. It is repeated some twenty
    times at most: only a text made for it, with marks nested in marks, needs more.

    :raises RuleTooSlowError: if a rule that runs in Python takes too long for a text.
    """
    counts: Counter[str] = Counter()
    cleaner = _Cleaner(settings, counts)
    text = normal_characters(cleaner.repaired(text), settings.unicode_form)
    for rule in settings.replace:
        text = cleaner.replaced(text, rule.name, rule.pattern, rule.replacement, is_normal_needed=False)
    text = normal(text, settings.unicode_form) if settings.replace else normal_layout(text, settings.unicode_form)
    text = cleaner.without_lines(text, [(rule.name, rule.pattern) for rule in settings.drop_lines])
    return CleanedTexts(cleaner.settled(text), +counts)


class _Cleaner:
    """The steps of one call; each adds to ``counts`` what it has changed."""

    def __init__(self, settings: CleanSettings, counts: Counter[str]) -> None:
        self._settings = settings
        self._form = settings.unicode_form
        self._counts = counts
        rules = selected_rules(settings.rules, settings.disable)
        self._replacing = [rule for rule in rules if rule.kind == "replace"]
        self._dropping = [rule for rule in rules if rule.kind == "drop_line"]

    def repaired(self, text: pa.StringArray) -> pa.StringArray:
        """Mojibake repaired where that is asked for."""
        if not self._settings.repair_mojibake:
            return text
        repaired = repair_mojibake(text)
        self._counts[f"changed/{MOJIBAKE}"] += differs(text, repaired).true_count
        return repaired

    def replaced(
        self, text: pa.StringArray, name: str, pattern: str, replacement: str, *, is_normal_needed: bool = True
    ) -> pa.StringArray:
        """One replacement."""
        changed = replace_pattern(text, pattern, replacement, rule=name)
        self._counts[f"changed/{name}"] += differs(text, changed).true_count
        return normal_where_changed(text, changed, self._form) if is_normal_needed else changed

    def without_lines(self, text: pa.StringArray, rules: Sequence[tuple[str, str]]) -> pa.StringArray:
        """Without the lines that rules drop."""
        if not rules:
            return text
        changed, counts = drop_lines(text, rules)
        self._counts.update({f"changed/{name}": count for name, count in counts.items()})
        return normal_where_changed(text, changed, self._form)

    def settled(self, text: pa.StringArray) -> pa.StringArray:
        """What the built-in steps make of ``text``, again and again until they leave it as it is."""
        changed = pa.array([True] * len(text), pa.bool_())
        for _ in range(_MOST_ROUNDS):
            before, text = text, change_where(text, changed, self._once)
            changed = differs(before, text)
            if not changed.true_count:
                break
        return text

    def _once(self, text: pa.StringArray) -> pa.StringArray:
        repaired = self.repaired(text)
        text = normal_where_changed(text, repaired, self._form)
        text = change_where(text, _any_of(text, self._replacing), self._with_replacements)
        text = change_where(text, _any_line_of(text, self._dropping), self._without_built_in_lines)
        if not self._settings.mask:
            return text
        masked, values = mask_personal_data(text, self._settings.mask)
        self._counts.update({f"masked/{kind}": count for kind, count in values.items()})
        return normal_where_changed(text, masked, self._form)

    def _with_replacements(self, text: pa.StringArray) -> pa.StringArray:
        for rule in self._replacing:
            text = self.replaced(text, rule.name, rule.pattern, rule.replacement)
        return text

    def _without_built_in_lines(self, text: pa.StringArray) -> pa.StringArray:
        return self.without_lines(text, [(rule.name, rule.pattern) for rule in self._dropping])


def _any_of(text: pa.StringArray, rules: Sequence[Rule]) -> pa.BooleanArray:
    """The texts in which one of the rules finds something: all together in one search, for most texts have nothing."""
    if not rules:
        return pa.array([False] * len(text), pa.bool_())
    return pc.match_substring_regex(text, "|".join(f"(?:{rule.pattern})" for rule in rules))


def _any_line_of(text: pa.StringArray, rules: Sequence[Rule]) -> pa.BooleanArray:
    """The texts of several lines one of which a rule drops; a text of one line is a request or a post, not a page."""
    if not rules:
        return pa.array([False] * len(text), pa.bool_())
    alternatives = "|".join(f"(?:{rule.pattern})" for rule in rules)
    return pc.and_(pc.match_substring_regex(text, f"(?m){whole_line(alternatives)}"), pc.match_substring(text, "\n"))
