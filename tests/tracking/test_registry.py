from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import (
    DamagedModelError,
    ModelVersionNotFoundError,
    TrackingRefusedError,
    TrackingUnavailableError,
)
from airflow_provider_autoglm.tracking.registry import (
    DIGEST_TAG,
    RegisteredVersion,
    Registry,
    download_model,
    model_digest,
)
from tests.mlflow_server import MlflowServer, free_port


@pytest.fixture
def registry(client: MlflowClient, request: pytest.FixtureRequest) -> Registry:
    """A registered model of the test's own, which does not exist yet."""
    return Registry(client, request.node.name)


@pytest.fixture
def run_id(client: MlflowClient, experiment: str) -> str:
    return new_run(client, experiment)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder as training writes it, in small."""
    folder = tmp_path / "packaged" / "model"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "artifacts" / "model.onnx").write_bytes(os.urandom(3 * 1024**2))
    return folder


def new_run(client: MlflowClient, experiment: str) -> str:
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    return str(client.create_run(experiment_id).info.run_id)


def uploaded(client: MlflowClient, run_id: str, package: Path) -> str:
    client.log_artifacts(run_id, str(package), "model")
    return f"runs:/{run_id}/model"


def versions(registry: Registry) -> list[str]:
    return [str(version.version) for version in registry.client.search_model_versions(f"name = '{registry.name}'")]


def nothing_left(folder: Path) -> bool:
    return not list(folder.glob("fetched*"))


# Registering


def test_a_run_is_registered_once_with_its_digest_and_tags(registry: Registry, run_id: str) -> None:
    first = registry.register(run_id, "model", "sha256:1", {"autoglm.reasons": "drift"})
    again = registry.register(run_id, "model", "sha256:1", {"autoglm.reasons": "drift"})

    assert first == RegisteredVersion(
        name=registry.name,
        version="1",
        run_id=run_id,
        model_uri=f"runs:/{run_id}/model",
        digest="sha256:1",
        tags={"autoglm.reasons": "drift", DIGEST_TAG: "sha256:1"},
    )
    assert again == first
    assert registry.version("1") == first
    assert registry.find_run(run_id) == first
    assert versions(registry) == ["1"]


def test_another_run_is_another_version(registry: Registry, run_id: str, experiment: str) -> None:
    registry.register(run_id, "model", "sha256:1", {})
    other = new_run(registry.client, experiment)

    assert registry.find_run(other) is None
    assert registry.register(other, "model", "sha256:2", {}).version == "2"
    assert registry.register(run_id, "model", "sha256:1", {}).version == "1"


class Together(MlflowClient):
    """Waits before it creates a version, and before it deletes one, until the others are there too."""

    line: threading.Barrier

    def create_model_version(self, *arguments: object, **keywords: object) -> ModelVersion:
        self.line.wait(30)
        return super().create_model_version(*arguments, **keywords)  # type: ignore[arg-type]

    def search_model_versions(self, *arguments: object, **keywords: object) -> object:  # type: ignore[override]
        self.line.wait(30)
        return super().search_model_versions(*arguments, **keywords)  # type: ignore[arg-type]

    def delete_model_version(self, *arguments: object, **keywords: object) -> None:
        self.line.wait(30)
        super().delete_model_version(*arguments, **keywords)  # type: ignore[arg-type]


def test_two_that_register_one_run_at_once_keep_one_version(
    registry: Registry, mlflow_server: MlflowServer, run_id: str
) -> None:
    line = threading.Barrier(2)

    def register(_: int) -> RegisteredVersion:
        client = Together(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri)
        client.line = line
        return Registry(client, registry.name).register(run_id, "model", "sha256:1", {})

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(register, range(2))

    assert first == second
    assert versions(registry) == ["1"]
    assert registry.find_run(run_id) == first


def test_a_version_that_is_not_there_is_told(registry: Registry, run_id: str) -> None:
    with pytest.raises(ModelVersionNotFoundError, match="there is none of this number"):
        registry.version("1")
    registry.register(run_id, "model", "sha256:1", {})

    for missing in ("2", "one"):
        with pytest.raises(ModelVersionNotFoundError, match=f"version {missing}: there is none of this number"):
            registry.version(missing)
    for write in (registry.set_tag, lambda version, *_: registry.set_alias("champion", version)):
        with pytest.raises(ModelVersionNotFoundError, match="version 2"):
            write("2", "autoglm.verdict", "passed")


def test_a_version_that_somebody_else_registered_is_told(registry: Registry, run_id: str) -> None:
    registry.client.create_registered_model(registry.name)
    registry.client.create_model_version(registry.name, source=f"runs:/{run_id}/model", run_id=run_id)
    registry.set_alias("champion", "1")

    for read in (lambda: registry.version("1"), lambda: registry.find_alias("champion")):
        with pytest.raises(ModelVersionNotFoundError, match=r"version 1: it has no tag autoglm\.digest"):
            read()


def test_a_version_without_a_run_is_read(registry: Registry) -> None:
    registry.client.create_registered_model(registry.name)
    registry.client.create_model_version(registry.name, source="s3://bucket/model", tags={DIGEST_TAG: "sha256:1"})

    found = registry.version("1")
    assert (found.run_id, found.digest) == ("", "sha256:1")


# Aliases and tags


def test_aliases_point_to_versions_and_move(registry: Registry, run_id: str, experiment: str) -> None:
    registry.register(run_id, "model", "sha256:1", {})
    second = registry.register(new_run(registry.client, experiment), "model", "sha256:2", {})
    assert registry.find_alias("champion") is None

    registry.set_alias("champion", "1")
    registry.set_alias("champion", "2")
    registry.set_alias("previous", "1")
    assert registry.find_alias("champion") == second

    registry.drop_alias("champion")
    registry.drop_alias("champion")
    assert registry.find_alias("champion") is None
    previous = registry.find_alias("previous")
    assert previous is not None
    assert previous.version == "1"


def test_a_model_that_nobody_has_registered_has_no_alias_to_find_or_to_drop(registry: Registry) -> None:
    assert registry.find_alias("champion") is None
    registry.drop_alias("champion")
    assert registry.find_alias("champion") is None


def test_a_version_is_tagged_again_and_again(registry: Registry, run_id: str) -> None:
    registry.register(run_id, "model", "sha256:1", {})
    registry.set_tag("1", "autoglm.verdict", "passed")
    registry.set_tag("1", "autoglm.verdict", "refused")

    assert registry.version("1").tags == {DIGEST_TAG: "sha256:1", "autoglm.verdict": "refused"}


def test_a_version_has_a_page(registry: Registry, run_id: str, mlflow_server: MlflowServer) -> None:
    registry.register(run_id, "model", "sha256:1", {})

    assert registry.version_url("1") == f"{mlflow_server.uri}/#/models/{registry.name}/versions/1"


# Without the server


CALLS: list[Callable[[Registry], object]] = [
    lambda registry: registry.register("run", "model", "sha256:1", {}),
    lambda registry: registry.version("1"),
    lambda registry: registry.find_run("run"),
    lambda registry: registry.find_alias("champion"),
    lambda registry: registry.set_alias("champion", "1"),
    lambda registry: registry.drop_alias("champion"),
    lambda registry: registry.set_tag("1", "tag", "value"),
]


@pytest.mark.parametrize("call", CALLS)
def test_without_a_server_everything_says_so_and_may_be_retried(call: Callable[[Registry], object]) -> None:
    uri = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(TrackingUnavailableError, match=f"MLflow at {uri} cannot be used") as raised:
        call(Registry(MlflowClient(tracking_uri=uri, registry_uri=uri), "news"))
    assert raised.value.retry_can_help


@pytest.mark.parametrize("call", CALLS)
def test_a_refusal_is_not_taken_for_an_absence(
    call: Callable[[Registry], object], auth_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_AUTH", raising=False)

    with pytest.raises(TrackingRefusedError, match="refuses the user name or password"):
        call(Registry(MlflowClient(tracking_uri=auth_server.uri, registry_uri=auth_server.uri), "news"))


def test_a_model_that_cannot_be_created_is_told(auth_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class MayOnlyRead(MlflowClient):
        def search_model_versions(self, *_: object, **__: object) -> list[ModelVersion]:  # type: ignore[override]
            return []

    monkeypatch.delenv("MLFLOW_TRACKING_AUTH", raising=False)
    client = MayOnlyRead(tracking_uri=auth_server.uri, registry_uri=auth_server.uri)

    with pytest.raises(TrackingRefusedError):
        Registry(client, "news").register("run", "model", "sha256:1", {})


def test_without_a_server_nothing_is_downloaded(tmp_path: Path) -> None:
    uri = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(TrackingUnavailableError, match=f"MLflow at {uri} cannot be used"):
        download_model("runs:/run/model", "sha256:1", str(tmp_path / "fetched"), MlflowClient(tracking_uri=uri))
    assert nothing_left(tmp_path)


# Files


def test_a_digest_is_of_names_and_contents_wherever_the_folder_is(package: Path, tmp_path: Path) -> None:
    digest = model_digest(str(package))
    moved = package.rename(tmp_path / "elsewhere")
    assert model_digest(str(moved)) == digest
    assert digest.startswith("sha256:")
    assert len(digest) == len("sha256:") + 64

    (moved / "MLmodel").rename(moved / "MLmodel2")
    renamed = model_digest(str(moved))
    (moved / "MLmodel2").rename(moved / "MLmodel")
    (moved / "MLmodel").write_text("flavors: {}")
    changed = model_digest(str(moved))
    (moved / "artifacts" / "extra").write_text("")
    assert len({digest, renamed, changed, model_digest(str(moved))}) == 4


def test_a_registered_model_is_downloaded_whole(
    client: MlflowClient, run_id: str, package: Path, tmp_path: Path
) -> None:
    uri, digest = uploaded(client, run_id, package), model_digest(str(package))
    destination = tmp_path / "cache" / "fetched"

    download_model(uri, digest, str(destination), client)
    download_model(uri, digest, str(destination), client)

    assert model_digest(str(destination)) == digest
    assert sorted(os.listdir(tmp_path / "cache")) == ["fetched"]
    assert os.access(destination, os.R_OK | os.X_OK)


def test_files_of_another_digest_do_not_appear(
    client: MlflowClient, run_id: str, package: Path, tmp_path: Path
) -> None:
    uri = uploaded(client, run_id, package)

    with pytest.raises(DamagedModelError, match=r"its files have digest sha256:\w{64} and not sha256:other") as raised:
        download_model(uri, "sha256:other", str(tmp_path / "fetched"), client)
    assert not raised.value.retry_can_help
    assert nothing_left(tmp_path)


class LosesItsServer(MlflowClient):
    """The server goes before the files are asked for, after it was found well."""

    server: MlflowServer

    def download_artifacts(self, run_id: str, path: str, dst_path: str | None = None) -> str:
        self.server.stop()
        return super().download_artifacts(run_id, path, dst_path)


def test_a_download_that_is_interrupted_leaves_nothing_and_works_later(
    mlflow_server: MlflowServer, client: MlflowClient, run_id: str, package: Path, tmp_path: Path
) -> None:
    uri, digest = uploaded(client, run_id, package), model_digest(str(package))
    losing = LosesItsServer(tracking_uri=mlflow_server.uri, registry_uri=mlflow_server.uri)
    losing.server = mlflow_server
    try:
        with pytest.raises(TrackingUnavailableError):
            download_model(uri, digest, str(tmp_path / "fetched"), losing)
    finally:
        mlflow_server.start()
    assert nothing_left(tmp_path)

    download_model(uri, digest, str(tmp_path / "fetched"), client)
    assert model_digest(str(tmp_path / "fetched")) == digest


def test_many_that_download_to_one_place_at_once_find_it_whole(
    client: MlflowClient, run_id: str, package: Path, tmp_path: Path
) -> None:
    uri, digest = uploaded(client, run_id, package), model_digest(str(package))

    with ThreadPoolExecutor(4) as threads:
        done = threads.map(lambda _: download_model(uri, digest, str(tmp_path / "fetched"), client), range(4))
        assert list(done) == [None] * 4

    assert model_digest(str(tmp_path / "fetched")) == digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fetched", "packaged"]


def test_other_files_at_the_destination_are_not_taken_for_the_model(package: Path, tmp_path: Path) -> None:
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched" / "MLmodel").write_text("something else")

    with pytest.raises(OSError, match="not empty"):
        download_model(package.as_uri(), model_digest(str(package)), str(tmp_path / "fetched"), None)
    assert os.listdir(tmp_path / "fetched") == ["MLmodel"]


@pytest.mark.parametrize("path", ["model", "no/such"])
def test_artifacts_that_mlflow_does_not_have_are_told(
    client: MlflowClient, run_id: str, tmp_path: Path, path: str
) -> None:
    for run in (run_id, "0" * 32):
        with pytest.raises(DamagedModelError, match=f"the model at runs:/{run}/{path} cannot be used"):
            download_model(f"runs:/{run}/{path}", "sha256:1", str(tmp_path / "fetched"), client)
    assert nothing_left(tmp_path)


def test_a_folder_is_copied_without_a_server(package: Path, tmp_path: Path) -> None:
    odd = package.rename(package.parent / "a model 50%")

    download_model(odd.as_uri(), model_digest(str(odd)), str(tmp_path / "fetched"), None)

    assert model_digest(str(tmp_path / "fetched")) == model_digest(str(odd))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DamagedModelError, match=r"cannot be copied: .*No such file"):
        download_model(f"file://{tmp_path}/absent", "sha256:1", str(tmp_path / "fetched"), None)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    "uri", ["models:/news/1", "runs:/", "runs:/abc", "runs:/abc/", "s3://bucket/model", "file://host/model", "model"]
)
def test_an_address_of_another_kind_is_refused(client: MlflowClient, tmp_path: Path, uri: str) -> None:
    with pytest.raises(DamagedModelError, match="expected runs:/<run id>/<path> or file:///folder"):
        download_model(uri, "sha256:1", str(tmp_path / "fetched"), client)


def test_without_a_client_a_run_cannot_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(DamagedModelError, match=r"no MLflow server is configured.*set tracking_uri"):
        download_model("runs:/abc/model", "sha256:1", str(tmp_path / "fetched"), None)
