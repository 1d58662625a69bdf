from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.clean.masking import Kind, mask_personal_data
from airflow_provider_autoglm.corpus.clean.national_ids import NATIONAL_IDS, digits_of, passes_luhn

KINDS: tuple[Kind, ...] = ("email", "phone", "ip", "card", "national_id")
EXAMPLES = {
    "us_ssn": ["123-45-6789", "001-01-0001"],
    "cn_resident_id": ["11010519491231002X", "11010519491231002x"],
    "es_dni": ["12345678Z", "12345678-Z"],
    "es_nie": ["X1234567L", "X-1234567-L"],
    "fr_nir": ["1 84 12 76 451 089 46", "184127645108946"],
    "it_codice_fiscale": ["RSSMRA85T10A562S"],
    "br_cpf": ["529.982.247-25", "111.444.777-35"],
    "gb_nino": ["AB123456C", "AB 12 34 56 C"],
    "in_aadhaar": ["9999 4105 7058"],
}


def masked(text: str, *kinds: Kind) -> str:
    values: list[str] = mask_personal_data(pa.array([text]), kinds or KINDS)[0].to_pylist()
    return values[0]


@pytest.mark.parametrize(
    "value",
    ["ann@example.org", "Ann.B+news@mail.example.co.uk", "a_b%c@xn--bcher-kva.example", "x@sub-domain.example.museum"],
)
@pytest.mark.parametrize("around", ["{}", "to <{}>.", "邮箱{}请联系", "mailto:{}, or", "({})\n"])
def test_mail_addresses_are_masked_whatever_stands_around_them(value: str, around: str) -> None:
    assert masked(around.format(value), "email") == around.format("[EMAIL]")


@pytest.mark.parametrize("text", ["me @ example", "@handle", "a@b", "git@github:x/y", "user@host.c", "1@2.3"])
def test_what_is_no_mail_address_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "value",
    [
        "+49 30 1234567",
        "+1 (212) 555-0123",
        "+86 138 1234 5678",
        "+442079460958",
        "+33 1 23 45 67 89",
        "(212) 555-0123",
        "212-555-0123",
        "1-800-555-0199",
        "212.555.0123",
        "13812345678",
        "138 1234 5678",
        "010-12345678",
        "0755-1234567",
        "01 23 45 67 89",
        "01.23.45.67.89",
        "030 12345678",
        "(030) 12345678",
        "0171/1234567",
        "020 7946 0958",
    ],
)
@pytest.mark.parametrize("around", ["{}", "call {}.", "Tel:{}", "电话{}转", "({}), or"])
def test_telephone_numbers_are_masked(value: str, around: str) -> None:
    assert masked(around.format(value), "phone") == around.format("[PHONE]")


@pytest.mark.parametrize(
    "text",
    [
        "from 1984 to 2024, 2024-01-31, 31.01.2024 12:30, 01-02-2023 10:15:00",
        "$1,234,567.89 or 1 234 567 € or 12345678.90",
        "version 3.11.2, 1.2.3.4, 10.0.19045.3570",
        "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISBN 9783161484100",
        "in 1700000000 or 1700000000123 seconds",
        "chmod 0644 0755, 0x1234567890, 012 013 023, 0701/114930",
        "pi is 3.14159265358979 and 2.718281828459",
        "pages 212-555, 100 200 300 and 1000 2000 3000",
        "commit 1381234567890abcdef, order 98765-4321",
        "https://example.org/13812345678/212-555-0123",
        "+1, -2, +3.5% and 1e+10",
        "@@ -120,7 +120,8 @@",
    ],
)
def test_dates_prices_versions_and_book_numbers_are_no_telephone_numbers(text: str) -> None:
    assert masked(text, "phone", "card", "national_id") == text


@pytest.mark.parametrize(
    "value",
    [
        "192.0.2.1",
        "8.8.8.8",
        "255.255.255.255",
        "2001:db8::1",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "fe80::1",
        "::ffff:192.0.2.1",
    ],
)
@pytest.mark.parametrize("around", ["{}", "from {} port 22", "[{}],", "地址{}访问"])
def test_addresses_of_machines_are_masked(value: str, around: str) -> None:
    assert masked(around.format(value), "ip") == around.format("[IP]")


