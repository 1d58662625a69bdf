"""Some texts of a corpus, drawn evenly and the same for every task that works on a part of it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from airflow_provider_autoglm.corpus.schema import require_columns
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.labeling.documents import texts_of
from airflow_provider_autoglm.labeling.routing import rows_by_route
from airflow_provider_autoglm.settings.label import LabelSettings


@dataclass(frozen=True)
class TextSample:
    """The ``refine_texts`` texts of one route with the smallest ``doc_id``.

    That is a hash, so they are spread evenly over sources and labels.
    """

    corpora: Sequence[Corpus]
    settings: LabelSettings
    route: str

    def batches(self) -> Iterator[list[str]]:
        """The texts, those of one row group at a time.

        :raises MissingColumnsError: if a corpus lacks ``doc_id`` or ``text``.
        """
        ids = (doc_id for table in self._tables("doc_id") for doc_id in table["doc_id"].to_pylist() if doc_id)
        drawn = set(heapq.nsmallest(self.settings.refine_texts, ids))
        for table in self._tables("doc_id", "text"):
            rows = zip(table["doc_id"].to_pylist(), texts_of(table), strict=True)
            yield [text for doc_id, text in rows if doc_id in drawn and text is not None]

    def _tables(self, *columns: str) -> Iterator[pa.Table]:
        for corpus in self.corpora:
            for table in corpus.iter_tables([*columns, "lang"]):
                require_columns(corpus.uri, table, columns)
                for route, rows in rows_by_route(table, self.settings):
                    if route == self.route:
                        yield table if rows.all() else table.take(np.flatnonzero(rows))
