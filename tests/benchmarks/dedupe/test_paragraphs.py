from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from benchmarks.dedupe.paragraphs import (
    HTML_FILES_OF_A_WEB_MANUAL,
    is_chinese,
    of_docstrings,
    of_manual_page,
    paragraphs_below,
    paragraphs_of_file,
    readable,
)

SENTENCE = "The gateway answers every request that it has accepted"


def test_a_manual_page_loses_its_requests_and_keeps_its_words() -> None:
    page = (
        '.TH CAT 1\n.SH NAME\ncat \\- concatenate \\fBfiles\\fR\n.PP\nWith no\n.I FILE\n.B "read it"\n.\\" a remark\n'
    )
    assert [" ".join(part.split()) for part in of_manual_page(page) if part.strip()] == [
        "cat - concatenate files",
        "With no FILE read it",
    ]


def test_html_is_read_as_its_main_content(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<nav>menu</nav><main><p>{SENTENCE} one.</p><p>{SENTENCE} two.</p></main><script>x()</script>")
    assert list(readable(paragraphs_of_file(page))) == [f"{SENTENCE} one.", f"{SENTENCE} two."]


@pytest.mark.parametrize("name", ["notes.txt.gz", "tool.1.gz"])
def test_compressed_files_are_read_by_what_is_in_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(f"{SENTENCE}.\n\n{SENTENCE} twice.\n".encode()))
    assert list(readable(paragraphs_of_file(tmp_path / name))) == [f"{SENTENCE}.", f"{SENTENCE} twice."]


@pytest.mark.parametrize(("name", "content"), [("a.png", b"x"), ("a.txt", b"\xff\xfe\xfd"), ("a.txt.gz", b"no gzip")])
def test_what_is_no_text_has_no_paragraphs(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert list(paragraphs_of_file(tmp_path / name)) == []


def test_the_sources_of_a_manual_in_html_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "source.txt").write_text(f"{SENTENCE} in the source.")
    assert list(paragraphs_below(tmp_path)) == [[f"{SENTENCE} in the source."]]
    for number in range(HTML_FILES_OF_A_WEB_MANUAL):
        (tmp_path / f"{number:02}.html").write_text(f"<p>{SENTENCE} in page {number}.</p>")
    assert next(paragraphs_below(tmp_path)) == [f"{SENTENCE} in page 0."]
    assert len(list(paragraphs_below(tmp_path))) == HTML_FILES_OF_A_WEB_MANUAL


def test_code_and_short_paragraphs_are_not_readable() -> None:
    assert list(
        readable(["if (a[0] == 1) { return f(b, 2) * (c + 3) - d[4]; } else { e(); }", "Short.", SENTENCE])
    ) == [SENTENCE]


def test_a_module_that_does_not_parse_has_no_docstrings() -> None:
    assert of_docstrings("def broken(:") == []
    assert of_docstrings('"""One.\n\nTwo."""\ndef f():\n    "Three."') == ["One.", "Two.", "Three."]


def test_japanese_is_not_taken_for_chinese() -> None:
    assert is_chinese("这种结构通常用来简写字符串的公共前缀")
    assert not is_chinese("この文書は日本語で書かれています")
    assert not is_chinese(SENTENCE)
