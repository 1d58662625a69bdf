"""Models named as ``models:/name@alias`` or ``models:/name/version``, of any flavour, whoever registered them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import ModelNotFoundError, NoSuchModelError
from airflow_provider_autoglm.tracking.server import SERVER_ERRORS, check_reachable, explain, set_client_defaults

_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_HEX_DIGITS_OF_SERVER = 16
_MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


@dataclass(frozen=True)
class RegisteredModels:
    """The registry of one MLflow server; files go to ``folder``, one folder a server and version.

    :raises TrackingUnavailableError: from every method, if the server cannot be used.
    """

    client: MlflowClient
    folder: str

    def __post_init__(self) -> None:
        set_client_defaults()

    def pin(self, uri: str) -> str:
        """The version that ``uri`` stands for now, as ``models:/name/3``.

        :raises ModelNotFoundError: if it is no such URI, or there is no such model, alias or version.
        """
        match = _matched(uri)
        with self._explained(uri):
            if match["alias"]:
                found = self.client.get_model_version_by_alias(match["name"], match["alias"])
            else:
                found = self.client.get_model_version(match["name"], match["version"])
        return f"models:/{found.name}/{found.version}"

    def fetch(self, uri: str) -> str:
        """The local folder of the version's files, downloaded once.

        :raises ModelNotFoundError: as :meth:`pin` does, and if the files are gone.
        """
        match = _matched(self.pin(uri))
        server = hashlib.sha256(self.client.tracking_uri.encode()).hexdigest()[:_HEX_DIGITS_OF_SERVER]
        target = os.path.join(self.folder, server, match["name"], match["version"])
        if os.path.isdir(target):
            return target
        os.makedirs(os.path.dirname(target), exist_ok=True)
        folder, version = os.path.split(target)
        with TemporaryDirectory(prefix=f"{version}.", suffix=".part", dir=folder, ignore_cleanup_errors=True) as part:
            with self._explained(uri):
                source = self.client.get_model_version_download_uri(match["name"], match["version"])
                tracking_uri = self.client.tracking_uri
                fetched = download_artifacts(artifact_uri=source, dst_path=part, tracking_uri=tracking_uri)
            try:
                os.rename(fetched, target)
            except OSError:
                # Another task of this machine may have been first.
                if not os.path.isdir(target):
                    raise
        return target

    @contextmanager
    def _explained(self, uri: str) -> Iterator[None]:
        try:
            check_reachable(self.client.tracking_uri)
            yield
        except SERVER_ERRORS as error:
            if isinstance(error, MlflowException) and error.error_code in _MISSING:
                raise ModelNotFoundError(uri, error.message) from None
            raise explain(self.client.tracking_uri, error) from error


def _matched(uri: str) -> re.Match[str]:
    match = _URI.fullmatch(uri)
    if match is None:
        raise NoSuchModelError(uri, "name a registered model as models:/name@alias or models:/name/version")
    return match
