"""The report of a crawl as one HTML page: no scripts, nothing loaded, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_provider_autoglm.corpus.crawl.report import NOTES, Report
from airflow_provider_autoglm.corpus.crawl.report_reasons import limit_in_words, reason_in_words
from airflow_provider_autoglm.corpus.report.aside_section import aside_section
from airflow_provider_autoglm.corpus.report.bar_chart import Bar, bar_chart
from airflow_provider_autoglm.corpus.report.markup import figure, head, page, settings_shown, table
from airflow_provider_autoglm.corpus.report.tally import most_frequent

_MEGABYTE = 1_000_000
_HOSTS_SHOWN = 10
_CHARSETS_SHOWN = 10
_STATUSES_SHOWN = 15
_DEPTHS_SHOWN = 20
_SOURCES_SHOWN = 5
_MAX_NAME_CHARS = 80
_REJECTED_SHOWN, _REMOVED_SHOWN = 15, 4


def report_page(report: Report) -> str:
    """The page, below 300 KB whatever the texts are, which are escaped."""
    return page(
        "Crawled",
        [
            _head(report),
            _asked(report),
            _came_back(report) if report.visits.pages else "",
            _texts(report),
            _not_visited(report.not_visited),
            aside_section(
                "Rejected",
                report.rejected,
                meaning=reason_in_words,
                none="Nothing was rejected.",
                most=_REJECTED_SHOWN,
                notes=NOTES,
            ),
            aside_section(
                "Left out on purpose",
                report.removed,
                meaning=reason_in_words,
                none="Nothing was left out.",
                most=_REMOVED_SHOWN,
                notes=NOTES,
            ),
        ],
    )


def _head(report: Report) -> str:
    return head(
        "Crawled",
        pipeline=report.pipeline,
        created_at=report.created_at,
        uri=report.uri,
        figures=dict(_figures(report)),
    )


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    counters, visits = report.counters, report.visits
    yield _attempts(report), f"{counters.rows_in:,}"
    yield "kept", f"{counters.rows_out:,}"
    yield "unchanged since the last crawl", f"{counters.unchanged:,}"
    yield "left out on purpose", f"{counters.removed:,}"
    yield "rejected", f"{counters.rejected:,}"
    if report.gone:
        yield "of them gone since the last crawl", f"{report.gone:,}"
    if report.unlinked:
        yield "known pages that no page links to any more", f"{report.unlinked:,}"
    if visits.truncated:
        yield "pages cut at max_page_bytes", f"{visits.truncated:,}"
    if report.bytes is not None:
        yield "MB downloaded", f"{report.bytes / _MEGABYTE:,.1f}"
    yield "seconds" + (", all parts together" if report.is_joined else ""), f"{report.seconds:,.1f}"
    if report.seconds > 0 and not visits.records:
        each = "pages per second" + (" of a part" if report.is_joined else "")
        yield each, f"{counters.rows_in / report.seconds:,.1f}"


def _attempts(report: Report) -> str:
    if not report.visits.records:
        return "addresses attempted"
    return "addresses attempted and records read" if report.visits.pages else "records read"


def _asked(report: Report) -> str:
    settings = report.settings
    sources = [source[:_MAX_NAME_CHARS] for source in report.sources[:_SOURCES_SHOWN]]
    further = len(report.sources) - len(sources)
    shown = {"sources": ", ".join([*sources, *([f"and {further:,} more"] if further else [])]) or "none"}
    if report.visits.pages:
        shown |= {
            "max_pages": f"{settings.max_pages:,}",
            "max_pages_per_host": f"{settings.max_pages_per_host:,}",
            "max_depth": f"{settings.max_depth:,}",
            "concurrency": str(settings.concurrency),
            "delay_s": f"{settings.delay_s:g}",
            "obey_robots": "yes" if settings.obey_robots else "no",
            "extractor": settings.extractor,
        }
    return settings_shown("What was asked for", shown)


def _came_back(report: Report) -> str:
    visits = report.visits
    statuses = most_frequent(visits.statuses, _STATUSES_SHOWN)
    by_status = bar_chart(
        [Bar(status, statuses[status]) for status in sorted(statuses)],
        name="statuses",
        title="What the servers answered",
        x_axis="HTTP status; none: not asked, or no answer",
        y_axis="addresses",
    )
    by_depth = bar_chart(
        list(_depth_bars(visits.depths)),
        name="depths",
        title="How far from a start page",
        x_axis="links from a start page, a sitemap or a feed",
        y_axis="addresses",
    )
    hosts = table(
        ["host", "attempted", "kept", "left out", "rejected"],
        [
            (host.host[:_MAX_NAME_CHARS], host.attempted, host.kept, host.removed, host.rejected)
            for host in visits.hosts(_HOSTS_SHOWN)
        ],
    )
    number = visits.number_of_hosts
    title = "Hosts" if number <= _HOSTS_SHOWN else f"Hosts with the most addresses, of {number:,}"
    unchanged = report.counters.unchanged
    note = f"<p>The {unchanged:,} unchanged pages are not among them.</p>" if unchanged else ""
    return (
        f'<h2>What came back</h2>{note}<div class="charts">{by_status}{by_depth}</div>'
        f'<div class="after">{figure(title, hosts)}</div>'
    )


def _depth_bars(depths: Mapping[int, int]) -> Iterator[Bar]:
    """One bar a depth from 0 on; the last one is of all that is deeper."""
    deepest = max(depths, default=0)
    for depth in range(min(deepest, _DEPTHS_SHOWN - 1) + 1):
        yield Bar(str(depth), depths.get(depth, 0))
    if deepest >= _DEPTHS_SHOWN:
        yield Bar(f"{_DEPTHS_SHOWN}+", sum(pages for depth, pages in depths.items() if depth >= _DEPTHS_SHOWN))


def _texts(report: Report) -> str:
    lengths = bar_chart(
        report.lengths.bars(),
        name="lengths",
        title=f"Length of texts: {report.lengths.mean:,.0f} characters on average",
        x_axis="characters from",
        y_axis="texts",
    )
    charsets = most_frequent(report.visits.charsets, _CHARSETS_SHOWN)
    rows = [(charset[:_MAX_NAME_CHARS], pages) for charset, pages in charsets.items()]
    found = figure("Charsets the kept pages were read with", table(["charset", "pages"], rows)) if rows else ""
    return f'<h2>What was kept</h2><div class="charts">{lengths}{found}</div>'


def _not_visited(not_visited: Mapping[str, int]) -> str:
    if not not_visited:
        return "<h2>Found and not visited</h2><p>Everything that was found was visited.</p>"
    rows = [(name, addresses, limit_in_words(name)) for name, addresses in not_visited.items()]
    return f'<h2>Found and not visited</h2><div class="wide">{table(["limit", "addresses", ""], rows)}</div>'
