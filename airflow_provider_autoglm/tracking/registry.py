"""Registered models of a pipeline: versions found again by the run that made them, aliases, and files with a digest."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Literal
from urllib.parse import unquote, urlsplit

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import DamagedModelError, ModelVersionNotFoundError
from airflow_provider_autoglm.tracking.server import SERVER_ERRORS, check_reachable, explain, set_client_defaults
from airflow_provider_autoglm.tracking.values import quoted

Alias = Literal["champion", "challenger", "previous"]

DIGEST_TAG = "autoglm.digest"
_MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
_CHUNK_BYTES = 1024**2


@dataclass(frozen=True)
class RegisteredVersion:
    """A registered version; ``model_uri`` (``runs:/<run id>/<path>``) and ``digest`` are what is served."""

    name: str
    version: str
    run_id: str
    model_uri: str
    digest: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """The registered model ``name`` on one MLflow server.

    :raises TrackingUnavailableError: from every method, if the server cannot be used. Nothing here works without it.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        set_client_defaults()
        self.client = client
        self.name = name

    def register(self, run_id: str, path: str, digest: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """Register the artifacts at ``path`` of a run; the version that the run has already made is returned as it is.

        Of two that register the same run at once, the lower version stays and the other is deleted.
        """
        with _explained(self.client):
            found = self._versions_of(run_id)
            if not found:
                self._create_registered_model()
                self.client.create_model_version(
                    self.name,
                    source=f"runs:/{run_id}/{path}",
                    run_id=run_id,
                    tags={**tags, DIGEST_TAG: digest},
                )
                found = self._versions_of(run_id)
            first, *later = sorted(found, key=lambda version: int(version.version))
            for version in later:
                with _MissingIsFine():  # the other one may have deleted it
                    self.client.delete_model_version(self.name, str(version.version))
            return _registered(first)

    def find_run(self, run_id: str) -> RegisteredVersion | None:
        """The version that a run has made, if any."""
        with _explained(self.client):
            found = self._versions_of(run_id)
            return _registered(min(found, key=lambda version: int(version.version))) if found else None

    def version(self, version: str) -> RegisteredVersion:
        """One version.

        :raises ModelVersionNotFoundError: if there is none of this number, or it has no digest.
        """
        with _explained(self.client), _MissingIsFine():
            return _registered(self.client.get_model_version(self.name, version))
        raise ModelVersionNotFoundError(self.name, version)

    def find_alias(self, alias: Alias) -> RegisteredVersion | None:
        """The version that the alias points to, if any.

        :raises ModelVersionNotFoundError: if it points to a version that this package has not registered.
        """
        with _explained(self.client), _MissingIsFine():
            return _registered(self.client.get_model_version_by_alias(self.name, alias))
        return None

    def set_alias(self, alias: Alias, version: str) -> None:
        """Let the alias point to ``version``.

        :raises ModelVersionNotFoundError: if there is none of this number.
        """
        with _explained(self.client), _MissingIsFine():
            self.client.set_registered_model_alias(self.name, alias, version)
            return
        raise ModelVersionNotFoundError(self.name, version)

    def drop_alias(self, alias: Alias) -> None:
        """Let the alias point to nothing; nothing happens if it does."""
        with _explained(self.client), _MissingIsFine():
            self.client.delete_registered_model_alias(self.name, alias)

    def version_url(self, version: str) -> str:
        """Where MLflow's UI shows a version."""
        return f"{self.client.tracking_uri.rstrip('/')}/#/models/{self.name}/versions/{version}"

    def set_tag(self, version: str, tag: str, value: str) -> None:
        """Tag a version.

        :raises ModelVersionNotFoundError: if there is none of this number.
        """
        with _explained(self.client), _MissingIsFine():
            self.client.set_model_version_tag(self.name, version, tag, value)
            return
        raise ModelVersionNotFoundError(self.name, version)

    def _versions_of(self, run_id: str) -> list[ModelVersion]:
        found = self.client.search_model_versions(f"name = {quoted(self.name)} and run_id = {quoted(run_id)}")
        return list(found)

    def _create_registered_model(self) -> None:
        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def model_digest(folder: str) -> str:
    """``sha256:…`` over the relative paths and contents of all files below ``folder``."""
    whole = hashlib.sha256()
    for path in sorted(_files(folder)):
        content = hashlib.sha256()
        with open(os.path.join(folder, path), "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                content.update(chunk)
        whole.update(f"{path}\0{content.hexdigest()}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def download_model(model_uri: str, digest: str, destination: str, client: MlflowClient | None) -> None:
    """Fetch a packaged model into ``destination``, which appears only when it is whole and of this digest.

    Until then its files are in a folder beside it, ``<destination>.*.part``; who is killed leaves that behind.

    :param model_uri: ``runs:/<run id>/<path>``, fetched through ``client``; or ``file:///folder``, copied.
    :raises DamagedModelError: if the files are not of ``digest`` or not there, ``model_uri`` is neither, or there is no
        client for it.
    :raises TrackingUnavailableError: if MLflow cannot be used.
    """
    parent, name = os.path.split(os.path.abspath(destination))
    os.makedirs(parent, exist_ok=True)
    with TemporaryDirectory(prefix=f"{name}.", suffix=".part", dir=parent, ignore_cleanup_errors=True) as unfinished:
        folder = _fetch(model_uri, unfinished, client)
        found = model_digest(folder)
        if found != digest:
            raise DamagedModelError(model_uri, f"its files have digest {found} and not {digest}")
        _move(folder, destination, digest)


def _fetch(model_uri: str, destination: str, client: MlflowClient | None) -> str:
    parts = urlsplit(model_uri)
    if parts.scheme == "file" and not parts.netloc:
        return _copy(model_uri, unquote(parts.path), os.path.join(destination, "model"))
    run_id, _, path = parts.path.lstrip("/").partition("/")
    if parts.scheme != "runs" or not run_id or not path:
        raise DamagedModelError(model_uri, "expected runs:/<run id>/<path> or file:///folder")
    if client is None:
        raise DamagedModelError(model_uri, "no MLflow server is configured to fetch it from; set tracking_uri")
    with _explained(client), _MissingIsFine():
        return client.download_artifacts(run_id, path, destination)
    raise DamagedModelError(model_uri, "MLflow does not have it")


def _copy(model_uri: str, source: str, destination: str) -> str:
    try:
        return shutil.copytree(source, destination)
    except (OSError, shutil.Error) as error:
        raise DamagedModelError(model_uri, f"its files cannot be copied: {error}") from error


def _move(folder: str, destination: str, digest: str) -> None:
    try:
        os.rename(folder, destination)
    except OSError:
        # Somebody else may have been first, with the same files.
        if not os.path.isdir(destination) or model_digest(destination) != digest:
            raise


def _files(folder: str) -> Iterator[str]:
    for root, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(root, name), folder).replace(os.sep, "/")


def _registered(version: ModelVersion) -> RegisteredVersion:
    tags = dict(version.tags)
    if DIGEST_TAG not in tags:
        raise ModelVersionNotFoundError(version.name, str(version.version), f"it has no tag {DIGEST_TAG}")
    return RegisteredVersion(
        name=version.name,
        version=str(version.version),
        run_id=version.run_id or "",
        model_uri=version.source or "",
        digest=tags[DIGEST_TAG],
        tags=tags,
    )


@contextmanager
def _explained(client: MlflowClient) -> Iterator[None]:
    try:
        check_reachable(client.tracking_uri)
        yield
    except SERVER_ERRORS as error:
        raise explain(client.tracking_uri, error) from error


class _MissingIsFine(AbstractContextManager[None]):
    """Ends the block where MLflow says that there is no such thing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return isinstance(error, MlflowException) and error.error_code in _MISSING
