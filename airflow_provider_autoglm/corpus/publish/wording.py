"""How good the labels are, in sentences that card and report share; they promise no more than was looked at."""

from __future__ import annotations

from airflow_provider_autoglm.corpus.manifest import Manifest, ReviewRecord
from airflow_provider_autoglm.corpus.publish.quality import Batch
from airflow_provider_autoglm.corpus.publish.record import DatasetRecord


def labels_in_words(record: DatasetRecord) -> str:
    """Who vouches for the labels of the whole version."""
    if record.reviewed:
        return "checked by people"
    is_some_checked = any(batch.outcome == "passed" for batch in record.reviews)
    return "in part checked by people" if is_some_checked else "automatic and unreviewed"


def quality_in_words(record: DatasetRecord) -> list[str]:
    """What is known of the labels' accuracy, one sentence a line: of what came last first."""
    newest = record.reviews[-1] if record.reviews else None
    lines = [] if newest is None else [review_in_words(newest)]
    automatic = record.automatic
    if automatic is not None and automatic.mean_score is not None:
        lines.append(
            f"Of {automatic.rows} automatically labelled rows, {automatic.scored} have a score,"
            f" {automatic.mean_score:.2f} on average. That is the labeler's own confidence, {_calibration(record)};"
            " it is no check of the labels."
        )
    return lines


def review_in_words(batch: Batch) -> str:
    """What people found of the rows of one corpus."""
    review = batch.review
    if batch.automatic == 0:
        return f"All {batch.rows} rows that came with version {batch.version} were labelled by people."
    of = f"the labels that came with version {batch.version}"
    if review is None or review.accuracy is None:
        return f"Nobody has checked {of}."
    return (
        f"People have checked {of} in a random sample: {review.answered} of {review.asked} texts were answered,"
        f" {accuracy_in_words(review)} of the automatic labels were right; wanted were {review.target:.0%}."
        f" {review.corrected} labels were corrected since."
    )


def accuracy_in_words(review: ReviewRecord) -> str:
    """The estimate and its interval, empty if there is none."""
    if review.accuracy is None:
        return ""
    if review.low is None or review.high is None:
        return f"{review.accuracy:.1%}"
    return f"{review.accuracy:.1%} ({review.confidence:.0%} interval {review.low:.1%} to {review.high:.1%})"


def news_in_words(record: DatasetRecord) -> str:
    """What a version changed."""
    if record.previous is None:
        return "The first version."
    return (
        f"Since version {record.previous}: {record.new_documents} documents are new, {record.changed_labels} changed"
        f" their label, {record.dropped_documents} were dropped."
    )


def title_of(manifest: Manifest) -> str:
    """The name of the dataset."""
    return str(manifest.settings.get("title") or manifest.pipeline or "dataset")


def _calibration(record: DatasetRecord) -> str:
    calibrated = [batch.is_calibrated for batch in record.reviews if batch.mean_score is not None]
    if calibrated and all(calibrated):
        return "calibrated on labelled texts"
    return "in part calibrated on labelled texts" if any(calibrated) else "not calibrated on labelled texts"
