"""Plain text paragraphs of documentation files: HTML, manual pages, plain text and Python docstrings."""

from __future__ import annotations

import ast
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from resiliparse.extract.html2text import extract_plain_text

MAX_FILE_BYTES = 4_000_000
HTML_FILES_OF_A_WEB_MANUAL = 20
MIN_LETTERS = 30
MIN_IDEOGRAPHS = 12
MIN_SHARE_OF_LETTERS = 0.65
_TEXT_SUFFIXES = {".txt", ".rst", ".md", ".info", ".pod", ".changes"}
_MARKUP_SUFFIXES = {".html", ".htm", ".xhtml"}
_COMPRESSED_SUFFIXES = {".gz"}
_MANUAL_SUFFIX = re.compile(r"\.[1-9][a-z]*")
_ROFF_BREAK = re.compile(r"[.'](PP|P|LP|TP|IP|HP|SH|SS|Pp|Sh|Ss|It|sp|RS|RE|nf|fi|EX|EE|br)\b.*")
_ROFF_FONT = re.compile(r"[.'](?:[BIR]{1,2}|SM|SB|Nm|Ar|Fl|Pa|Cm|Xr|Em|Sy)\s+(.*)")
_ROFF_ESCAPE = re.compile(r"\\f(?:\[\w*\]|\(..|.)|\\[&/,|^]|\\s[-+]?\d|\\\*?\(..|\\\[[^\]]*\]|\\\".*")
_LETTER = re.compile(r"[^\W\d_]")
_IDEOGRAPH = re.compile(r"[\u4e00-\u9fcc]")
_KANA_OR_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")


def paragraphs_below(folder: Path) -> Iterator[list[str]]:
    """The paragraphs of each documentation file below ``folder``, file by file in the order of their paths.

    Where the pages of a manual come as HTML, its sources, which read nearly the same, are passed over.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    is_markup = [_suffix(path) in _MARKUP_SUFFIXES for path in files]
    if sum(is_markup) >= HTML_FILES_OF_A_WEB_MANUAL:
        files = [path for path, is_page in zip(files, is_markup, strict=True) if is_page]
    for path in files:
        if path.stat().st_size <= MAX_FILE_BYTES or path.suffix in _COMPRESSED_SUFFIXES:
            paragraphs = list(readable(paragraphs_of_file(path)))
            if paragraphs:
                yield paragraphs


def paragraphs_of_file(path: Path) -> Iterable[str]:
    """The paragraphs of one file as they stand; none if it is of another kind or cannot be read."""
    suffix = _suffix(path)
    if suffix not in _MARKUP_SUFFIXES | _TEXT_SUFFIXES and not _MANUAL_SUFFIX.fullmatch(suffix):
        return []
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix in _COMPRESSED_SUFFIXES else path.read_bytes()
        text = content.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return []
    if suffix in _MARKUP_SUFFIXES:
        return of_text(extract_plain_text(text, main_content=True, list_bullets=False))
    return of_text(text) if suffix in _TEXT_SUFFIXES else of_manual_page(text)


def of_text(text: str) -> list[str]:
    """Stretches between empty lines."""
    return re.split(r"\n\s*\n", text)


def of_manual_page(text: str) -> list[str]:
    """Paragraphs of a page in roff, its requests taken away."""
    lines = []
    for line in text.splitlines():
        font = _ROFF_FONT.fullmatch(line)
        if font is not None:
            lines.append(font[1].replace('"', ""))
        elif line[:1] in {".", "'"}:
            lines.extend([""] if _ROFF_BREAK.fullmatch(line) else [])
        else:
            lines.append(line)
    return of_text(_ROFF_ESCAPE.sub("", "\n".join(lines)).replace("\\-", "-"))


def of_docstrings(source: str) -> list[str]:
    """Paragraphs of the docstrings of a Python module; none if it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented))
    return [paragraph for text in texts if text for paragraph in of_text(text)]


def readable(paragraphs: Iterable[str]) -> Iterator[str]:
    """Those of ``paragraphs`` that are prose rather than code or tables, with their white space folded."""
    for paragraph in paragraphs:
        folded = " ".join(paragraph.split())
        letters = len(_LETTER.findall(folded))
        is_long = letters >= (MIN_IDEOGRAPHS if is_chinese(folded) else MIN_LETTERS)
        if is_long and letters >= MIN_SHARE_OF_LETTERS * len(folded):
            yield folded


def is_chinese(text: str) -> bool:
    """Whether a third of the letters are Chinese characters, and none is Japanese or Korean."""
    ideographs = len(_IDEOGRAPH.findall(text))
    return 3 * ideographs > len(_LETTER.findall(text)) and not _KANA_OR_HANGUL.search(text)


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in _COMPRESSED_SUFFIXES else path.suffix
