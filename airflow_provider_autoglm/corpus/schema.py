"""The columns of a document, its normalised text and its ``doc_id``."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import pyarrow as pa

from airflow_provider_autoglm.exceptions import MissingColumnsError

DOCUMENT_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("source", pa.string()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("lang", pa.string()),
        ("lang_score", pa.float32()),
        ("fetched_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""Columns every corpus has, in this order; others follow and travel through untouched."""

CRAWL_SCHEMA = pa.schema(
    [
        *DOCUMENT_SCHEMA,
        ("final_url", pa.string()),
        ("published_at", pa.timestamp("us", tz="UTC")),
        ("canonical_url", pa.string()),
        ("status", pa.int16()),
        ("depth", pa.int32()),
        ("charset", pa.string()),
        ("truncated", pa.bool_()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("content_sha256", pa.string()),
        ("host", pa.string()),
    ]
)
"""Columns of a crawled corpus."""

LABEL_COLUMNS = pa.schema(
    [
        ("label", pa.string()),
        ("label_score", pa.float32()),
        ("label_margin", pa.float32()),
        ("uncertainty", pa.float32()),
        ("labeler", pa.string()),
        ("label_source", pa.string()),
    ]
)
"""Columns that labelling adds; a null ``label`` means that the labeler abstained."""

LABELLED_BY_PEOPLE = ("human", "feedback")
"""Values of ``label_source`` that no automatic stage overwrites."""

REVIEWED_SAMPLE = "review/sample"
REVIEWED_SUSPICIOUS = "review/suspicious"
"""Values of ``labeler`` of rows that people have labelled in a spot check: in its random sample, or because their label
looked wrong. Only the first tell how good labels are."""

TRAFFIC_SOURCE = "traffic"
"""``source`` of what the gateway was asked: one text is one document however often it came. These are texts of persons,
erased on request, so they are not copied elsewhere."""

HEX_DIGITS_OF_DOC_ID = 32


def normalise_text(text: str) -> str:
    """NFC with runs of white space folded to one space: two texts that read the same are the same."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def document_id(source_key: str, text: str) -> str:
    """32 hex digits of SHA-256 over the source key (the URL, else the source) and the normalised text."""
    payload = f"{source_key}\0{normalise_text(text)}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(payload).hexdigest()[:HEX_DIGITS_OF_DOC_ID]


def require_columns(uri: str, table: pa.Table, columns: Sequence[str]) -> None:
    """:raises MissingColumnsError: if ``table`` lacks one of ``columns``."""
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise MissingColumnsError(uri, missing, table.column_names)


def set_column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """``table`` with the column ``name`` replaced in its place, or added at the end."""
    index = table.schema.get_field_index(name)
    return table.append_column(name, values) if index < 0 else table.set_column(index, name, values)
