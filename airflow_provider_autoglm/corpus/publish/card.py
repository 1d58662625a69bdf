"""The dataset card: ``README.md``, a function of the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from airflow_provider_autoglm.corpus.manifest import Manifest, read_manifest
from airflow_provider_autoglm.corpus.publish.card_header import header_of
from airflow_provider_autoglm.corpus.publish.difference import CHANGES, SUMMARY
from airflow_provider_autoglm.corpus.publish.quality import Batch
from airflow_provider_autoglm.corpus.publish.record import DatasetRecord
from airflow_provider_autoglm.corpus.publish.splits import SPLITS
from airflow_provider_autoglm.corpus.publish.wording import (
    accuracy_in_words,
    labels_in_words,
    news_in_words,
    quality_in_words,
    title_of,
)
from airflow_provider_autoglm.corpus.storage import Storage

_BATCHES_LISTED = 20
_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*[<|"})


def write_card(dataset_uri: str, storage: Storage) -> None:
    """Write the card of a committed version; writing it again is harmless."""
    storage.replace(f"{dataset_uri}/README.md", card_of(read_manifest(dataset_uri, storage)).encode())


def card_of(manifest: Manifest) -> str:
    """The card's text."""
    record = DatasetRecord.of(manifest)
    title = title_of(manifest)
    lines = [
        *header_of(manifest, record, title),
        "",
        f"# {_escaped(title)}, version {record.version}",
        "",
        f"{manifest.rows} texts in {len(record.labels)} classes. Labels are {labels_in_words(record)}.",
        "",
        *_table(["split", "rows"], record.splits.items()),
        "## Classes",
        "",
        *_classes(manifest, record),
        "## How good the labels are",
        "",
        *(part for sentence in quality_in_words(record) for part in (sentence, "")),
        *_batches(record.reviews),
        "## Where the texts come from",
        "",
        *_counts("source", record.sources),
        *_counts("host", record.hosts),
        *_counts("language", record.languages),
        *_counts("label given by", record.label_sources),
        *_counts("labeler", record.labelers),
        "## What changed",
        "",
        news_in_words(record),
        *([f"Each document: `{CHANGES}`; in numbers: `{SUMMARY}`."] if record.previous is not None else []),
        "",
        *_provenance(manifest, record),
    ]
    return "\n".join(lines) + "\n"


def _classes(manifest: Manifest, record: DatasetRecord) -> Iterator[str]:
    rows = (
        [
            label,
            count,
            f"{count / manifest.rows:.1%}" if manifest.rows else "",
            *(record.class_rows.get(label, {}).get(split, "") for split in SPLITS),
        ]
        for label, count in record.label_counts.items()
    )
    return _table(["label", "rows", "share", *SPLITS], rows)


def _batches(batches: Sequence[Batch]) -> Iterator[str]:
    if not batches:
        return
    yield (
        "What each run brought when it was published; some of it may have been replaced since."
        " The score is the labeler's own confidence."
    )
    yield ""
    columns = ["version", "rows", "labelled by a machine", "mean score", "calibrated", "review", "right labels"]
    yield from _table(columns, (_batch(batch) for batch in batches[-_BATCHES_LISTED:]))


def _batch(batch: Batch) -> Sequence[str | int]:
    score = "" if batch.mean_score is None else f"{batch.mean_score:.2f}"
    accuracy = "" if batch.review is None else accuracy_in_words(batch.review)
    calibrated = "yes" if batch.is_calibrated else "no"
    return [batch.version, batch.rows, batch.automatic, score, calibrated, batch.outcome, accuracy]


def _counts(name: str, counts: Mapping[str, int]) -> Iterator[str]:
    return _table([name, "rows"], counts.items()) if counts else iter(())


def _provenance(manifest: Manifest, record: DatasetRecord) -> Iterator[str]:
    yield "## How it was made"
    yield ""
    yield f"Licence of the texts: {_escaped(str(manifest.settings.get('license', ''))) or 'not stated'}."
    yield f"Reasons of the run: {', '.join(record.reasons) or 'not stated'}."
    yield ""
    yield f"Published {manifest.created_at} by airflow-provider-autoglm from:"
    yield ""
    settings = {batch.source: batch.settings_digest for batch in record.reviews if batch.version == record.version}
    for item in manifest.inputs:
        made_with = f", settings `{settings[item.uri]}`" if item.uri in settings else ""
        yield f"- `{item.uri}` (digest `{item.digest}`{made_with})"
    yield ""
    yield f"Digest of the rows: `{manifest.digest}`. Settings: digest `{manifest.settings_digest}`."
    if record.content_digest:
        yield f"Digest of documents, texts, labels and splits, whoever has published them: `{record.content_digest}`."


def _table(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    yield from (f"| {' | '.join(_cell(value) for value in row)} |" for row in rows)
    yield ""


def _cell(value: str | int) -> str:
    return _escaped(str(value))


def _escaped(text: str) -> str:
    """``text`` in one line, without what Markdown and HTML would make something else of."""
    return " ".join(text.split()).translate(_MARKS)
