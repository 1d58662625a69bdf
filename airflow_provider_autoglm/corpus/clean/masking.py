"""Masking of personal data: values written in well-known forms become a word such as ``[EMAIL]``.

What is found is what the patterns and check digits say. It is no promise that a text names nobody.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_autoglm.corpus.clean.columns import change_where
from airflow_provider_autoglm.corpus.clean.national_ids import NATIONAL_IDS, digits_of, passes_luhn

Kind = Literal["email", "phone", "ip", "card", "national_id"]

_EMAIL = r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
_IP = (
    r"(?<![0-9A-Za-z_.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z_-]|\.[0-9])"
    r"|(?<![0-9A-Za-z_:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?"
    r"(?![0-9A-Za-z_:]|\.[0-9])"
)
_CARD = (
    r"(?<![0-9A-Za-z_.+-])(?:[2-6][0-9]{12,18}|[2-6][0-9]{3}(?P<s>[ -])[0-9]{4}(?P=s)[0-9]{4}(?P=s)[0-9]{1,7}"
    r"|3[047689][0-9]{2}(?P<t>[ -])[0-9]{6}(?P=t)[0-9]{4,5})(?![0-9A-Za-z_-]|\.[0-9])"
)
_ISSUERS = re.compile(
    "4[0-9]{12}(?:[0-9]{3}){0,2}|5[1-5][0-9]{14}|2[2-7][0-9]{14}|3[47][0-9]{13}|3[0689][0-9]{12}"
    "|35[0-9]{14,17}|6[0-9]{15,18}"
)
_PHONE = (
    r"(?<![0-9A-Za-z_.,/+$€£¥#%-])(?<![0-9]:)(?:"
    r"\+[1-9][0-9]{0,2}(?:[ .-]?(?:\([0-9]{1,4}\)|[0-9]{1,4})){2,6}"
    r"|(?:1[ .-])?\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-][0-9]{4}"
    r"|(?:1[ .-])?[2-9][0-9]{2}(?P<us>[ .-])[2-9][0-9]{2}(?P=us)[0-9]{4}"
    r"|1[3-9][0-9](?P<cn>[ -]?)[0-9]{4}(?P=cn)[0-9]{4}"
    r"|0[1-9](?P<fr>[ .])[0-9]{2}(?:(?P=fr)[0-9]{2}){3}"
    r"|(?:\(0[1-9][0-9]{1,3}\)|0[1-9][0-9]{1,3})(?:[ -][0-9]{6,8}|/[0-9]{7,8}|[ /-][0-9]{3,4}[ -][0-9]{4})"
    r")(?![0-9A-Za-z_%]|[.,:/-][0-9])"
)
_VERSION_BEFORE = re.compile(r"(?:\b(?:v|ver|version|release|firmware|build|section|rfc)|§)[.:]? ?\Z", re.IGNORECASE)
_LONGEST_WORD_BEFORE = 12
_SHORTEST_PHONE, _SHORTEST_ABROAD, _LONGEST_AT_HOME, _LONGEST_PHONE = 9, 8, 11, 15
_LEAST_GROUPS_OF_IPV6 = 3


def _is_always(_found: re.Match[str]) -> bool:
    return True


def _is_address(found: re.Match[str]) -> bool:
    """A valid IPv4 or IPv6 address of a machine; no version number, no loopback, and no ``Class::method``."""
    before = found.string[max(0, found.start() - _LONGEST_WORD_BEFORE) : found.start()]
    try:
        address = ip_address(found[0])
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or _VERSION_BEFORE.search(before):
        return False
    groups = [group for group in found[0].split(":") if group]
    looks_like_ipv6 = len(groups) >= _LEAST_GROUPS_OF_IPV6 or len(groups[0]) == len("fe80")
    return address.version == 4 or (looks_like_ipv6 and any(character.isdigit() for character in found[0]))  # noqa: PLR2004


def _is_card(found: re.Match[str]) -> bool:
    digits = digits_of(found[0])
    return _ISSUERS.fullmatch("".join(map(str, digits))) is not None and passes_luhn(digits)


def _is_phone(found: re.Match[str]) -> bool:
    digits = len(digits_of(found[0]))
    if found[0].startswith("+"):
        return _SHORTEST_ABROAD <= digits <= _LONGEST_PHONE
    return _SHORTEST_PHONE <= digits <= _LONGEST_AT_HOME


def _is_national_id(found: re.Match[str]) -> bool:
    assert found.lastgroup is not None
    return _NATIONAL_ID_CHECKS[found.lastgroup](found[0])


_NATIONAL_ID_CHECKS = {kind.name: kind.is_valid for kind in NATIONAL_IDS}
_NATIONAL_ID = (
    "(?<![0-9A-Za-z_.-])(?:"
    + "|".join(f"(?P<{kind.name}>{kind.pattern})(?![0-9A-Za-z_-])" for kind in NATIONAL_IDS)
    + ")"
)


@dataclass(frozen=True)
class _Mask:
    """``suspected`` is an RE2 pattern that every text with such a value has; ``pattern`` is Python's."""

    token: str
    suspected: str
    pattern: re.Pattern[str]
    is_valid: Callable[[re.Match[str]], bool]


_MASKS: dict[Kind, _Mask] = {
    "email": _Mask("[EMAIL]", "[A-Za-z0-9._%+-]@[A-Za-z0-9-]", re.compile(_EMAIL), _is_always),
    "ip": _Mask("[IP]", r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|:[0-9A-Fa-f]{0,4}:", re.compile(_IP), _is_address),
    "card": _Mask("[CARD]", "[0-9][0-9 -]{11,}[0-9]", re.compile(_CARD), _is_card),
    "national_id": _Mask("[NATIONAL_ID]", "[0-9]{2}", re.compile(_NATIONAL_ID), _is_national_id),
    "phone": _Mask("[PHONE]", r"[0-9][0-9 ().\-/]{6,}[0-9]", re.compile(_PHONE), _is_phone),
}
"""In the order in which they run: what has check digits before what has none."""


def mask_personal_data(text: pa.StringArray, kinds: Sequence[Kind]) -> tuple[pa.StringArray, Counter[str]]:
    """``text`` with every value of ``kinds`` replaced by its token, and how many of each kind were; nulls stay null."""
    counts: Counter[str] = Counter()
    for kind, mask in _MASKS.items():
        if kind in kinds:

            def change(texts: pa.StringArray, kind: str = kind, mask: _Mask = mask) -> pa.StringArray:
                changed = [_masked(value, mask) for value in texts.to_pylist()]
                counts[kind] += sum(number for _, number in changed)
                return pa.array([value for value, _ in changed], pa.string())

            text = change_where(text, pc.match_substring_regex(text, mask.suspected), change)
    return text, +counts


def _masked(text: str, mask: _Mask) -> tuple[str, int]:
    number = 0

    def replacement(found: re.Match[str]) -> str:
        nonlocal number
        if not mask.is_valid(found):
            return found[0]
        number += 1
        return mask.token

    return mask.pattern.sub(replacement, text), number
