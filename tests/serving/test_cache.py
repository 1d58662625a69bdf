from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import DamagedModelError, TrackingUnavailableError
from airflow_provider_autoglm.serving.cache import ModelCache, cache_root, open_cache
from airflow_provider_autoglm.settings import ServingSettings
from airflow_provider_autoglm.state.routes import Model
from airflow_provider_autoglm.tracking.registry import model_digest
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer


def _packaged(folder: Path, version: int) -> Model:
    """A folder of files, as a version that is copied from there."""
    (folder / "artifacts").mkdir(parents=True)
    (folder / "MLmodel").write_text(f"version: {version}")
    (folder / "artifacts" / "weights").write_bytes(bytes([version]) * 1000)
    return Model(str(version), folder.as_uri(), model_digest(str(folder)))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return _packaged(tmp_path / "source", 1)


@pytest.fixture
def models(tmp_path: Path) -> list[Model]:
    return [_packaged(tmp_path / f"source-{version}", version) for version in range(5)]


def _cached(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.is_dir()}


def _name(model: Model) -> str:
    return model.digest.removeprefix("sha256:")


def test_a_model_is_fetched_from_mlflow_once_and_served_from_the_cache_when_mlflow_is_away(
    auth_server: MlflowServer, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN_PASSWORD)
    client = MlflowClient(tracking_uri=auth_server.uri)
    run = client.create_run(client.create_experiment("autoglm/cache"))
    client.log_artifacts(run.info.run_id, str(tmp_path / "source"), "model")
    logged = Model("1", f"runs:/{run.info.run_id}/model", model.digest)
    settings = ServingSettings(pipeline="default", tracking_uri=auth_server.uri, cache_dir=str(tmp_path / "cache"))

    folder = open_cache(settings).fetch(logged)
    assert (Path(folder) / "MLmodel").read_text() == "version: 1"
    assert Path(folder).parent == tmp_path / "cache" / "models"
    with auth_server.away():
        restarted = open_cache(settings)
        assert restarted.fetch(logged) == folder
        (Path(folder) / "MLmodel").write_text("version: 2")
        with pytest.raises(TrackingUnavailableError):
            restarted.fetch(logged)
    assert (Path(open_cache(settings).fetch(logged)) / "MLmodel").read_text() == "version: 1"


def test_a_model_in_the_cache_is_not_read_from_its_source_again(model: Model, tmp_path: Path) -> None:
    folder = ModelCache(str(tmp_path / "cache"), None, keep=2).fetch(model)
    elsewhere = Model("7", "file:///nowhere", model.digest)
    assert ModelCache(str(tmp_path / "cache"), None, keep=2).fetch(elsewhere) == folder


@pytest.mark.parametrize("damage", ["changed", "missing", "added", "empty"])
def test_a_damaged_entry_is_fetched_again(model: Model, tmp_path: Path, damage: str) -> None:
    cache = ModelCache(str(tmp_path / "cache"), None, keep=2)
    folder = Path(cache.fetch(model))
    weights = folder / "artifacts" / "weights"
    if damage == "changed":
        weights.write_bytes(b"x" * 1000)
    elif damage == "added":
        (folder / "more").write_bytes(b"x")
    else:
        weights.unlink()
    if damage == "empty":
        (folder / "MLmodel").unlink()
    assert Path(cache.fetch(model)) == folder
    assert model_digest(str(folder)) == model.digest


