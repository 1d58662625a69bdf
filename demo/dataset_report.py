"""The figures of the dataset as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from demo.summary import STAGES, DuplicateExample, Summary

_BAR_CHARS = 30


def dataset_lines(summary: Summary) -> Iterator[str]:
    """All figures of the dataset."""
    yield f"Pages of {summary.site}"
    yield f"  attempted {summary.pages_attempted}, crawled {summary.pages_crawled}"
    yield from _by_reason("rejected", summary.rejected)
    yield from _by_reason("removed", summary.removed)
    yield ""
    yield f"Duplicates removed: {summary.duplicates_removed}"
    for example in summary.duplicate_examples:
        yield from _example(example)
    yield ""
    yield "Labels of the dataset"
    for label, share in summary.label_shares.items():
        yield f"  {label:<22} {share:6.1%}  {'█' * round(share * _BAR_CHARS)}"
    if summary.agreement is not None:
        agreement = summary.agreement
        yield f"  agreement with the truth: {agreement.share:.1%} of {agreement.rows} rows"
    yield ""
    dataset = summary.dataset
    splits = ", ".join(f"{name} {rows}" for name, rows in dataset.opened_rows.items())
    yield f"Dataset version {dataset.version}: {dataset.rows} rows ({splits})"
    yield f"  datasets.load_dataset({dataset.path!r})"
    seconds = ", ".join(f"{stage} {summary.seconds.get(stage, 0):.0f} s" for stage in STAGES)
    yield f"  {seconds}"


def _by_reason(what: str, stages: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for stage, reasons in stages.items():
        if reasons:
            listed = ", ".join(f"{reason} {rows}" for reason, rows in reasons.items())
            yield f"  {what} by {stage}: {listed}"


def _example(example: DuplicateExample) -> Iterator[str]:
    yield f"  {example.hamming} of 64 bits apart, Jaccard similarity {example.jaccard:.2f}"
    yield f"    removed  {example.removed_url}"
    yield f"             {example.removed_excerpt}"
    yield f"    kept     {example.kept_url}"
    yield f"             {example.kept_excerpt}"
