"""The page of a report and what stands on it: no scripts, nothing loaded, every text escaped and cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from airflow_provider_autoglm.corpus.report.documents import Document
from airflow_provider_autoglm.corpus.report.style import STYLE

ELLIPSIS = "…"

_MAX_TITLE_CHARS = 100
_MAX_URL_CHARS = 80
_MAX_ID_CHARS = 64
_MAX_LANG_CHARS = 16
_MAX_LINK_CHARS = 800


def page(title: str, sections: Iterable[str]) -> str:
    """The whole page; ``title`` is plain text, the sections are HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def head(
    title: str, *, pipeline: str, created_at: str, uri: str, figures: Mapping[str, str], more: Sequence[str] = ()
) -> str:
    """What it is a report of, and its figures by name. ``created_at`` is UTC, ISO 8601; ``more`` follows it."""
    of = [f"Pipeline {pipeline}"] if pipeline else []
    line = " · ".join([*of, f"{created_at[:19].replace('T', ' ')} UTC", *more])
    return (
        f"<header><h1>{escape(title)}</h1><p>{escape(line)}<br>"
        f'<code>{escape(uri)}</code></p></header><dl class="figures">{definitions(figures)}</dl>'
    )


def definitions(items: Mapping[str, str]) -> str:
    """The inside of a list of names and values."""
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in items.items())


def settings_shown(title: str, items: Mapping[str, str]) -> str:
    """A section of settings and their values."""
    return f'<h2>{escape(title)}</h2><dl class="settings">{definitions(items)}</dl>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str | float]]) -> str:
    """A table of plain texts, counts and (as floats) shares; the first column names the row."""
    head_cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head_cells}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: Sequence[str | float]) -> str:
    name, *values = row
    return f'<th scope="row">{escape(str(name))}</th>{"".join(map(_cell, values))}'


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f'<td class="words">{escape(value)}</td>'
    return f"<td>{value:,}</td>" if isinstance(value, int) else f"<td>{value:.3f}</td>"


def figure(title: str, html: str) -> str:
    """Something wide, such as a table, in a frame with a title; it scrolls where it has no room."""
    return f'<figure><figcaption><h3>{escape(title)}</h3></figcaption><div class="wide">{html}</div></figure>'


def document_name(document: Document, *, is_id_shown: bool = True) -> str:
    """Title, address and id; only addresses of the web are links."""
    title = cut(document.title or "", _MAX_TITLE_CHARS)
    address = cut(document.url or "", _MAX_URL_CHARS)
    link = escape(document.url or "")
    if link.startswith(("http://", "https://")) and len(link) <= _MAX_LINK_CHARS:
        address = f'<a href="{link}" target="_blank" rel="noopener noreferrer">{address}</a>'
    lines = [f'<bdi class="title">{title}</bdi>' if title else "", address]
    if is_id_shown or not any(lines):
        lines.append(document_id(document.doc_id))
    return f'<p class="name">{"<br>".join(line for line in lines if line)}</p>'


def document_id(doc_id: str) -> str:
    """An id as code."""
    return f"<code>{cut(doc_id, _MAX_ID_CHARS)}</code>"


def document_text(document: Document, html: str) -> str:
    """A paragraph of what is shown of the text, in the direction it is written in."""
    lang = f' lang="{escape(document.lang[:_MAX_LANG_CHARS])}"' if document.lang else ""
    return f'<p class="text" dir="auto"{lang}>{html or "<em>no text</em>"}</p>'


def cut(text: str, chars: int) -> str:
    """The beginning of ``text``, escaped."""
    return content(text if len(text) <= chars else text[: chars - 1] + ELLIPSIS)


def content(text: str) -> str:
    """Text between tags, where quotes need no escape: a character becomes five at most."""
    return escape(text, quote=False)
