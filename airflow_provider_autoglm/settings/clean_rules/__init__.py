"""The built-in rules of cleaning: one TOML file a set, read when a setting or the stage asks for them.

A rule has a name, which is the reason in ``rejected/`` and the key of its counts, a sentence that says what it is for,
a kind and a pattern. Patterns mean the same to RE2 and to Python's ``re``: no ``\\w \\s \\d \\b``, no flags.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

RuleSet = Literal["web", "news", "forum", "zh"]
Kind = Literal["replace", "drop_line", "reject"]
RULE_SETS: tuple[RuleSet, ...] = get_args(RuleSet)
_FOLDER = Path(__file__).parent
_LETTER = re.compile(r"\(\?[a-z]+\)|\\.|\[(?:\\.|[^\]\\])*\]|[A-Za-z]")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One built-in rule; ``drop_line`` wants the whole line. ``max_chars`` limits ``reject`` to short texts."""

    name: str
    kind: Kind
    pattern: str
    reason: str
    replacement: str = ""
    max_chars: int | None = None


@cache
def rules_of(name: RuleSet) -> tuple[Rule, ...]:
    """The rules of a set, in the order in which they run."""
    entries = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["rule"]
    return tuple(_rule(**entry) for entry in entries)


def selected_rules(sets: Sequence[RuleSet], disabled: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of all ``sets`` without the ``disabled`` ones."""
    return tuple(rule for name in dict.fromkeys(sets) for rule in rules_of(name) if rule.name not in disabled)


def rule_names() -> list[str]:
    """The names of all built-in rules, whatever their set."""
    return [rule.name for name in RULE_SETS for rule in rules_of(name)]


def _rule(
    *,
    name: str,
    kind: Kind,
    reason: str,
    patterns: Sequence[str],
    case: Literal["any", "as_written"] = "any",
    replacement: str = "",
    max_chars: int | None = None,
) -> Rule:
    pattern = "|".join(patterns)
    # The flag (?i) would do other things in RE2 than in Python to letters such as the Turkish ones.
    pattern = _in_any_case(pattern) if case == "any" else pattern
    return Rule(name=name, kind=kind, pattern=pattern, reason=reason, replacement=replacement, max_chars=max_chars)


def _in_any_case(pattern: str) -> str:
    """``pattern`` with ASCII letters outside of flags, escapes and classes in both cases."""
    return _LETTER.sub(
        lambda found: f"[{found[0].upper()}{found[0].lower()}]" if found[0].isalpha() else found[0], pattern
    )
