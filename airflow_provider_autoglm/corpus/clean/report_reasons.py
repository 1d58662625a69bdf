"""The reasons of cleaning in words, with the limits that were set, for people who look at a report."""

from __future__ import annotations

from airflow_provider_autoglm.corpus.clean.text import MOJIBAKE
from airflow_provider_autoglm.settings import CleanSettings
from airflow_provider_autoglm.settings.clean_rules import selected_rules

_MASKED = {
    "email": "mail addresses",
    "phone": "telephone numbers",
    "ip": "IP addresses",
    "card": "numbers of payment cards",
    "national_id": "numbers of persons",
}


def reasons_in_words(settings: CleanSettings) -> dict[str, str]:
    """Why a row is rejected, by the reason in ``rejected/``. A rule of the user's own is told by its pattern."""
    unspaced = "in a script without spaces"
    languages = ", ".join(settings.languages)
    return {
        "invalid_utf8": "bytes that are no UTF-8",
        "missing_text": "no text",
        "empty_text": "nothing is left of the text",
        "too_short": f"fewer than {settings.min_chars:,} characters, {settings.min_chars_unspaced:,} {unspaced}",
        "too_long": f"more than {settings.max_chars:,} characters",
        "too_many_symbols": f"# and … more often than {settings.max_symbols:g} for each word,"
        f" {settings.max_symbols_unspaced:g} for each character {unspaced}",
        "too_few_letters": f"more than {settings.max_nonletters:.0%} of the characters are no letters,"
        f" {settings.max_nonletters_unspaced:.0%} {unspaced}",
        "repeated_lines": f"more than {settings.max_repeated_lines:.0%} of the characters are in lines that repeat",
        "repeated_phrases": f"more than {settings.max_repeated_phrases:.0%} of the runs of words repeat,"
        f" {settings.max_repeated_phrases_unspaced:.0%} of the runs of characters {unspaced}",
        "language": f"not one of {languages} with a certainty of {settings.min_lang_score:g}",
        **{rule.name: rule.reason for rule in selected_rules(settings.rules, settings.disable)},
        **{rule.name: f"a rule of your own: {rule.pattern}" for rule in settings.reject},
    }


def changes_in_words(settings: CleanSettings) -> dict[str, str]:
    """What a rule that changes texts is for, by its name."""
    own = {rule.name: rule.pattern for rule in settings.replace}
    own |= {rule.name: rule.pattern for rule in settings.drop_lines}
    return {
        MOJIBAKE: "text that was read with the wrong charset",
        **{rule.name: rule.reason for rule in selected_rules(settings.rules, settings.disable)},
        **{name: f"a rule of your own: {pattern}" for name, pattern in own.items()},
    }


def masks_in_words() -> dict[str, str]:
    """What a kind of personal data is, by its name."""
    return dict(_MASKED)
