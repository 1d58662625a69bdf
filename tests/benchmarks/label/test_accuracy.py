"""The tables hold what can be answered from the files that are given, counted right."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.dedupe.tables import Cell
from benchmarks.label import accuracy
from tests.labeling.sentences import TEXTS, TRUTH

NEWS = {"football": "Sports", "space": "Sci/Tech", "cooking": "Business"}


@pytest.fixture
def news(tmp_path: Path) -> Path:
    """Sentences on football and space under the labels of AG News, and some on cooking, which none of them fits."""
    path = tmp_path / "ag_news.parquet"
    pq.write_table(pa.table({"text": TEXTS, "label": [NEWS[truth] for truth in TRUTH]}), path)
    return path


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "clinc150.parquet"
    domains = ["kitchen_and_dining" if truth == "cooking" else "oos" for truth in TRUTH]
    pq.write_table(pa.table({"text": TEXTS, "label": TRUTH, "domain": domains}), path)
    return path


def number(cell: Cell) -> float:
    assert isinstance(cell, float)
    return cell


def test_no_files_give_no_tables() -> None:
    assert accuracy.tables({}) == []


def test_news_are_labelled_by_phrases_and_by_names_and_from_examples(news: Path) -> None:
    zero_shot, few_shot, scope = accuracy.tables({"ag_news": news})
    assert [row["set"] for row in zero_shot.rows] == ["ag_news, phrases", "ag_news, names"]
    assert zero_shot.rows[0]["texts"] == len(TEXTS)
    assert [row["examples a label"] for row in few_shot.rows] == [4, 8]  # there are 12 of the smallest label
    assert all(number(row["lowest"]) > 0.8 for row in few_shot.rows)
    assert {row["set"] for row in scope.rows} == {"ag_news", "ag_news, 3 of 4 (mean)"}


def test_a_higher_threshold_refuses_more_of_the_texts_of_no_label(requests: Path) -> None:
    *_, scope = accuracy.tables({"clinc150": requests})
    for center in ("no", "yes"):
        rows = [row for row in scope.rows if row["center"] == center]
        refused = [number(row["refused"]) for row in rows]
        recall = [number(row["recall"]) for row in rows]
        assert len(rows) == len(accuracy.THRESHOLDS)
        assert refused == sorted(refused)
        assert recall == sorted(recall, reverse=True)
        assert refused[-1] > refused[0]


def test_the_command_prints_the_tables_and_writes_them(
    requests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tables.json"
    assert accuracy.main(["--clinc150", str(requests), "--output", str(output)]) == 0
    assert "clinc150, phrases of 5" in capsys.readouterr().out
    assert "Texts of no label" in output.read_text()
