"""The report of a publication as one HTML page: no scripts, nothing loaded, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_autoglm.corpus.publish.difference import Difference, Transition
from airflow_provider_autoglm.corpus.publish.quality import Batch
from airflow_provider_autoglm.corpus.publish.report import Report
from airflow_provider_autoglm.corpus.publish.splits import SPLITS
from airflow_provider_autoglm.corpus.publish.wording import (
    accuracy_in_words,
    labels_in_words,
    news_in_words,
    quality_in_words,
)
from airflow_provider_autoglm.corpus.report.bar_chart import Bar, bar_chart
from airflow_provider_autoglm.corpus.report.markup import (
    content,
    document_id,
    figure,
    head,
    page,
    settings_shown,
    table,
)
from airflow_provider_autoglm.corpus.report.tally import most_frequent

_CLASSES_CHARTED = 16
_CLASSES_LISTED = 200
_MAX_BAR_CHARS = 9
_MAX_CELL_CHARS = 60
_BATCHES_LISTED = 20
_TRANSITIONS_LISTED = 40
_EXAMPLES_SHOWN = 5
_MEANINGS = {
    "abstained": "no label; kept in removed/",
    "duplicate_doc_id": "another row of the same document was taken; kept in removed/",
    "superseded": "row of the version before, in whose place a newer one is",
    "labelled_by_people": "people have labelled the same text, and their row is there",
    "expired": "older than window_days",
    "erased": "named in erase_doc_ids",
    "unknown_label": "the label is no class; new rows are kept in rejected/",
    "missing_doc_id": "kept in rejected/",
    "missing_text": "kept in rejected/",
}


def report_page(report: Report) -> str:
    """The page, below 300 KB whatever the labels are, which are escaped."""
    title = f"Published: version {report.record.version}"
    return page(
        title,
        [
            _head(report, title),
            _decision(report),
            _classes(report),
            _quality(report),
            _origins(report),
            _changes(report),
            _left_out(report.left_out),
        ],
    )


def _head(report: Report, title: str) -> str:
    record = report.record
    figures = {
        "documents": f"{report.rows:,}",
        "classes": f"{len(record.labels):,}",
        **{split: f"{record.splits.get(split, 0):,}" for split in SPLITS},
        "seconds": f"{report.seconds:,.1f}",
    }
    return head(
        title,
        pipeline=report.pipeline,
        created_at=report.created_at,
        uri=report.uri,
        figures=figures,
        more=[f"labels {labels_in_words(record)}"],
    )


def _decision(report: Report) -> str:
    settings = report.settings
    decided = {
        "test_fraction": f"{settings.test_fraction:g}",
        "validation_fraction": f"{settings.validation_fraction:g}",
        "split_by": settings.split_by,
        "window_days": "none" if settings.window_days is None else str(settings.window_days),
        "min_class_rows": str(settings.min_class_rows),
        "license": settings.license or "not stated",
        "reasons": ", ".join(report.record.reasons) or "not stated",
        "digest": report.digest,
        "content_digest": report.record.content_digest or "not known",
    }
    return settings_shown("What decided", decided)


def _classes(report: Report) -> str:
    record = report.record
    charted = most_frequent(record.label_counts, _CLASSES_CHARTED)
    classes = [Bar(_cut(label, _MAX_BAR_CHARS), rows) for label, rows in charted.items()] or [Bar("", 0)]
    splits = [Bar(split, record.splits.get(split, 0)) for split in SPLITS]
    charts = "".join(
        bar_chart(bars, name=name, title=f"Documents of each {name}", x_axis=name, y_axis="documents")
        for name, bars in (("class", classes), ("split", splits))
    )
    rows = [_class(report, label) for label in list(record.label_counts)[:_CLASSES_LISTED]]
    listed = figure("Classes by split", table(["class", "documents", "percent", *SPLITS], rows))
    return f'<h2>Class balance</h2><div class="charts">{charts}</div><div class="after">{listed}</div>'


def _class(report: Report, label: str) -> Sequence[str | int]:
    rows = report.record.label_counts[label]
    splits = report.record.class_rows.get(label, {})
    return [_cut(label), rows, _percent(rows, report.rows), *(splits.get(split, 0) for split in SPLITS)]


def _quality(report: Report) -> str:
    record = report.record
    sentences = "".join(f"<p>{content(sentence)}</p>" for sentence in quality_in_words(record))
    listed = "".join(f"<li>{content(_batch(batch))}</li>" for batch in record.reviews[-_BATCHES_LISTED:])
    batches = figure("What each run brought, when it was published", f'<ul class="examples">{listed}</ul>')
    return f"<h2>How good the labels are</h2>{sentences or '<p>Nothing is known of it.</p>'}{batches if listed else ''}"


def _batch(batch: Batch) -> str:
    scored = "" if batch.mean_score is None else f", mean score {batch.mean_score:.2f}"
    calibrated = ", calibrated" if batch.is_calibrated else ""
    accuracy = "" if batch.review is None else f" {accuracy_in_words(batch.review)}"
    return (
        f"Version {batch.version}: {batch.rows:,} documents, {batch.automatic:,} of them labelled by a machine"
        f"{scored}{calibrated}; {batch.outcome}{accuracy}"
    )


def _origins(report: Report) -> str:
    record = report.record
    counted = {
        "source": record.sources,
        "host": record.hosts,
        "language": record.languages,
        "label given by": record.label_sources,
        "labeler": record.labelers,
    }
    figures = "".join(_counts(name, counts, report.rows) for name, counts in counted.items() if counts)
    return f'<h2>Where texts and labels come from</h2><div class="charts">{figures}</div>' if figures else ""


def _counts(name: str, counts: Mapping[str, int], total: int) -> str:
    rows = [(_cut(value), count, _percent(count, total)) for value, count in counts.items()]
    return figure(f"By {name}", table([name, "documents", "percent"], rows))


def _changes(report: Report) -> str:
    news = f"<h2>What changed</h2><p>{content(news_in_words(report.record))}</p>"
    difference = report.difference
    if difference is None:
        return news
    counts = table(
        ["documents", "rows"],
        [
            ("added", difference.added),
            ("removed", difference.removed),
            ("with another label", difference.relabelled),
            ("in another split", difference.moved),
            ("unchanged", difference.unchanged),
        ],
    )
    figures = [
        figure(f"By doc_id, from version {difference.before} to {difference.after}", counts),
        _transitions("Labels that changed", difference.labels),
        _transitions("Splits that changed", difference.splits),
    ]
    return f'{news}<div class="charts">{"".join(figures)}</div>{_examples(difference)}'


def _transitions(title: str, transitions: Sequence[Transition]) -> str:
    if not transitions:
        return ""
    rows = [(_change(found.before, found.after), found.rows) for found in transitions[:_TRANSITIONS_LISTED]]
    return figure(title, table(["before → after", "documents"], rows))


def _examples(difference: Difference) -> str:
    if not any(difference.examples.values()):
        return ""
    listed = "".join(
        f"<li>{content(change)}: {document_id(example.doc_id)}"
        f" {content(_change(example.label_before, example.label_after))}</li>"
        for change, examples in difference.examples.items()
        for example in examples[:_EXAMPLES_SHOWN]
    )
    examples = figure("Some of them", f'<ul class="examples">{listed}</ul>')
    return f'<div class="after">{examples}</div>'


def _change(before: str | None, after: str | None) -> str:
    return " → ".join(_cut(value) for value in (before, after) if value)


def _left_out(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return "<h2>Left out</h2><p>No row was left out.</p>"
    rows = [(reason, count, _MEANINGS.get(reason, "")) for reason, count in reasons.items()]
    return f"<h2>Left out</h2>{figure('Rows that are not in this version', table(['reason', 'rows', ''], rows))}"


def _percent(rows: int, total: int) -> int:
    return round(100 * rows / total) if total else 0


def _cut(text: str, chars: int = _MAX_CELL_CHARS) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
