from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.corpus.publish.conftest import Datasets, row, rows


def card_of(datasets: Datasets, version: int = 1) -> tuple[dict[str, Any], str]:
    """The header and the text of a version's card."""
    card = (datasets.folder / "datasets" / f"v{version}" / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    return yaml.safe_load(header), text


def load(datasets: Datasets, version: int, cache: Path) -> Any:
    from datasets import load_dataset

    return load_dataset(str(datasets.folder / "datasets" / f"v{version}"), cache_dir=str(cache))


def test_load_dataset_opens_a_version_with_the_rows_of_its_manifest(datasets: Datasets, tmp_path: Path) -> None:
    datasets.publish(rows(0, 100), test_fraction=0.2)
    folder = datasets.folder / "datasets" / "v2" / "data"
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        pq.write_table(pa.Table.from_pylist(rows(900, 910)), folder / f"{split}-20260101T000000-dead-00000.parquet")
    published = datasets.publish(rows(100, 150, stars=3), test_fraction=0.2, allow_schema_change=True)

    loaded = load(datasets, 2, tmp_path / "cache")

    assert {split: loaded[split].num_rows for split in loaded} == published.splits
    found = {values["doc_id"]: values for split in loaded for values in loaded[split]}
    expected = datasets.rows(2)
    assert set(found) == set(expected)
    assert all(found[doc_id]["text"] == expected[doc_id]["text"] for doc_id in expected)
    features = loaded["train"].features
    assert {name: features[name].dtype for name in ("text", "label", "label_score", "stars")} == {
        "text": "string",
        "label": "string",
        "label_score": "float64",
        "stars": "int64",
    }
    assert loaded["test"].features == features


def test_a_version_without_one_of_the_splits_opens_too(datasets: Datasets, tmp_path: Path) -> None:
    datasets.publish(rows(0, 10), test_fraction=0, validation_fraction=0)

    assert list(load(datasets, 1, tmp_path / "cache")) == ["train"]


def test_a_version_opens_wherever_it_is_copied(datasets: Datasets, tmp_path: Path) -> None:
    datasets.publish(rows(0, 10), test_fraction=0, validation_fraction=0)
    shutil.copytree(datasets.folder / "datasets" / "v1", tmp_path / "elsewhere" / "datasets" / "v1")

    assert load(Datasets(tmp_path / "elsewhere"), 1, tmp_path / "cache")["train"].num_rows == 10


def test_the_card_tells_version_splits_counts_and_that_nobody_reviewed_it(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10), title="News of the day")
    published = datasets.publish([row(1, "a"), *rows(10, 20)], title="News of the day", license="cc-by-4.0")
    header, text = card_of(datasets, 2)

    assert (header["pretty_name"], header["license"]) == ("News of the day", "cc-by-4.0")
    assert "# News of the day, version 2" in text
    assert "20 texts in 2 classes. Labels are automatic and unreviewed." in text
    for split, count in published.splits.items():
        assert f"| {split} | {count} |" in text
    assert "| a | 11 |" in text
    assert "| b | 9 |" in text
    assert "Since version 1: 10 documents are new, 1 changed their label, 0 were dropped." in text
    for uri in (datasets.corpora[1], f"{datasets.uri}/v1"):
        assert f"- `{uri}`" in text
    assert published.digest in text


def test_the_first_version_says_so_and_has_no_licence_of_its_own(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10))
    header, text = card_of(datasets)

    assert "license" not in header
    assert header["pretty_name"] == "dataset"
    assert "The first version." in text


@pytest.mark.parametrize(
    "title", ['Say "cheese": a --- [title]', "新闻 📚", "a: b # c", "tab\there", "\x7f\x85\u2028\ufeff"]
)
def test_any_title_keeps_the_header_readable(datasets: Datasets, title: str) -> None:
    datasets.publish(rows(0, 10), title=title)
    header, _ = card_of(datasets)

    assert header["pretty_name"] == title


def test_odd_titles_and_labels_do_not_break_headings_and_tables(datasets: Datasets) -> None:
    datasets.publish([row(1, "a|b"), row(2, "two\nlines")], title="two\n# headings")
    _, text = card_of(datasets)

    assert "# two # headings, version 1\n" in text
    assert "| a\\|b | 1 |\n| two lines | 1 |\n" in text


def test_the_card_names_exactly_the_files_of_the_manifest(datasets: Datasets) -> None:
    datasets.publish(rows(0, 100))
    header, _ = card_of(datasets)

    (config,) = header["configs"]
    named = {path: entry["split"] for entry in config["data_files"] for path in entry["path"]}
    manifest = json.loads((datasets.folder / "datasets" / "v1" / "_manifest.json").read_text())
    assert set(named) == {shard["name"] for shard in manifest["shards"]}
    assert all(path.startswith(f"data/{split}-") for path, split in named.items())
