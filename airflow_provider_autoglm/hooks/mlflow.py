"""Airflow connections of type ``mlflow``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from airflow.sdk import BaseHook

from airflow_provider_autoglm.exceptions import AutoGLMError, InvalidConnectionError
from airflow_provider_autoglm.settings.base import refuse_userinfo
from airflow_provider_autoglm.settings.tracking import TrackingSettings

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from mlflow.tracking import MlflowClient

    from airflow_provider_autoglm.tracking import Tracker
    from airflow_provider_autoglm.tracking.registered_models import RegisteredModels


class MlflowHook(BaseHook):
    """
    Talk to the MLflow server of an Airflow connection.

    The connection's host is the server's URL (``https://mlflow.example.org/path``), or a host name beside scheme
    (``schema``, default ``http``) and port. Login and password are sent to that server alone and kept out of the
    environment; a password without a login is a bearer token.

    :param mlflow_conn_id: Connection of type ``mlflow``.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"
    conn_type = "mlflow"
    hook_name = "MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.mlflow_conn_id = mlflow_conn_id

    @property
    def tracking_uri(self) -> str:
        """The server's URL, without credentials.

        :raises InvalidConnectionError: if the connection names no HTTP server.
        :raises UnsafeUriError: if its host carries credentials.
        """
        return _tracking_uri(self.get_connection(self.mlflow_conn_id))

    def get_conn(self) -> MlflowClient:
        """Return the client; the name that Airflow's hooks share."""
        return self.get_client()

    def get_client(self) -> MlflowClient:
        """Build a client for this server alone; its credentials stay in this process."""
        from mlflow.tracking import MlflowClient

        from airflow_provider_autoglm.tracking.auth import PROVIDER_NAME, register_credentials

        connection = self.get_connection(self.mlflow_conn_id)
        tracking_uri = _tracking_uri(connection)
        register_credentials(tracking_uri, connection.login, connection.password)
        chosen = os.environ.setdefault("MLFLOW_TRACKING_AUTH", PROVIDER_NAME)
        if connection.password and chosen != PROVIDER_NAME:
            self.log.warning(
                "MLFLOW_TRACKING_AUTH is %s: the credentials of the connection %s are not used; unset it to use them",
                chosen,
                self.mlflow_conn_id,
            )
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    def get_tracker(self, pipeline: str, tracking: TrackingSettings) -> Tracker:
        """Build the tracker of a pipeline: experiment ``autoglm/<pipeline>`` unless the settings name another."""
        from airflow_provider_autoglm.tracking import Tracker

        experiment = tracking.experiment or f"autoglm/{pipeline}"
        return Tracker(self.get_client(), experiment, required=tracking.required)

    def get_registered_models(self, folder: str) -> RegisteredModels:
        """Build what finds and fetches registered models; their files go to ``folder`` on this worker."""
        from airflow_provider_autoglm.tracking.registered_models import RegisteredModels

        return RegisteredModels(self.get_client(), folder)

    def test_connection(self) -> tuple[bool, str]:
        """Ask the server; the *Test* button of the connection form."""
        from airflow_provider_autoglm.tracking.server import check_access

        try:
            client = self.get_client()
            check_access(client)
        except AutoGLMError as error:
            return False, str(error)
        return True, f"MLflow at {client.tracking_uri} answers"


def _tracking_uri(connection: Connection) -> str:
    host = connection.host or ""
    url = refuse_userinfo(host if "://" in host else f"{connection.schema or 'http'}://{host}")
    parts = _server(url)
    if parts is None:
        raise InvalidConnectionError(
            connection.conn_id, f"host {host!r} is no address of an MLflow server; expected https://host[:port][/path]"
        )
    if parts.port is None and connection.port:
        parts = parts._replace(netloc=f"{parts.netloc}:{connection.port}")
    return parts.geturl().rstrip("/")


def _server(url: str) -> SplitResult | None:
    """The parts of a server's address; None if it is no such address."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return None
    is_server = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
    return parts if is_server else None
