from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from airflow_provider_autoglm.corpus.publish.card import card_of as write_of
from tests.corpus.publish.conftest import Datasets, review, row, rows

OF_THE_FIRST_RELEASE = (
    "version publication previous labels label_counts splits new_documents changed_labels dropped_documents reviewed"
)


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
    assert "\n| a\\|b | 1 | 50.0% |" in text
    assert "\n| two lines | 1 | 50.0% |" in text


def test_the_card_names_exactly_the_files_of_the_manifest(datasets: Datasets) -> None:
    datasets.publish(rows(0, 100))
    header, _ = card_of(datasets)

    (config,) = header["configs"]
    named = {path: entry["split"] for entry in config["data_files"] for path in entry["path"]}
    manifest = json.loads((datasets.folder / "datasets" / "v1" / "_manifest.json").read_text())
    assert set(named) == {shard["name"] for shard in manifest["shards"]}
    assert all(path.startswith(f"data/{split}-") for path, split in named.items())


def test_the_header_is_one_that_the_hub_takes(datasets: Datasets) -> None:
    from huggingface_hub import DatasetCard

    datasets.publish(
        [*rows(0, 6, lang="no"), *rows(6, 9, lang="zh"), *rows(9, 10, lang="x-klingon")], license="CC BY 4.0"
    )
    card = DatasetCard.load(str(datasets.folder / "datasets" / "v1" / "README.md"))

    assert card.data.to_dict() == {
        "pretty_name": "dataset",
        "license": "cc-by-4.0",
        "language": ["no", "zh"],
        "task_categories": ["text-classification"],
        "size_categories": ["n<1K"],
        "configs": card_of(datasets)[0]["configs"],
    }


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ("MIT", {"license": "mit"}),
        ("Crown © 2026: ask us", {"license": "other", "license_name": "Crown © 2026: ask us"}),
        ("  ", {}),
    ],
)
def test_a_licence_the_hub_does_not_know_is_told_by_its_name(
    datasets: Datasets, given: str, header: dict[str, str]
) -> None:
    datasets.publish(rows(0, 10), license=given)
    found, text = card_of(datasets)

    assert {name: value for name, value in found.items() if name.startswith("license")} == header
    assert f"Licence of the texts: {given.strip() or 'not stated'}." in text


@pytest.mark.parametrize(
    ("count", "size"),
    [(999, "n<1K"), (1_000, "1K<n<10K"), (999_999, "100K<n<1M"), (10**9 - 1, "100M<n<1B"), (10**9, "1B<n<10B")],
)
def test_the_size_is_told_in_the_steps_of_the_hub(datasets: Datasets, count: int, size: str) -> None:
    datasets.publish(rows(0, 10))
    text = write_of(datasets.manifest(1).model_copy(update={"rows": count}))

    assert f'size_categories:\n- "{size}"\n' in text


def test_the_card_tells_class_balance_sources_reasons_and_where_the_changes_are(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10, source="site", host="example.com", labeler="m"))
    datasets.publish(rows(10, 40, source="site"), test_fraction=0.3)
    _, text = card_of(datasets, 2)

    classes = datasets.record(2).class_rows["a"]
    assert f"| a | 20 | 50.0% | {classes['train']} | {classes['validation']} | {classes['test']} |" in text
    assert "| source | rows |\n|---|---|\n| site | 40 |" in text
    assert "| host | rows |\n|---|---|\n| example.com | 10 |" in text
    assert "Reasons of the run: manual." in text
    assert "`diff.parquet`" in text
    assert "diff.parquet" not in card_of(datasets, 1)[1]


def test_an_unreviewed_version_tells_the_labelers_confidence_and_that_nobody_checked_it(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10, label_score=0.75))
    _, text = card_of(datasets)

    assert "Nobody has checked the labels that came with version 1." in text
    assert "10 have a score, 0.75 on average. That is the labeler's own confidence, not calibrated on labelled" in text
    assert "| 1 | 10 | 10 | 0.75 | no | unreviewed |  |" in text


def test_a_reviewed_version_tells_the_estimate_with_its_interval(datasets: Datasets) -> None:
    datasets.publish(
        datasets.corpus(rows(0, 10, label_score=0.75), review=review(), metrics={"calibration/ece_after": 0.02})
    )
    _, text = card_of(datasets)

    assert "Labels are checked by people." in text
    assert "241 of 246 texts were answered, 91.2% (95% interval 87.8% to 93.8%) of the automatic labels" in text
    assert "wanted were 80%. 17 labels were corrected since." in text
    assert "confidence, calibrated on labelled texts; it is no check" in text
    assert "| 1 | 10 | 10 | 0.75 | yes | passed | 91.2% (95% interval 87.8% to 93.8%) |" in text


def test_a_version_of_which_a_part_is_checked_says_so(datasets: Datasets) -> None:
    datasets.publish(datasets.corpus(rows(0, 10), metrics={"calibration/ece_after": 0.02}))
    datasets.publish(datasets.corpus(rows(10, 20), review=review(low=None, high=None)))
    _, text = card_of(datasets, 2)

    assert "Labels are in part checked by people." in text
    assert "91.2% of the automatic labels were right" in text
    assert "in part calibrated" in text


def test_a_version_that_people_labelled_says_so(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10, label_source="human"))

    assert "All 10 rows that came with version 1 were labelled by people." in card_of(datasets)[1]


def test_markup_in_what_was_crawled_is_not_markup_in_the_card(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10, source="<img src=x> | `a` [b](c) *d* \\"))

    assert "| \\<img src=x> \\| \\`a\\` \\[b](c) \\*d\\* \\\\ | 10 |" in card_of(datasets)[1]


def test_the_card_of_an_earlier_release_says_what_is_known(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10))
    manifest = datasets.manifest(1)
    record = {name: value for name, value in (manifest.dataset or {}).items() if name in OF_THE_FIRST_RELEASE}
    text = write_of(manifest.model_copy(update={"dataset": record}))

    assert "10 texts in 2 classes. Labels are automatic and unreviewed." in text
    assert "| a | 5 | 50.0% |  |  |  |" in text
    assert "Reasons of the run: not stated." in text