@pytest.mark.parametrize(
    "text",
    [
        "256.1.1.1 and 1.2.3 and 1.2.3.4.5",
        "v1.2.3.4, version 1.2.3.4 and release: 10.0.0.1",
        "127.0.0.1, 0.0.0.0, ::1 and ::",
        "std::vector, A::B, a1::b2, ::add",
        "at 12:34:56 and 00:1b:44:11:3a:b7",
        "01.02.03.04",
    ],
)
def test_versions_times_and_names_of_code_are_no_addresses(text: str) -> None:
    assert masked(text, "ip") == text


@pytest.mark.parametrize(
    "value",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "6200000000000005",
    ],
)
def test_cards_are_masked_if_their_check_digit_is_right(value: str) -> None:
    other = value[:-1] + str((int(value[-1]) + 1) % 10)

    assert masked(f"card {value}, valid", "card") == "card [CARD], valid"
    assert masked(f"card {other}, valid", "card") == f"card {other}, valid"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_one_check_digit_in_ten_is_right(digits: list[int]) -> None:
    assert sum(passes_luhn([*digits, check]) for check in range(10)) == 1


def test_every_kind_of_national_id_has_an_example() -> None:
    assert set(EXAMPLES) == {kind.name for kind in NATIONAL_IDS}


@pytest.mark.parametrize("value", [value for values in EXAMPLES.values() for value in values])
def test_national_ids_are_masked(value: str) -> None:
    assert masked(f"身份证号{value}, id", "national_id") == "身份证号[NATIONAL_ID], id"
    assert masked(f"A{value}", "national_id") == f"A{value}"


@pytest.mark.parametrize(
    "value",
    [
        "000-12-3456",
        "666-12-3456",
        "912-34-5678",
        "123-00-6789",
        "123-45-0000",
        "110105194912310021",
        "11010519491331002X",
        "12345678A",
        "X1234567A",
        "1 84 12 76 451 089 47",
        "RSSMRA85T10A562T",
        "529.982.247-26",
        "111.111.111-11",
        "GB123456A",
        "AB123456E",
        "9999 4105 7059",
    ],
)
def test_a_number_that_nobody_can_have_stays(value: str) -> None:
    assert masked(value, "national_id") == value


@pytest.mark.parametrize(("department", "stands_for"), [("2A", "19"), ("2B", "18")])
def test_corsican_departments_have_letters(department: str, stands_for: str) -> None:
    key = 97 - int(f"18402{stands_for}451089") % 97

    assert masked(f"18402{department}451089{key:02}", "national_id") == "[NATIONAL_ID]"
    assert masked(f"18402{department}451089{(key + 1) % 98:02}", "national_id") != "[NATIONAL_ID]"


@settings(deadline=None)
@given(st.lists(st.none() | st.text("0123456789 .-+():@aAzX/\n"), max_size=4))
def test_nothing_changes_that_is_not_counted(texts: list[str | None]) -> None:
    column = pa.array(texts, pa.string())
    result, counts = mask_personal_data(column, KINDS)

    changed = sum(before != after for before, after in zip(texts, result.to_pylist(), strict=True))
    assert changed <= sum(counts.values())
    assert bool(changed) == bool(counts)
    assert [value is None for value in result.to_pylist()] == [value is None for value in texts]


def test_only_the_chosen_kinds_are_masked_and_each_is_counted() -> None:
    column = pa.array(["ann@example.org 192.0.2.1", "bob@example.org", None])

    result, counts = mask_personal_data(column, ["email"])
    assert result.to_pylist() == ["[EMAIL] 192.0.2.1", "[EMAIL]", None]
    assert counts == {"email": 2}


def test_digits_are_those_of_ascii() -> None:
    assert digits_of("1٣2") == [1, 2]
