from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.parts import join_corpora, split_corpus
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.labeling import label
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from airflow_provider_autoglm.labeling.llm.spending import spending_metrics
from airflow_provider_autoglm.labeling.resources import Resources
from tests.labeling.conftest import settings_with
from tests.labeling.llm.conftest import llm_settings
from tests.labeling.llm.server import LlmServer


def test_a_mapped_stage_tells_what_all_its_tasks_have_used(
    endpoint: Endpoint, server: LlmServer, tmp_path: Path
) -> None:
    texts = [f"{name} number {number}" for number in range(3) for name in ("sports", "politics")]
    tables = [pa.table({"text": texts[:3]}), pa.table({"text": texts[3:]})]
    source = write_corpus(f"{tmp_path.as_uri()}/clean", tables, stage="clean", max_shard_bytes=1).uri
    settings = llm_settings(price_per_million_input=1.0, price_per_million_output=10.0)
    parts = [
        label(part["source"], part["destination"], settings, resources=Resources(endpoint=endpoint)).uri
        for part in split_corpus(source, f"{tmp_path.as_uri()}/label")
    ]
    joined = join_corpora(parts, f"{tmp_path.as_uri()}/label", stage="label")
    metrics = Corpus.open(joined.uri).manifest.metrics
    assert len(parts) == 2
    assert len(server.requests) == 6
    assert metrics["llm/requests"] == 6
    assert (metrics["llm/tokens_sent"], metrics["llm/tokens_received"]) == (540, 60)
    assert metrics["llm/cost"] == pytest.approx((540 + 600) / 1e6)


def test_other_labelers_cost_no_tokens(tmp_path: Path) -> None:
    assert spending_metrics(settings_with(), Resources(work=tmp_path.as_uri())) == {}
    assert spending_metrics(llm_settings(), Resources()) == {}
