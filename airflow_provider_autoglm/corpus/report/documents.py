"""What a report shows of a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.corpus.schema import TRAFFIC_SOURCE
from airflow_provider_autoglm.settings.base import redact_userinfo

_WITHHELD = "(a text of the traffic: not copied here, where nobody would erase it)"


@dataclass(frozen=True)
class Document:
    """A document by its name, with its text; empty where there is none."""

    doc_id: str
    text: str
    url: str | None
    title: str | None
    lang: str | None


def document_of(row: Mapping[str, Any]) -> Document:
    """The document of a row. Texts of persons, who may want them erased, are not copied."""
    url = row.get("url")
    return Document(
        doc_id=row["doc_id"] or "",
        text=(row["text"] or "") if row.get("source") != TRAFFIC_SOURCE else _WITHHELD,
        url=url and redact_userinfo(url),
        title=row.get("title"),
        lang=row.get("lang"),
    )
