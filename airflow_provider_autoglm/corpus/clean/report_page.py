"""The report of a cleaning as one HTML page: no scripts, nothing loaded, light and dark."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_autoglm.corpus.clean.report import Report
from airflow_provider_autoglm.corpus.clean.report_reasons import changes_in_words, masks_in_words, reasons_in_words
from airflow_provider_autoglm.corpus.report.aside_section import aside_section
from airflow_provider_autoglm.corpus.report.bar_chart import Bar, bar_chart
from airflow_provider_autoglm.corpus.report.lengths import Lengths
from airflow_provider_autoglm.corpus.report.markup import figure, head, page, settings_shown, table
from airflow_provider_autoglm.corpus.report.tally import most_frequent

_LANGUAGES_SHOWN = 12
_MAX_LANG_CHARS = 8
_MAX_MEANING_CHARS = 160
_RULES_SHOWN = 40
_REASONS_SHOWN = 25


def report_page(report: Report) -> str:
    """The page, below 300 KB whatever the texts are, which are escaped."""
    meanings = reasons_in_words(report.settings)
    return page(
        "Cleaned",
        [
            _head(report),
            _decision(report),
            _lengths(report.before, report.after),
            _languages(report),
            _changes(report),
            aside_section(
                "Rejected",
                report.rejected,
                meaning=lambda reason: meanings.get(reason, ""),
                none="Nothing was rejected.",
                most=_REASONS_SHOWN,
            ),
        ],
    )


def _head(report: Report) -> str:
    counters = report.counters
    figures = {
        "documents in": f"{counters.rows_in:,}",
        "kept": f"{counters.rows_out:,}",
        "rejected": f"{counters.rejected:,}",
    }
    if report.masked:
        figures["values masked"] = f"{sum(report.masked.values()):,}"
    if report.before is not None and report.before.chars:
        figures["characters kept"] = f"{report.after.chars / report.before.chars:.1%}"
    figures["seconds"] = f"{report.seconds:,.1f}"
    return head(
        "Cleaned",
        pipeline=report.pipeline,
        created_at=report.created_at,
        uri=report.uri,
        figures=figures,
        more=[f"{counters.rejected / counters.rows_in:.1%} rejected"] if counters.rows_in else [],
    )


def _decision(report: Report) -> str:
    settings = report.settings
    decided = {
        "rules": ", ".join(settings.rules) or "none",
        "disable": ", ".join(settings.disable) or "none",
        "rules of your own": str(len(settings.replace) + len(settings.drop_lines) + len(settings.reject)),
        "unicode_form": settings.unicode_form,
        "mask": ", ".join(settings.mask) or "none",
        "languages": ", ".join(settings.languages) or "all",
    }
    return settings_shown("What decided", decided)


def _lengths(before: Lengths | None, after: Lengths) -> str:
    longest = max(after.counts if before is None else (*before.counts, *after.counts))
    kept = _length_chart(after, "kept", "Kept", longest)
    if before is None:
        came = "<p>How long they were before is not known: what they came from is not there any more.</p>"
        return f'<h2>Lengths</h2>{came}<div class="charts">{kept}</div>'
    all_texts = _length_chart(before, "came", "As they came", longest)
    return f'<h2>Lengths before and after</h2><div class="charts">{all_texts}{kept}</div>'


def _length_chart(lengths: Lengths, name: str, title: str, longest: int) -> str:
    return bar_chart(
        lengths.bars(),
        name=f"lengths-{name}",
        title=f"{title}: {lengths.mean:,.0f} characters on average",
        x_axis="characters from",
        y_axis="texts",
        longest=longest,
    )


def _languages(report: Report) -> str:
    before = most_frequent(report.languages_before, _LANGUAGES_SHOWN)
    if not before:
        return "<h2>Languages</h2><p>No language is known.</p>"
    named = [name for name in before if name in report.languages_before]
    after = {name: report.languages.get(name, 0) for name in named}
    others = sum(report.languages.values()) - sum(after.values())
    after |= {name: others for name in before if name not in named}
    longest = max(before.values())
    charts = "".join(
        bar_chart(
            [Bar(name[:_MAX_LANG_CHARS], count) for name, count in counts.items()],
            name=f"languages-{chart}",
            title=title,
            x_axis="language",
            y_axis="texts",
            longest=longest,
        )
        for chart, title, counts in (
            ("known", "All texts whose language is known", before),
            ("kept", "Kept texts", after),
        )
    )
    unknown = report.of_unknown_language
    note = f"<p>{unknown:,} texts were rejected by a check before their language was asked for.</p>" if unknown else ""
    return f'<h2>Languages before and after</h2>{note}<div class="charts">{charts}</div>'


def _changes(report: Report) -> str:
    if not report.changed and not report.masked:
        return "<h2>What was changed</h2><p>No rule changed a text.</p>"
    changed = _rules_table("texts", report.changed, changes_in_words(report.settings))
    masked = _rules_table("values", report.masked, masks_in_words())
    tables = [
        figure("Texts that a rule changed", changed) if report.changed else "",
        figure("Values that were masked", masked) if report.masked else "",
    ]
    return f'<h2>What was changed</h2><div class="charts">{"".join(tables)}</div>'


def _rules_table(counted: str, counts: Mapping[str, int], meanings: Mapping[str, str]) -> str:
    shown = most_frequent(counts, _RULES_SHOWN)
    rows = [(name, count, meanings.get(name, "")[:_MAX_MEANING_CHARS]) for name, count in shown.items()]
    return table(["rule", counted, ""], rows)
