"""What a version is made of: sources, hosts, languages, labelers."""

from __future__ import annotations

from contextlib import closing

import pyarrow as pa

from airflow_provider_autoglm.corpus.publish.composition import Composition
from tests.corpus.publish.conftest import Datasets, row, rows


def test_the_record_counts_sources_hosts_languages_and_who_gave_the_labels(datasets: Datasets) -> None:
    pages = [
        row(number, source="site", host=f"{number % 2}.example.com", lang="zh" if number == 3 else "en", labeler="m")
        for number in range(5)
    ]
    asked = row(9, source="traffic", host=None, lang=None, label_source="feedback", labeler=None)
    datasets.publish([*pages, asked, row(10, None, source="left out")])

    record = datasets.record(1)
    assert record.sources == {"site": 5, "traffic": 1}
    assert record.hosts == {"0.example.com": 3, "1.example.com": 2}
    assert record.languages == {"en": 4, "zh": 1}
    assert record.label_sources == {"auto": 5, "feedback": 1}
    assert record.labelers == {"m": 5}


def test_the_counts_are_of_the_whole_version(datasets: Datasets) -> None:
    datasets.publish(rows(0, 10, source="one"))
    datasets.publish(rows(5, 20, source="other"))

    assert datasets.record(2).sources == {"other": 15, "one": 5}


def test_classes_are_counted_by_split_and_a_class_without_rows_too(datasets: Datasets) -> None:
    datasets.publish(rows(0, 60), labels=["b", "a", "c"], min_class_rows=0, test_fraction=0.3)

    record, found = datasets.record(1), datasets.rows(1).values()
    assert list(record.class_rows) == ["b", "a", "c"]
    assert record.class_rows == {
        label: {
            split: sum((values["label"], values["split"]) == (label, split) for values in found)
            for split in ("train", "validation", "test")
        }
        for label in "bac"
    }


def test_rare_values_are_counted_together_and_long_ones_by_their_beginning() -> None:
    table = pa.table(
        {
            "source": [f"source {number:02d}" for number in range(30)] + ["source 07"] + ["x" * 1_000] * 2,
            "label_source": ["auto"] * 33,
            "label_score": pa.nulls(33, pa.float32()),
        }
    )
    with closing(Composition()) as composition:
        composition.add(table)
        composition.add(table.slice(0, 1))
        found = composition.most_frequent("source")

    assert list(found.items())[:3] == [("source 00", 2), ("source 07", 2), ("x" * 255, 2)]
    assert (len(found), found["others"], sum(found.values())) == (21, 11, 34)
