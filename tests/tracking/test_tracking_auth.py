from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import TrackingRefusedError
from airflow_provider_autoglm.tracking import Tracker, auth
from airflow_provider_autoglm.tracking.auth import (
    ConnectionAuth,
    ConnectionAuthProvider,
    Origin,
    _drop_before_leaving,
    register_credentials,
)
from airflow_provider_autoglm.tracking.server import check_access, explain
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer, running
from tests.tracking.loopback import serving
from tests.tracking.runs import CLEANED, open_child, open_parent


@pytest.fixture(autouse=True)
def chosen_by_name(monkeypatch: pytest.MonkeyPatch, auth_server: MlflowServer) -> Iterator[None]:
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "autoglm")
    yield
    register_credentials(auth_server.uri, None, None)


@pytest.fixture
def auth_client(auth_server: MlflowServer) -> MlflowClient:
    register_credentials(auth_server.uri, ADMIN, ADMIN_PASSWORD)
    return MlflowClient(tracking_uri=auth_server.uri, registry_uri=auth_server.uri)


def test_everything_is_logged_to_a_server_with_basic_auth(auth_client: MlflowClient, experiment: str) -> None:
    tracker = Tracker(auth_client, experiment, required=True)
    parent = open_parent(tracker)
    child = open_child(tracker, parent)
    tracker.log_stage(child, CLEANED)
    tracker.close(child, "FINISHED")

    run = auth_client.get_run(child)
    assert run.data.metrics["rows_out"] == 7
    assert [item.path for item in auth_client.list_artifacts(child, "settings")] == ["settings/aa.json"]


def test_other_threads_are_let_in_too(auth_client: MlflowClient) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: len(auth_client.search_experiments()) > 0, range(8)))

    assert answers == [True] * 8


@pytest.mark.parametrize(("user", "password"), [(ADMIN, "wrong"), ("nobody", ADMIN_PASSWORD), (None, None)])
def test_a_refused_password_is_said_clearly_and_a_retry_cannot_help(
    auth_server: MlflowServer, user: str | None, password: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    register_credentials(auth_server.uri, user, password)
    client = MlflowClient(tracking_uri=auth_server.uri, registry_uri=auth_server.uri)

    assert open_parent(Tracker(client, "autoglm/refused")) is None
    assert "refuses the user name or password (401)" in caplog.text
    with pytest.raises(TrackingRefusedError, match="login and password of the connection") as raised:
        open_parent(Tracker(client, "autoglm/refused", required=True))
    assert not raised.value.retry_can_help
    with pytest.raises(TrackingRefusedError):
        check_access(client)


def test_a_host_name_the_server_does_not_know_is_named_as_the_cause(tmp_path: Path) -> None:
    with running(MlflowServer(tmp_path, allowed_hosts="mlflow.example")) as server:
        client = MlflowClient(tracking_uri=server.uri, registry_uri=server.uri)
        with pytest.raises(TrackingRefusedError, match="--allowed-hosts"):
            check_access(client)


def test_artifacts_are_refused_in_the_same_words(auth_server: MlflowServer) -> None:
    refused = requests.get(f"{auth_server.uri}/api/2.0/mlflow-artifacts/artifacts", timeout=10)
    with pytest.raises(requests.HTTPError) as raised:
        refused.raise_for_status()

    assert isinstance(explain(auth_server.uri, raised.value), TrackingRefusedError)


class Recorder(BaseHTTPRequestHandler):
    """Keeps the headers it gets and answers as MLflow does when it has nothing, or sends on to ``target``."""

    seen: list[str | None]
    target: str | None

    def do_GET(self) -> None:
        type(self).seen.append(self.headers.get("Authorization"))
        if self.target and not self.path.startswith("/end"):
            self.send_response(302)
            self.send_header("Location", self.target)
        else:
            self.send_response(200)
        self.end_headers()
        self.wfile.write(b"" if self.target else b"{}")

    def do_POST(self) -> None:
        self.do_GET()


def recorder(target: str | None = None) -> type[Recorder]:
    return type("OneRecorder", (Recorder,), {"seen": [], "target": target})


def test_credentials_are_not_sent_to_another_server(auth_client: MlflowClient, auth_server: MlflowServer) -> None:
    other = recorder()
    with serving(other) as uri:
        assert uri.split(":")[1] == auth_server.uri.split(":")[1], "the same host: only the port tells them apart"
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments()
    auth_client.search_experiments()

    assert other.seen
    assert set(other.seen) == {None}


def test_a_redirect_within_the_origin_keeps_the_credentials_and_one_to_another_server_loses_them() -> None:
    other = recorder()
    with serving(other) as elsewhere:
        home = recorder(target=f"{elsewhere}/end")
        with serving(home) as uri:
            register_credentials(uri, "me", "marked-secret")
            requests.get(f"{uri}/start", auth=ConnectionAuth(), timeout=5)
            home.target = "/end"
            requests.get(f"{uri}/start", auth=ConnectionAuth(), timeout=5)
            register_credentials(uri, None, None)

    assert other.seen == [None]
    assert len(home.seen) == 3
    assert None not in home.seen


def test_a_redirect_from_http_to_https_is_another_origin() -> None:
    request = requests.Request("GET", "http://mlflow.example/", headers={"Authorization": "Basic x"}).prepare()
    response = requests.Response()
    response.request, response.url, response.status_code = request, "http://mlflow.example/", 301
    response.headers["location"] = "https://mlflow.example/"

    _drop_before_leaving(response)

    assert "Authorization" not in request.headers


def test_a_password_without_a_login_is_a_bearer_token() -> None:
    server = recorder()
    with serving(server) as uri:
        register_credentials(uri, "", "marked-token")
        requests.get(uri, auth=ConnectionAuth(), timeout=5)
        register_credentials(uri, None, None)
        requests.get(uri, auth=ConnectionAuth(), timeout=5)

    assert server.seen == ["Bearer marked-token", None]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://Host/a", "http://host:80/b", True),
        ("https://host", "https://host:443/", True),
        ("http://host", "https://host", False),
        ("http://host:5000", "http://host:5001", False),
        ("http://host", "http://host.example", False),
        ("http://[::1]:5000/x", "http://[::1]:5000", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (Origin.of(one) == Origin.of(other)) is same


def test_secrets_stand_in_no_repr_no_log_and_no_environment(
    auth_client: MlflowClient, experiment: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tracker = Tracker(auth_client, experiment, required=True)
    open_child(tracker, open_parent(tracker))

    written = [caplog.text, repr(vars(auth)), repr(ConnectionAuthProvider().get_auth()), str(dict(os.environ))]
    header = auth._header(ADMIN, ADMIN_PASSWORD).removeprefix("Basic ")
    for text in written:
        assert ADMIN_PASSWORD not in text
        assert header not in text
