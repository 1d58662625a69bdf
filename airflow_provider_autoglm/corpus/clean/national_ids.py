"""Numbers that states give to persons: how they are written, and the check that tells them from other numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_CHINESE_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHINESE_CHECKS = "10X98765432"
_ITALIAN_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_BRITISH_UNUSED = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})
_UNUSED_AREAS = ("000", "666", "9")
_VERHOEFF_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_DIHEDRAL_ORDER = 5


@dataclass(frozen=True)
class NationalId:
    """A kind of number: ``pattern`` for Python's ``re`` and the check that a match has to pass."""

    name: str
    pattern: str
    is_valid: Callable[[str], bool]


def digits_of(text: str) -> list[int]:
    """The ASCII digits of ``text``."""
    return [int(character) for character in text if character in "0123456789"]


def passes_luhn(digits: list[int]) -> bool:
    """The check of payment cards (ISO/IEC 7812-1, annex B)."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_social_security_number(text: str) -> bool:
    # No check digit: areas 000, 666 and 900 to 999, group 00 and serial 0000 are never given.
    area, group, serial = text.split("-")
    return not area.startswith(_UNUSED_AREAS) and group != "00" and serial != "0000"


def _is_resident_id(text: str) -> bool:
    """GB 11643: date of birth, and ISO 7064 MOD 11-2 over 17 digits."""
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(digit * weight for digit, weight in zip(digits_of(text[:17]), _CHINESE_WEIGHTS, strict=True))
    return text[17].upper() == _CHINESE_CHECKS[total % 11]


def _is_spanish(text: str) -> bool:
    """DNI, and NIE, whose first letter stands for a digit: the number modulo 23 gives the letter."""
    number = text.replace("-", "")
    number = str("XYZ".find(number[0])) + number[1:] if number[0] in "XYZ" else number
    return number[-1] == _DNI_LETTERS[int(number[:-1]) % 23]


def _is_french(text: str) -> bool:
    """NIR: the key is 97 less the number modulo 97; Corsica counts as 19 (2A) and 18 (2B)."""
    number = text.replace(" ", "").replace("2A", "19").replace("2B", "18")
    return int(number[13:]) == 97 - int(number[:13]) % 97


def _is_italian(text: str) -> bool:
    """Codice fiscale: characters at odd places by a table, the others by their rank, modulo 26."""
    ranks = [int(character) if character.isdigit() else ord(character) - ord("A") for character in text]
    total = sum(_ITALIAN_ODD[rank] if place % 2 == 0 else rank for place, rank in enumerate(ranks[:15]))
    return total % 26 == ranks[15]


def _is_brazilian(text: str) -> bool:
    """CPF: two check digits modulo 11; eleven equal digits pass, and are never given."""
    digits = digits_of(text)
    checks = []
    for length in (9, 10):
        total = sum(digit * weight for digit, weight in zip(digits, range(length + 1, 1, -1), strict=False))
        checks.append(total * 10 % 11 % 10)
    return checks == digits[9:] and len(set(digits)) > 1


def _is_british(text: str) -> bool:
    return text[:2] not in _BRITISH_UNUSED


def _is_aadhaar(text: str) -> bool:
    """Verhoeff's check: products in the dihedral group of order ten."""
    check = 0
    for place, digit in enumerate(reversed(digits_of(text))):
        value = digit
        for _ in range(place % 8):
            value = _VERHOEFF_PERMUTATION[value]
        check = _dihedral(check, value)
    return check == 0


def _dihedral(left: int, right: int) -> int:
    """A product in the group of the symmetries of a pentagon: 0 to 4 turn it, 5 to 9 turn it over."""
    (left_flips, left_turn), (right_flips, right_turn) = divmod(left, _DIHEDRAL_ORDER), divmod(right, _DIHEDRAL_ORDER)
    turn = (left_turn - right_turn if left_flips else left_turn + right_turn) % _DIHEDRAL_ORDER
    return turn + _DIHEDRAL_ORDER * (left_flips ^ right_flips)


NATIONAL_IDS = (
    NationalId("us_ssn", r"[0-9]{3}-[0-9]{2}-[0-9]{4}", _is_social_security_number),
    NationalId("cn_resident_id", r"[1-9][0-9]{5}(?:18|19|20)[0-9]{9}[0-9Xx]", _is_resident_id),
    NationalId("es_dni", r"[0-9]{8}-?[A-Z]", _is_spanish),
    NationalId("es_nie", r"[XYZ]-?[0-9]{7}-?[A-Z]", _is_spanish),
    NationalId("fr_nir", r"[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", _is_french),
    NationalId("it_codice_fiscale", r"[A-Z]{6}[0-9]{2}[ABCDEHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]", _is_italian),
    NationalId("br_cpf", r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", _is_brazilian),
    NationalId("gb_nino", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]", _is_british),
    NationalId("in_aadhaar", r"[2-9][0-9]{3} [0-9]{4} [0-9]{4}", _is_aadhaar),
)
