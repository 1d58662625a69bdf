"""Text is right although its server says the wrong thing about the charset, or nothing."""

from __future__ import annotations

import pytest

from airflow_provider_autoglm.corpus.crawl.charset import decode_page, utf16_without_mark
from airflow_provider_autoglm.corpus.crawl.page import read_page
from tests.corpus.crawl.charset_variants import GERMAN, RUSSIAN, VARIANTS, Variant

URL = "http://host/page"


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_page_reads_as_it_was_written(variant: Variant) -> None:
    page = read_page(URL, variant.content_type, variant.body)
    assert page.reason is None
    assert variant.sentence in str(page.text)
    assert page.title == variant.name


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_page_that_is_cut_off_reads_as_far_as_it_goes(variant: Variant) -> None:
    body = variant.body
    for cut in range(1, 8):
        decoded = decode_page(body[:-cut], [variant.declared], is_truncated=True)
        assert variant.sentence in decoded.text
        assert "\ufffd" not in decoded.text


def test_a_byte_order_mark_is_believed_before_anything_else() -> None:
    decoded = decode_page(b"\xef\xbb\xbf" + RUSSIAN.encode(), ["koi8-r"])
    assert (decoded.text, decoded.charset) == (RUSSIAN, "utf-8")


def test_a_few_bytes_that_do_not_fit_are_replaced() -> None:
    decoded = decode_page(GERMAN.encode() * 50 + b"\xff", ["utf-8"])
    assert decoded.text == GERMAN * 50 + "\ufffd"
    assert decode_page(RUSSIAN.encode("cp1251") + b"\x98", ["cp1251", "cp1252"]).text == RUSSIAN + "\ufffd"


def test_bytes_nobody_can_read_become_replacement_characters() -> None:
    decoded = decode_page(b"\x81\x8d\x8f\x90 \xff\xfe\xfd", ["utf-8"])
    assert decoded.text.encode()


def test_names_that_are_no_charset_are_passed_over() -> None:
    assert decode_page(b"plain", ["nonsense", "base64", ""]).charset == "utf-8"
    assert decode_page(RUSSIAN.encode("koi8-r"), ["x-user-defined"]).text == RUSSIAN


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (b"<\0p\0>\0", "utf-16-le"),
        (b"\0<\0p\0>", "utf-16-be"),
        (b"<p>\0", None),
        (b"\0\0\0\0", None),
        (b"plain", None),
        (b"\0" + b"x" * 1_000, None),
    ],
)
def test_wide_text_is_known_by_where_its_zeros_stand(body: bytes, charset: str | None) -> None:
    assert utf16_without_mark(body) == charset