def test_what_a_killed_download_left_is_swept_away(model: Model, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    leftover = cache / f"{_name(model)}.4711.part"
    leftover.mkdir(parents=True)
    ModelCache(str(cache), None, keep=2).fetch(model)
    assert _cached(cache) == {_name(model)}


def test_files_of_another_digest_are_refused_and_leave_nothing(model: Model, tmp_path: Path) -> None:
    other = Model("2", model.model_uri, "sha256:" + "0" * 64)
    with pytest.raises(DamagedModelError, match="and not sha256:0000"):
        ModelCache(str(tmp_path / "cache"), None, keep=2).fetch(other)
    assert _cached(tmp_path / "cache") == set()


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc", "md5:" + "0" * 64])
def test_a_digest_that_is_none_is_refused(tmp_path: Path, digest: str) -> None:
    with pytest.raises(DamagedModelError, match="is no digest"):
        ModelCache(str(tmp_path / "cache"), None, keep=2).fetch(Model("1", "file:///x", digest))


def test_without_a_server_a_run_cannot_be_fetched_from(tmp_path: Path) -> None:
    cache = open_cache(ServingSettings(pipeline="default", cache_dir=str(tmp_path)))
    with pytest.raises(DamagedModelError, match="set tracking_uri"):
        cache.fetch(Model("1", "runs:/abc/model", "sha256:" + "0" * 64))


def test_models_used_longest_ago_are_evicted_and_wanted_ones_never(models: list[Model], tmp_path: Path) -> None:
    cache = ModelCache(str(tmp_path / "cache"), None, keep=2)
    oldest, *others = models[:4]
    for each in (oldest, *others):
        cache.want([oldest.digest, each.digest])
        path = cache.fetch(each)
        os.utime(path + ".use", ns=(int(each.version) * 10**9,) * 2)
    assert _cached(tmp_path / "cache") == {_name(oldest), _name(models[3])}
    cache.want([])
    cache.fetch(models[4])
    assert _cached(tmp_path / "cache") == {_name(models[3]), _name(models[4])}


def test_a_model_that_is_used_again_counts_as_new(models: list[Model], tmp_path: Path) -> None:
    cache = ModelCache(str(tmp_path / "cache"), None, keep=2)
    for position, each in enumerate(models[:2]):
        os.utime(cache.fetch(each) + ".use", ns=(position,) * 2)
    cache.fetch(models[0])
    cache.close()
    cache.fetch(models[2])
    assert _cached(tmp_path / "cache") == {_name(models[0]), _name(models[2])}


def test_what_another_gateway_uses_is_not_evicted_until_it_ends(models: list[Model], tmp_path: Path) -> None:
    script = f"""
import sys
from airflow_provider_autoglm.serving.cache import ModelCache
from airflow_provider_autoglm.state.routes import Model
cache = ModelCache({str(tmp_path / "cache")!r}, None, keep=2)
print(cache.fetch(Model("0", {models[0].model_uri!r}, {models[0].digest!r})), flush=True)
sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        used = Path(other.stdout.readline().strip())
        os.utime(f"{used}.use", ns=(0, 0))
        cache = ModelCache(str(tmp_path / "cache"), None, keep=2)
        for each in models[1:4]:
            cache.want([])
            cache.fetch(each)
        assert _cached(tmp_path / "cache") == {_name(models[0]), _name(models[3])}
    finally:
        other.kill()
        other.communicate()
    os.utime(f"{used}.use", ns=(0, 0))
    cache.want([])
    cache.fetch(models[4])
    assert _cached(tmp_path / "cache") == {_name(models[3]), _name(models[4])}


def test_an_entry_whose_mark_is_gone_goes_first(models: list[Model], tmp_path: Path) -> None:
    cache = ModelCache(str(tmp_path / "cache"), None, keep=2)
    for each in models[:2]:
        cache.fetch(each)
    cache.close()
    (tmp_path / "cache" / f"{_name(models[1])}.use").unlink()
    cache.fetch(models[2])
    assert _cached(tmp_path / "cache") == {_name(models[0]), _name(models[2])}


def test_gateways_that_fetch_and_evict_at_once_do_not_harm_each_other(models: list[Model], tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(offset: int) -> None:
        cache = ModelCache(str(tmp_path / "cache"), None, keep=2)
        try:
            for count in range(40):
                each = models[(count * (offset + 1)) % len(models)]
                cache.want([each.digest])
                assert model_digest(cache.fetch(each)) == each.digest
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            cache.close()

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_folder_is_the_users_cache_unless_one_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_root(ServingSettings(pipeline="default")) == "/home/ada/.cache/airflow-provider-autoglm"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root(ServingSettings(pipeline="default")) == str(tmp_path / "airflow-provider-autoglm")
    assert cache_root(ServingSettings(pipeline="default", cache_dir="/var/cache/gateway")) == "/var/cache/gateway"


def test_others_cannot_read_or_write_the_models(model: Model, tmp_path: Path) -> None:
    ModelCache(str(tmp_path / "cache"), None, keep=2).fetch(model)
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
