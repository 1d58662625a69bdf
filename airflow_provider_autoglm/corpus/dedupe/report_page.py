"""The report of a de-duplication as one HTML page: no scripts, nothing loaded, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from airflow_provider_autoglm.corpus.dedupe.bar_chart import Bar, bar_chart
from airflow_provider_autoglm.corpus.dedupe.report import Report
from airflow_provider_autoglm.corpus.dedupe.report_pairs import Document, Pair
from airflow_provider_autoglm.corpus.dedupe.report_style import STYLE
from airflow_provider_autoglm.corpus.dedupe.word_difference import ELLIPSIS, Piece, beginning, compare

_MAX_COPY_CHARS = 300
_MAX_TITLE_CHARS = 100
_MAX_URL_CHARS = 80
_MAX_ID_CHARS = 64
_MAX_LANG_CHARS = 16
_MAX_LINK_CHARS = 800
_CLUSTER_SIZES = (2, 3, 4, 5, 6, 10, 20, 50, 100, 1_000)
"""Where the bars of the cluster sizes begin; the last has no end."""


def report_page(report: Report) -> str:
    """The page, below 300 KB whatever the texts are, which are escaped."""
    body = "".join([_head(report), _decision(report), _histograms(report), _pairs(report.pairs)])
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Duplicates removed</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _head(report: Report) -> str:
    removed = report.exact_duplicates + report.near_duplicates
    share = f" · {removed / report.rows_in:.1%} removed" if report.rows_in else ""
    figures = {
        "documents in": f"{report.rows_in:,}",
        "kept": f"{report.rows_out:,}",
        "exact copies removed": f"{report.exact_duplicates:,}",
        "near duplicates removed": f"{report.near_duplicates:,}",
        "clusters": f"{report.clusters:,}",
        "candidate pairs": _if_known(report.candidates),
        "pairs verified": _if_known(report.verified_pairs),
    }
    if report.rejected:
        figures["rejected"] = f"{report.rejected:,}"
    if report.kept_earlier:
        figures["removed for a document of an earlier run"] = f"{report.kept_earlier:,}"
    of = f"Pipeline {escape(report.pipeline)} · " if report.pipeline else ""
    when = report.created_at[:19].replace("T", " ")
    return (
        f"<header><h1>Duplicates removed</h1><p>{of}{escape(when)} UTC{share}<br>"
        f'<code>{escape(report.uri)}</code></p></header><dl class="figures">{_definitions(figures)}</dl>'
    )


def _decision(report: Report) -> str:
    settings = report.settings
    decided = {
        "method": settings.method,
        "similarity": f"{settings.similarity:g}: at most {settings.max_hamming} of 64 bits differ",
        "min_jaccard": f"{settings.min_jaccard:g}",
        "keep": settings.keep if settings.keep_column is None else f"{settings.keep} {settings.keep_column}",
        "max_removed_fraction": f"{settings.max_removed_fraction:g}",
        "across_runs": "yes" if settings.across_runs else "no",
        "window_days": "no limit" if settings.window_days is None else str(settings.window_days),
    }
    return f'<h2>What decided</h2><dl class="settings">{_definitions(decided)}</dl>'


def _definitions(items: Mapping[str, str]) -> str:
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in items.items())


def _if_known(count: int | None) -> str:
    return "not known" if count is None else f"{count:,}"


def _histograms(report: Report) -> str:
    hamming = [Bar(str(distance), count) for distance, count in enumerate(report.histograms.hamming)]
    distances = bar_chart(
        hamming,
        name="hamming",
        title="How far near duplicates were from what is kept",
        x_axis="different bits of 64",
        y_axis="near duplicates",
    )
    sizes = bar_chart(
        list(_size_bars(report.histograms.cluster_sizes)),
        name="clusters",
        title="How large the clusters are",
        x_axis="documents in a cluster",
        y_axis="clusters",
    )
    return f'<h2>How near, how many</h2><div class="charts">{distances}{sizes}</div>'


def _size_bars(cluster_sizes: Mapping[int, int]) -> Iterator[Bar]:
    """A bar for each small size and for each range of larger ones, up to the largest there is."""
    largest = max(cluster_sizes, default=0)
    for first, end in zip(_CLUSTER_SIZES, (*_CLUSTER_SIZES[1:], None), strict=True):
        if first > max(largest, _CLUSTER_SIZES[3]):
            return
        count = sum(clusters for size, clusters in cluster_sizes.items() if first <= size and (not end or size < end))
        if end is None:
            yield Bar(f"{first:,}+", count)
        else:
            yield Bar(str(first) if end == first + 1 else f"{first:,}\u2013{end - 1:,}", count)


def _pairs(pairs: Iterable[Pair]) -> str:
    shown = "".join(_pair(number, pair) for number, pair in enumerate(pairs, start=1))
    if not shown:
        return "<h2>Pairs to look at</h2><p>No document was removed.</p>"
    return (
        "<h2>Pairs to look at</h2><p>The least similar first, where a wrong removal would show; then those whose kept"
        " text an earlier run has; copies last. Words"
        " that only the removed document has are <del>dashed</del>, words that only the kept one has are"
        f" <ins>underlined</ins>. {ELLIPSIS} stands for words left out.</p>{shown}"
    )


def _pair(number: int, pair: Pair) -> str:
    how = "Exact copy" if pair.is_exact else f"Jaccard {pair.jaccard:.2f} · {pair.hamming} of 64 bits differ"
    removed, kept = _sides(pair)
    return (
        f'<article><h3><span class="number">{number}</span> {how}</h3><div class="sides">'
        f"<section><h4>Removed</h4>{removed}</section><section><h4>Kept</h4>{kept}</section></div></article>"
    )


def _sides(pair: Pair) -> tuple[str, str]:
    """Names and texts; what differs is marked where both texts are there and are not the same."""
    removed, kept = pair.removed, pair.kept
    beginning_of_removed = _name(removed) + _text(removed, _content(beginning(removed.text, _MAX_COPY_CHARS)))
    if kept is None:
        elsewhere = "Kept in an earlier run: the text is not in this corpus."
        return beginning_of_removed, f'<p class="name">{_id(pair.kept_id)}</p><p class="note">{elsewhere}</p>'
    if pair.is_exact:
        return beginning_of_removed, f'{_name(kept)}<p class="note">The same text.</p>'
    difference = compare(removed.text, kept.text)
    return (
        _name(removed) + _text(removed, _pieces(difference.removed, "del")),
        _name(kept) + _text(kept, _pieces(difference.kept, "ins")),
    )


def _name(document: Document) -> str:
    """Title, address and id; only addresses of the web are links."""
    title = _cut(document.title or "", _MAX_TITLE_CHARS)
    address = _cut(document.url or "", _MAX_URL_CHARS)
    link = escape(document.url or "")
    if link.startswith(("http://", "https://")) and len(link) <= _MAX_LINK_CHARS:
        address = f'<a href="{link}" target="_blank" rel="noopener noreferrer">{address}</a>'
    lines = (f'<bdi class="title">{title}</bdi>' if title else "", address, _id(document.doc_id))
    return f'<p class="name">{"<br>".join(line for line in lines if line)}</p>'


def _id(doc_id: str) -> str:
    return f"<code>{_cut(doc_id, _MAX_ID_CHARS)}</code>"


def _text(document: Document, content: str) -> str:
    lang = f' lang="{escape(document.lang[:_MAX_LANG_CHARS])}"' if document.lang else ""
    return f'<p class="text" dir="auto"{lang}>{content or "<em>no text</em>"}</p>'


def _pieces(pieces: Iterable[Piece], mark: str) -> str:
    return "".join(
        f"<{mark}>{_content(piece.text)}</{mark}>" if piece.is_changed else _content(piece.text) for piece in pieces
    )


def _cut(text: str, chars: int) -> str:
    return _content(text if len(text) <= chars else text[: chars - 1] + ELLIPSIS)


def _content(text: str) -> str:
    """Text between tags, where quotes need no escape: a character becomes five at most."""
    return escape(text, quote=False)
