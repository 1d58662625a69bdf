"""The report of a spot check as one HTML page: no scripts, nothing loaded, light and dark."""

from __future__ import annotations

from collections.abc import Sized

from airflow_provider_autoglm.corpus.manifest import ReviewRecord
from airflow_provider_autoglm.corpus.report.markup import figure, head, page, settings_shown, table
from airflow_provider_autoglm.labeling.review.report import Checked, Report

_LABELS_SHOWN = 60
_PAIRS_SHOWN = 60
_MAX_LABEL_CHARS = 60
_NO_LABEL = "(no label)"
_NONE_OF_THESE = "(none of these)"

_WIDTH, _HEIGHT = 520, 96
_LEFT, _RIGHT = 20, 500
_LINE = 46
_TICKS = 5


def report_page(report: Report) -> str:
    """The page, below 300 KB whatever the labels are, which are escaped; it holds no text of a document."""
    review = report.review
    decided = {
        "target_accuracy": f"{review.target:g}",
        "confidence": f"{review.confidence:g}",
        "rounds": str(review.rounds),
    }
    parts = [_head(report), settings_shown("What decided", decided), _estimate(review)]
    if report.is_known:
        parts += [_labels(report.sample), *_answers(report)]
    else:
        parts.append("<p>Which labels were right is not known: the draws are not there any more.</p>")
    return page("Reviewed", parts)


def _head(report: Report) -> str:
    review = report.review
    figures = {
        "outcome": review.outcome,
        "right labels, estimated": "not known" if review.accuracy is None else f"{review.accuracy:.1%}",
        "documents with an automatic label": f"{review.population:,}",
        "sampled": f"{review.asked:,}",
        "answered": f"{review.answered:,}",
        "labels corrected": f"{review.corrected:,}",
    }
    return head("Reviewed", pipeline=report.pipeline, created_at=report.created_at, uri=report.uri, figures=figures)


def _estimate(review: ReviewRecord) -> str:
    title = "<h2>How many labels are right</h2>"
    if review.accuracy is None or review.low is None or review.high is None:
        return f"{title}<p>Too few of the sampled texts were answered for an estimate.</p>"
    told = (
        f"{review.accuracy:.1%} of the labels are right by the random sample, each label weighted by its documents. The"
        f" interval from {review.low:.1%} to {review.high:.1%} holds the true share in {review.confidence:.0%} of such"
        f" checks. Wanted: {review.target:.1%}."
    )
    drawn = _interval(review.accuracy, review.low, review.high, review.target)
    return f'{title}<p>{told}</p><div class="charts"><figure>{drawn}</figure></div>'


def _interval(accuracy: float, low: float, high: float, target: float) -> str:
    """The estimate, its interval and the target on a line from 0 to 1."""
    ticks = "".join(
        f'<line class="axis" x1="{_x(n / _TICKS):.1f}" x2="{_x(n / _TICKS):.1f}" y1="{_LINE - 4}" y2="{_LINE + 4}"/>'
        f'<text class="label" x="{_x(n / _TICKS):.1f}" y="{_LINE + 24}">{n / _TICKS:.0%}</text>'
        for n in range(_TICKS + 1)
    )
    width = max(2.0, _x(high) - _x(low))
    said = f"estimate {accuracy:.1%}, interval {low:.1%} to {high:.1%}, target {target:.1%}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="interval-title">'
        f'<title id="interval-title">{said}</title>'
        f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{_LINE}" y2="{_LINE}"/>{ticks}'
        f'<rect class="bar" x="{_x(low):.1f}" y="{_LINE - 7}" width="{width:.1f}" height="14" rx="3" opacity="0.55"/>'
        f'<rect class="bar" x="{_x(accuracy) - 2:.1f}" y="{_LINE - 13}" width="4" height="26" rx="1"/>'
        f'<text class="count" x="{_x(accuracy):.1f}" y="{_LINE - 20}">{accuracy:.1%}</text>'
        f'<line class="target" x1="{_x(target):.1f}" x2="{_x(target):.1f}" y1="{_LINE - 16}" y2="{_LINE + 12}"/>'
        f'<text x="{_x(target):.1f}" y="{_LINE + 44}">▲ target {target:.1%}</text></svg>'
    )


def _x(share: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * share


def _labels(sample: Checked) -> str:
    """The random sample by the label that the labeler gave."""
    ordered = sorted(sample.asked, key=lambda label: (-sample.asked[label], _name(label, _NO_LABEL)))
    rows: list[list[str | float]] = [
        [
            _name(label, _NO_LABEL),
            sample.asked[label],
            sample.right(label),
            sample.answered(label) - sample.right(label),
            sample.asked[label] - sample.answered(label),
            sample.right(label) / sample.answered(label) if sample.answered(label) else "",
        ]
        for label in ordered[:_LABELS_SHOWN]
    ]
    if not rows:
        return ""
    columns = ["label", "sampled", "right", "wrong", "not answered", "share right"]
    return f"<h2>By label</h2>{figure('The random sample', table(columns, rows))}{_left_out(ordered, _LABELS_SHOWN)}"


def _answers(report: Report) -> list[str]:
    """What people said instead, of both sets."""
    shown = [
        _changes("The random sample", report.sample),
        _changes("Texts whose label looked wrong: never part of the estimate", report.suspicious),
    ]
    return ["<h2>What people said instead</h2>", '<div class="charts">', *shown, "</div>"]


def _changes(title: str, checked: Checked) -> str:
    answered = sum(checked.pairs.values())
    if not checked.asked:
        return ""
    wrong = {pair: count for pair, count in checked.pairs.items() if pair[0] != pair[1]}
    ordered = sorted(wrong, key=lambda pair: (-wrong[pair], _name(pair[0], _NO_LABEL), _name(pair[1], _NONE_OF_THESE)))
    rows: list[list[str | float]] = [
        [f"{_name(had, _NO_LABEL)} \u2192 {_name(given, _NONE_OF_THESE)}", wrong[had, given]]
        for had, given in ordered[:_PAIRS_SHOWN]
    ]
    counts = f"<p>{sum(wrong.values()):,} of {answered:,} answered texts got another label.</p>"
    listed = table(["label \u2192 by people", "texts"], rows) if rows else ""
    return figure(title, f"{counts}{listed}{_left_out(ordered, _PAIRS_SHOWN)}")


def _left_out(entries: Sized, shown: int) -> str:
    more = len(entries) - shown
    return f'<p class="note">{more:,} more are left out.</p>' if more > 0 else ""


def _name(label: str | None, none: str) -> str:
    return none if label is None else label[:_MAX_LABEL_CHARS]
