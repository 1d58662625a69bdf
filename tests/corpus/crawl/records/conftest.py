"""Sources of files, crawled for real into a corpus that is opened again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.result import StageResult
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import CrawlSettings


@dataclass(frozen=True)
class Crawled:
    """Rows of a corpus and the rows it put aside, in order."""

    result: StageResult
    kept: list[dict[str, Any]]
    rejected: list[dict[str, Any]]

    @property
    def texts(self) -> list[str]:
        return [row["text"] for row in self.kept]

    @property
    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.rejected]

    @property
    def problems(self) -> list[str]:
        return [row["problem"] for row in self.rejected]


Crawl = Callable[..., Crawled]


@pytest.fixture
def crawl_files(tmp_path: Path) -> Crawl:
    """Crawls sources, whatever is rejected."""

    def run(*sources: Any, out: str = "out", **settings: Any) -> Crawled:
        result = crawl(list(sources), str(tmp_path / out), CrawlSettings(max_rejected_fraction=1, **settings))
        assert result.rows_in == result.rows_out + result.rejected + result.removed
        corpus = Corpus.open(result.uri)
        return Crawled(result, corpus.to_table().to_pylist(), corpus.to_table(kind="rejected").to_pylist())

    return run
