"""The operators on their own, without ``load_settings``: a user's DAG of two tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, ShardMissingError
from airflow_provider_autoglm.operators.base import airflow_errors
from airflow_provider_autoglm.operators.clean import CleanOperator
from airflow_provider_autoglm.operators.corpus import JoinCorpusOperator, SplitCorpusOperator
from airflow_provider_autoglm.operators.crawl import CrawlOperator
from airflow_provider_autoglm.operators.dedupe import SimHashDedupeOperator
from airflow_provider_autoglm.operators.publish import PublishDatasetOperator
from airflow_provider_autoglm.settings import CleanSettings
from tests.dags.running import states_after

SENTENCE = "The quick brown fox number {} jumps over the lazy dog and then goes home to sleep."


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    """Two shards of labelled documents, some of which are too short or equal."""
    texts = [SENTENCE.format(number * 7919) for number in range(8)] + ["short", SENTENCE.format(0)]
    table = pa.table(
        {
            "url": [f"https://example.com/{number}" for number in range(len(texts))],
            "text": texts,
            "label": ["fox", "dog"] * 5,
            "label_source": ["human"] * 10,
        }
    )
    uri = str(tmp_path / "documents")
    write_corpus(uri, [table.slice(0, 5), table.slice(5)], stage="label", max_shard_bytes=1)
    return uri


def test_stages_compose_in_a_dag_of_the_users_own(airflow_home: Path, corpus: str, tmp_path: Path) -> None:
    with DAG("own_pipeline", schedule=None) as dag:
        split = SplitCorpusOperator(task_id="split", stage="clean", source=corpus, destination=f"{tmp_path}/clean")
        clean = CleanOperator.partial(task_id="clean", settings=CleanSettings(min_chars=20)).expand_kwargs(split.output)
        join = JoinCorpusOperator(task_id="join", stage="clean", sources=clean.output, destination=f"{tmp_path}/clean")
        dedupe = SimHashDedupeOperator(
            task_id="dedupe", source=join.output, settings={"similarity": 1}, destination=f"{tmp_path}/dedupe"
        )
        PublishDatasetOperator(
            task_id="publish",
            pipeline="own",
            sources=dedupe.output,
            settings={"labels": ["fox", "dog"]},
            destination=f"{tmp_path}/datasets",
        )
    assert set(states_after(dag).values()) == {"success"}
    version = Corpus.open(f"{tmp_path}/datasets/v1")
    assert version.rows == 8
    assert version.manifest.dataset is not None
    assert set(version.to_table()["label_source"].to_pylist()) == {"human"}


def test_several_corpora_are_split_and_joined_as_one(airflow_home: Path, corpus: str, tmp_path: Path) -> None:
    traffic = pa.table({"text": [SENTENCE.format(10**9)], "label": ["dog"], "label_source": ["feedback"]})
    write_corpus(f"{tmp_path}/traffic", [traffic], stage="collect_traffic")
    with DAG("two_sources", schedule=None) as dag:
        collected = task(lambda uri: uri, task_id="collect_traffic")(f"{tmp_path}/traffic")
        split = SplitCorpusOperator(
            task_id="split", stage="clean", source=[corpus, collected], destination=f"{tmp_path}/clean"
        )
        clean = CleanOperator.partial(task_id="clean", settings=CleanSettings(min_chars=20)).expand_kwargs(split.output)
        JoinCorpusOperator(task_id="join", stage="clean", sources=clean.output, destination=f"{tmp_path}/clean")
    assert set(states_after(dag).values()) == {"success"}
    joined = Corpus.open(f"{tmp_path}/clean")
    assert [part.uri for part in joined.manifest.parts] == ["part=000", "part=001", "part=002"]
    assert (joined.rows, joined.manifest.counters.rejected) == (10, 1)
    assert [item.uri for item in joined.manifest.origins] == [Path(corpus).as_uri(), f"file://{tmp_path}/traffic"]


def _clean(**arguments: Any) -> DAG:
    with DAG("own_clean", schedule=None, default_args={"retries": 3}) as dag:
        CleanOperator(task_id="clean", **arguments)
    return dag


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": {"min_char": 3}}, "clean.min_char: unknown key; did you mean 'min_chars'?"),
        ({"settings": {"min_chars": 0}}, "clean.min_chars = 0: input should be greater than or equal to 1"),
        ({"settings": {}}, "clean: set destination=, or run= from load_settings"),
    ],
)
def test_wrong_arguments_fail_at_once_whatever_the_retries(
    airflow_home: Path, corpus: str, arguments: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert states_after(_clean(source=corpus, **arguments)) == {"clean": "failed"}
    assert message in capsys.readouterr().out


def test_a_secret_in_a_source_is_refused_and_not_logged(
    airflow_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with DAG("own_crawl", schedule=None, default_args={"retries": 3}) as dag:
        source = "https://me:marked-source-secret@example.com/"
        CrawlOperator(task_id="crawl", sources=[source], settings={}, destination=f"{tmp_path}/crawl")
    assert states_after(dag) == {"crawl": "failed"}
    output = capsys.readouterr()
    assert "sources.0.url = 'https://***@example.com/'" in output.out
    assert "marked-source-secret" not in output.out + output.err


def test_only_errors_that_a_retry_can_help_are_left_to_airflows_retries() -> None:
    with pytest.raises(CorpusNotCommittedError), airflow_errors():
        raise CorpusNotCommittedError("file:///data/corpus")
    with pytest.raises(AirflowFailException, match=r"ShardMissingError: shard a\.parquet is missing"), airflow_errors():
        raise ShardMissingError("file:///data/corpus", "a.parquet")
