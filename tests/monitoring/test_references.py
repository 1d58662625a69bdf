"""References: frozen once, of one model, found again, and never by halves."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.corpus.manifest import read_manifest
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import (
    DamagedManifestError,
    DamagedModelError,
    DifferentDimensionsError,
    ModelVersionNotFoundError,
    ShardDamagedError,
    ShardMissingError,
    TrackingUnavailableError,
    UnusableSampleError,
)
from airflow_provider_autoglm.monitoring.references import (
    Packed,
    Reference,
    find_reference,
    freeze_baseline,
    freeze_training,
)
from airflow_provider_autoglm.settings import DriftSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.routes import Model
from airflow_provider_autoglm.state.served import first_served
from airflow_provider_autoglm.tracking.registry import download_model, model_digest
from airflow_provider_autoglm.training.data import Examples
from airflow_provider_autoglm.training.packaged import PackagedModel
from airflow_provider_autoglm.training.reference import read_reference, write_reference
from tests.mlflow_server import free_port
from tests.monitoring.conftest import (
    AREAS,
    ONE,
    PIPELINE,
    TWO,
    mixed,
    never,
    serve,
    settings_with,
    table_of,
    unreachable,
    vectors_of,
    web_and_tables,
)
from tests.packaged import write_tiny_model


def freeze(
    database: Database,
    references: str,
    *,
    model: Model = ONE,
    settings: DriftSettings | None = None,
    packed: Packed = web_and_tables,
) -> Reference | None:
    settings = settings or settings_with()
    served = first_served(database, PIPELINE, model.version, limit=settings.baseline_rows)
    return freeze_baseline(references, model, served, settings, pipeline=PIPELINE, packed=packed)


def frozen(
    database: Database,
    references: str,
    *,
    model: Model = ONE,
    settings: DriftSettings | None = None,
    packed: Packed = web_and_tables,
) -> Reference:
    found = freeze(database, references, model=model, settings=settings, packed=packed)
    assert found is not None
    return found


def same(one: Reference, other: Reference | None) -> bool:
    return (
        other is not None
        and np.array_equal(one.sample.embeddings, other.sample.embeddings)
        and replace(one, sample=None) == replace(other, sample=None)  # type: ignore[arg-type]
        and list(one.sample.labels) == list(other.sample.labels)
    )


# The baseline


def test_fewer_rows_than_a_baseline_has_freeze_nothing(database: Database, references: str) -> None:
    serve(database, mixed(49, "web", "tables"))
    assert freeze(database, references, packed=never) is None
    assert find_reference(references, ONE, "traffic_baseline") is None
    assert not Storage.local().exists(references)


def test_the_first_rows_outside_any_rollout_are_frozen(database: Database, references: str) -> None:
    serve(database, mixed(30, "plots"), rollout_id=7, name="canary")
    serve(database, mixed(60, "web", "tables"), seed=3, text="a secret text")

    baseline = frozen(database, references)

    assert same(baseline, find_reference(references, ONE, "traffic_baseline"))
    assert baseline.uri == f"{references}/1"
    assert baseline.kind == "traffic_baseline"
    assert baseline.last_prediction_id == 80
    served = vectors_of(mixed(60, "web", "tables"), seed=3)[:50].astype("<f2").astype(np.float32)
    assert np.array_equal(baseline.sample.embeddings, served)
    assert baseline.sample.embeddings.dtype == np.float32
    assert list(baseline.sample.labels) == mixed(50, "web", "tables")


def test_the_corpus_holds_what_a_comparison_needs_and_no_text(database: Database, references: str) -> None:
    requests = serve(database, mixed(50, "web", "tables"), text="a secret text", at=1_000.25)
    corpus = Corpus.open(frozen(database, references).uri)

    table = corpus.to_table()
    assert table.schema.names == ["request_id", "label", "embedding", "at"]
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 16)
    assert table["request_id"].to_pylist() == requests
    assert table["at"].to_pylist()[1].timestamp() == 1_001.25
    assert corpus.manifest.settings == {"version": "1", "digest": "sha256:1", "kind": "traffic_baseline"}
    assert (corpus.manifest.stage, corpus.manifest.pipeline) == ("reference", PIPELINE)
    assert corpus.manifest.counters.rows_in == corpus.manifest.counters.rows_out == 50
    folder = Path(references.removeprefix("file://"))
    assert not [path for path in folder.rglob("*") if path.is_file() and b"a secret text" in path.read_bytes()]


def test_it_is_frozen_once_whatever_is_set_or_served_later(database: Database, references: str) -> None:
    serve(database, mixed(50, "web", "tables"))
    first = frozen(database, references)
    serve(database, mixed(200, "plots"), seed=1)

    again = freeze(database, references, settings=settings_with(baseline_rows=200), packed=never)

    assert same(first, again)
    assert len(first.sample) == 50


def test_each_version_has_its_own(database: Database, references: str) -> None:
    serve(database, mixed(50, "web"))
    serve(database, mixed(50, "plots"), version="2")
    one, two = frozen(database, references), frozen(database, references, model=TWO)
    assert same(one, find_reference(references, ONE, "traffic_baseline"))
    assert one.uri != two.uri
    assert set(two.sample.labels) == {"plots"}


def test_another_model_of_the_same_version_gets_one_of_its_own(database: Database, references: str) -> None:
    serve(database, mixed(50, "web", "tables"))
    old = frozen(database, references)
    recreated = replace(ONE, digest="sha256:another")
    assert find_reference(references, recreated, "traffic_baseline") is None

    new = frozen(database, references, model=recreated, packed=unreachable)

    assert new.uri == old.uri
    assert same(new, find_reference(references, recreated, "traffic_baseline"))
    assert find_reference(references, ONE, "traffic_baseline") is None


def test_embeddings_of_different_lengths_are_no_baseline(database: Database, references: str) -> None:
    serve(database, mixed(25, "web"))
    serve(database, mixed(25, "web"), vectors=np.ones((25, 8), np.float32), name="other")
    with pytest.raises(DifferentDimensionsError, match="8 dimensions"):
        freeze(database, references)


# Its one comparison with the training data


def test_the_gap_between_training_data_and_traffic_is_measured_once_and_kept(
    database: Database, references: str
) -> None:
    serve(database, mixed(50, "web", "plots"), labels=mixed(50, "web", "web", "tables"))
    gap = frozen(database, references).domain_gap
    assert gap is not None
    assert gap.score == max(gap.separation, gap.label_shift)
    assert 0.4 < gap.separation < 0.8
    assert 0.1 < gap.label_shift < 0.25
    assert gap.p_value < 0.01

    found = find_reference(references, ONE, "traffic_baseline")
    assert found is not None
    assert found.domain_gap == gap


def test_traffic_like_the_training_data_has_no_gap(database: Database, references: str) -> None:
    serve(database, mixed(50, "web", "tables"))
    gap = frozen(database, references).domain_gap
    assert gap is not None
    assert gap.score < 0.3


def from_a_server_that_is_away(tmp_path: Path) -> Packed:
    uri = f"http://127.0.0.1:{free_port()}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def fetch(model: Model) -> pa.Table:
        download_model(model.model_uri, model.digest, str(tmp_path / "model"), client)
        return read_reference(str(tmp_path / "model"))

    return fetch


def of_no_version(model: Model) -> pa.Table:
    raise ModelVersionNotFoundError(PIPELINE, model.version)


def of_a_damaged_package(model: Model) -> pa.Table:
    raise DamagedModelError(model.model_uri, "its files have digest sha256:2 and not sha256:1")


@pytest.mark.parametrize("trouble", ["MLflow is away", "no such version", "damaged"])
def test_without_its_package_the_traffic_is_frozen_all_the_same(
    database: Database, references: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    packages = {
        "MLflow is away": from_a_server_that_is_away(tmp_path),
        "no such version": of_no_version,
        "damaged": of_a_damaged_package,
    }
    serve(database, mixed(50, "web", "tables"))
    with caplog.at_level(logging.WARNING):
        baseline = frozen(database, references, packed=packages[trouble])
    assert baseline.domain_gap is None
    assert "the first traffic of version 1 is not compared with its training data" in caplog.text
    assert same(baseline, freeze(database, references, packed=never))


@pytest.mark.parametrize("trouble", ["not finite", "other dimensions"])
def test_a_package_that_cannot_be_compared_does_not_keep_the_traffic_from_being_frozen(
    database: Database, references: str, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    serve(database, mixed(50, "web", "tables"))
    packed = web_and_tables(ONE)
    numbers = np.full(80 * 16, np.nan, np.float32) if trouble == "not finite" else np.ones(80 * 8, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(numbers), len(numbers) // 80)
    baseline = frozen(database, references, packed=lambda _: packed.set_column(2, "embedding", vectors))
    assert baseline.domain_gap is None
    assert "the first traffic of version 1 is not compared with its training data" in caplog.text


def test_traffic_that_cannot_be_compared_is_no_baseline(database: Database, references: str) -> None:
    vectors = vectors_of(mixed(50, "web", "tables"))
    vectors[7, 3] = np.inf
    serve(database, mixed(50, "web", "tables"), vectors=vectors)
    with pytest.raises(UnusableSampleError, match="the current sample cannot be compared: 1 of 50"):
        freeze(database, references, packed=web_and_tables)
    assert find_reference(references, ONE, "traffic_baseline") is None


def test_training_data_too_few_to_compare_leave_the_gap_open(
    database: Database, references: str, caplog: pytest.LogCaptureFixture
) -> None:
    serve(database, mixed(50, "web", "tables"))
    baseline = frozen(database, references, packed=lambda _: table_of(mixed(7, "web")))
    assert baseline.domain_gap is None
    assert "50 and 7 rows are too few" in caplog.text


# Training data as the reference


def test_the_training_data_are_fetched_once_and_then_read_from_storage(references: str) -> None:
    asked: list[Model] = []

    def packed(model: Model) -> pa.Table:
        asked.append(model)
        return web_and_tables(model)

    assert find_reference(references, ONE, "training") is None
    first = freeze_training(references, ONE, pipeline=PIPELINE, packed=packed)
    again = freeze_training(references, ONE, pipeline=PIPELINE, packed=packed)

    assert asked == [ONE]
    assert same(first, again)
    assert same(first, find_reference(references, ONE, "training"))
    assert first.uri == f"{references}/1-training"
    assert (first.last_prediction_id, first.domain_gap) == (0, None)
    assert np.array_equal(first.sample.embeddings, vectors_of(mixed(80, "web", "tables"), seed=1))
    assert list(first.sample.labels) == mixed(80, "web", "tables")
    assert find_reference(references, ONE, "traffic_baseline") is None


def test_training_data_that_cannot_be_fetched_are_an_error(references: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingUnavailableError, match=r"http://127\.0\.0\.1"):
        freeze_training(references, ONE, pipeline=PIPELINE, packed=from_a_server_that_is_away(tmp_path))
    assert find_reference(references, ONE, "training") is None


# Two at once


def test_of_two_that_freeze_at_once_one_wins_and_the_other_reads_it(database: Database, references: str) -> None:
    serve(database, mixed(50, "web", "tables"))
    line = threading.Barrier(2)

    def together(is_reachable: bool) -> Reference:
        def packed(model: Model) -> pa.Table:
            line.wait(60)
            return web_and_tables(model) if is_reachable else unreachable(model)

        return frozen(database, references, packed=packed)

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(together, [True, False])

    assert same(one, other)
    assert sorted(name for name in os.listdir(f"{references.removeprefix('file://')}/1") if "manifest" in name) == [
        "_manifest.json"
    ]


# Damage


def damaged(references: str, how: str) -> None:
    folder = Path(references.removeprefix("file://")) / "1"
    shard = folder / read_manifest(f"{references}/1", Storage.local()).shards[0].name
    if how == "altered":
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    elif how == "missing":
        shard.unlink()
    else:
        (folder / "_manifest.json").write_text("{")


@pytest.mark.parametrize(
    ("how", "error"),
    [("altered", ShardDamagedError), ("missing", ShardMissingError), ("manifest", DamagedManifestError)],
)
def test_a_damaged_reference_is_an_error_that_names_it_and_is_not_frozen_again(
    database: Database, references: str, how: str, error: type[Exception]
) -> None:
    serve(database, mixed(50, "web", "tables"))
    frozen(database, references)
    damaged(references, how)
    for read in (lambda: find_reference(references, ONE, "traffic_baseline"), lambda: freeze(database, references)):
        with pytest.raises(error, match=f"{references}/1"):
            read()


# The packed reference


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packaged model with the reference that training packs."""
    folder = tmp_path_factory.mktemp("package") / "model"
    write_tiny_model(folder, labels=AREAS)
    examples = Examples(
        doc_ids=("a" * 32, "b" * 32), texts=("about tables", "about web"), classes=np.array([1, 0], np.int64)
    )
    (folder / "artifacts").mkdir(exist_ok=True)
    write_reference(PackagedModel.open(str(folder)), examples, AREAS, str(folder / "artifacts"))
    return folder


def test_what_was_packed_with_a_model_is_read_from_its_package(package: Path, tmp_path: Path) -> None:
    download_model(package.as_uri(), model_digest(str(package)), str(tmp_path / "fetched"), None)
    table = read_reference(str(tmp_path / "fetched"))
    assert table.schema.names == ["doc_id", "label", "embedding"]
    assert table["label"].to_pylist() == ["tables", "web"]
    expected = PackagedModel.open(str(package)).predict(["about tables", "about web"]).embedding
    assert np.array_equal(np.array(table["embedding"].to_pylist(), np.float32), expected)


@pytest.mark.parametrize("how", ["missing", "no Parquet", "other columns"])
def test_a_package_without_a_readable_reference_is_damaged(tmp_path: Path, how: str) -> None:
    (tmp_path / "artifacts").mkdir()
    file = tmp_path / "artifacts" / "reference.parquet"
    if how == "no Parquet":
        file.write_bytes(b"PAR1")
    elif how == "other columns":
        pq.write_table(pa.table({"doc_id": ["a"], "label": ["web"]}), file)
    with pytest.raises(DamagedModelError, match="its reference cannot be read"):
        read_reference(str(tmp_path))
