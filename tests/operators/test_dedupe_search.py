"""De-duplication over mapped tasks: the same rows as by one task, as the documentation shows it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.operators.dedupe import SimHashDedupeOperator
from airflow_provider_autoglm.operators.dedupe_search import CandidateSearchOperator, FingerprintOperator, shares
from airflow_provider_autoglm.settings import PublishSettings
from tests.conftest import REPOSITORY
from tests.dags.running import states_after

pytestmark = pytest.mark.usefixtures("airflow_home", "compiled_kernels")

SETTINGS = {"method": "both", "max_removed_fraction": 1}
FAMILIES = 40


def text(family: int, variant: int) -> str:
    drawn = random.Random(family)
    words = ["".join(drawn.choices(ascii_lowercase, k=7)) for _ in range(50)]
    words[7 + variant] = f"other{variant}"
    return " ".join(words)


def documents(folder: str, variants: range) -> str:
    """A corpus of four shards, with one text a family and variant; near duplicates lie in different shards."""
    cells = [(family, variant) for variant in variants for family in range(FAMILIES)]
    rows = pa.table(
        {
            "url": [f"https://site.example/{family}/{variant}" for family, variant in cells],
            "text": [text(family, variant) for family, variant in cells],
            "label": ["news"] * len(cells),
        }
    )
    quarter = len(cells) // 4
    tables = [rows.slice(start, quarter) for start in range(0, len(cells), quarter)]
    return write_corpus(folder, tables, stage="clean", max_shard_bytes=1).uri


def run_in(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    """What ``load_settings`` would return of the run ``name`` in ``folder``."""
    root = folder.as_uri()
    return {
        "pipeline": "own",
        "dag_id": "own_dedupe",
        "run_id": name,
        "root": root,
        "folder": f"{root}/own/runs/{name}",
        **changes,
    }


def documented() -> Callable[[str, dict[str, Any], dict[str, Any]], SimHashDedupeOperator]:
    """The function of the documentation that adds the tasks to a DAG."""
    page = (REPOSITORY / "docs" / "concepts" / "pipeline.md").read_text()
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "FingerprintOperator" in block]
    names: dict[str, Any] = {}
    exec(blocks[0], names)
    function: Callable[[str, dict[str, Any], dict[str, Any]], SimHashDedupeOperator] = names["dedupe_over_workers"]
    return function


def mapped(source: str, run: dict[str, Any]) -> dict[str, str]:
    with DAG("dedupe_over_workers", schedule=None) as dag:
        documented()(source, SETTINGS, run)
    return states_after(dag)


def in_one_task(source: str, run: dict[str, Any]) -> dict[str, str]:
    with DAG("dedupe_in_one_task", schedule=None) as dag:
        SimHashDedupeOperator(task_id="dedupe", source=source, settings=SETTINGS, run=run)
    return states_after(dag)


def rows_of(folder: Path, name: str) -> list[list[dict[str, Any]]]:
    corpus = Corpus.open(f"{folder}/own/runs/{name}/dedupe")
    return [corpus.to_table().to_pylist(), corpus.to_table(kind="removed").to_pylist()]


def test_mapped_tasks_come_to_the_rows_of_one_task_with_earlier_runs_in_sight(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    labels = PublishSettings(labels=("news",), min_class_rows=0)
    for folder, run_dag in ((whole, in_one_task), (parts, mapped)):
        for name, variants in (("first", range(2)), ("second", range(1, 4))):
            source = documents(f"{folder}/{name}/clean", variants)
            assert set(run_dag(source, run_in(folder, name)).values()) == {"success"}
            publish(f"{folder}/own/runs/{name}/dedupe", f"{folder}/own/datasets", labels)

    first, second = rows_of(whole, "first"), rows_of(whole, "second")
    assert [rows_of(parts, "first"), rows_of(parts, "second")] == [first, second]
    assert [len(rows) for rows in first] == [FAMILIES, FAMILIES]
    assert {row["kept_id"] for row in second[1]} == {row["doc_id"] for row in first[0]}
    assert {part.name for part in (parts / "own/runs/first/fingerprint").iterdir()} == {
        f"part={number:03d}" for number in range(4)
    }
    assert len(list((parts / "own/runs/first/search").iterdir())) == 8


def test_a_run_that_forces_dedupe_computes_prints_and_search_again_too(tmp_path: Path) -> None:
    source = documents(f"{tmp_path}/clean", range(2))
    folder = tmp_path / "own" / "runs" / "first"

    def attempts() -> list[str]:
        corpora = [*folder.glob("fingerprint/part=*"), *folder.glob("search/share=*"), folder / "dedupe"]
        return [Corpus.open(str(corpus)).manifest.attempt for corpus in sorted(corpora)]

    mapped(source, run_in(tmp_path, "first"))
    first = attempts()
    mapped(source, run_in(tmp_path, "first"))
    assert attempts() == first

    mapped(source, run_in(tmp_path, "first", force_stages=["dedupe"]))
    assert len(first) == 13
    assert not set(attempts()) & set(first)


def test_without_a_run_parts_and_shares_lie_where_the_dag_says(tmp_path: Path) -> None:
    source = documents(f"{tmp_path}/clean", range(2))
    with DAG("own_search", schedule=None) as dag:
        prints = FingerprintOperator(
            task_id="fingerprint", source=source, settings=SETTINGS, destination=f"{tmp_path}/prints"
        )
        search = CandidateSearchOperator.partial(
            task_id="search", prints=[f"{tmp_path}/prints"], settings=SETTINGS, destination=f"{tmp_path}/found"
        ).expand(share=shares(3))
        found: BaseOperator = SimHashDedupeOperator(
            task_id="dedupe",
            source=source,
            prints=[f"{tmp_path}/prints"],
            found=search.output,
            settings=SETTINGS,
            destination=f"{tmp_path}/dedupe",
        )
        prints >> search >> found
    assert set(states_after(dag).values()) == {"success"}
    assert Corpus.open(f"{tmp_path}/dedupe").rows == FAMILIES
    assert sorted(share.name for share in (tmp_path / "found").iterdir()) == ["share=000", "share=001", "share=002"]


@pytest.mark.parametrize("given", [{"prints": ["file:///prints"]}, {"found": ["file:///found"]}])
def test_prints_without_what_was_found_in_them_are_refused(
    tmp_path: Path, given: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with DAG("half_of_a_search", schedule=None) as dag:
        SimHashDedupeOperator(
            task_id="dedupe", source="file:///clean", settings={}, destination=f"{tmp_path}/dedupe", **given
        )
    assert states_after(dag) == {"dedupe": "failed"}
    assert "dedupe: prints= and found= go together; give both, or none" in capsys.readouterr().out


def test_shares_are_numbered_from_zero_and_name_their_count() -> None:
    assert shares(3) == [[0, 3], [1, 3], [2, 3]]
