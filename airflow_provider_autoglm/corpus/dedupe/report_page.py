"""The report of a de-duplication as one HTML page: no scripts, nothing loaded, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from airflow_provider_autoglm.corpus.dedupe.report import Report
from airflow_provider_autoglm.corpus.dedupe.report_pairs import Pair
from airflow_provider_autoglm.corpus.dedupe.word_difference import ELLIPSIS, Piece, beginning, compare
from airflow_provider_autoglm.corpus.report.bar_chart import Bar, bar_chart
from airflow_provider_autoglm.corpus.report.markup import (
    content,
    document_id,
    document_name,
    document_text,
    head,
    page,
    settings_shown,
)

_MAX_COPY_CHARS = 300
_CLUSTER_SIZES = (2, 3, 4, 5, 6, 10, 20, 50, 100, 1_000)
"""Where the bars of the cluster sizes begin; the last has no end."""


def report_page(report: Report) -> str:
    """The page, below 300 KB whatever the texts are, which are escaped."""
    return page("Duplicates removed", [_head(report), _decision(report), _histograms(report), _pairs(report.pairs)])


def _head(report: Report) -> str:
    removed = report.exact_duplicates + report.near_duplicates
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
    return head(
        "Duplicates removed",
        pipeline=report.pipeline,
        created_at=report.created_at,
        uri=report.uri,
        figures=figures,
        more=[f"{removed / report.rows_in:.1%} removed"] if report.rows_in else [],
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
    return settings_shown("What decided", decided)


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
    start = document_name(removed) + document_text(removed, content(beginning(removed.text, _MAX_COPY_CHARS)))
    if kept is None:
        elsewhere = "Kept in an earlier run: the text is not in this corpus."
        kept_id = f'<p class="name">{document_id(pair.kept_id)}</p><p class="note">{elsewhere}</p>'
        return start, kept_id
    if pair.is_exact:
        return start, f'{document_name(kept)}<p class="note">The same text.</p>'
    difference = compare(removed.text, kept.text)
    return (
        document_name(removed) + document_text(removed, _pieces(difference.removed, "del")),
        document_name(kept) + document_text(kept, _pieces(difference.kept, "ins")),
    )


def _pieces(pieces: Iterable[Piece], mark: str) -> str:
    return "".join(
        f"<{mark}>{content(piece.text)}</{mark}>" if piece.is_changed else content(piece.text) for piece in pieces
    )
