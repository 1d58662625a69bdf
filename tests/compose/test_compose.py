"""What docker-compose.yaml says, as Docker Compose itself reads it; drills/test_compose.py starts all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.configuration import retrieve_configuration_description as described_options

from airflow_provider_autoglm.serving.config import ENVIRONMENT_PREFIX, read_settings
from tests.compose.composed import COMPOSE_FILE, Composed, RefusedError, compose, make_env, read_env

_SECRET = re.compile(r"PASSWORD|SECRET|FERNET|SQL_ALCHEMY|BROKER|RESULT_BACKEND|STORE_URI")
_OURS = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "mlflow", "gateway")


def test_the_parser_has_nothing_to_say_of_it(composed: Composed) -> None:
    assert composed.warnings == ""
    assert set(composed.services) == {"postgres", "redis", *_OURS}


def test_each_secret_that_is_missing_stops_it_with_the_command_that_makes_it(env_file: Path, tmp_path: Path) -> None:
    lines = env_file.read_text().splitlines(keepends=True)
    for missing in lines:
        incomplete = tmp_path / ".env"
        incomplete.write_text("".join(line for line in lines if line != missing))
        name = missing.partition("=")[0]
        with pytest.raises(RefusedError, match=rf"{name}.*run python3 compose/make_env.py"):
            compose(incomplete)


def test_no_secret_stands_in_it(composed: Composed, tmp_path: Path) -> None:
    make_env(tmp_path / ".env")
    other = compose(tmp_path / ".env")
    for service in composed.services:
        environment, others = composed.environment(service), other.environment(service)
        secret = [name for name in environment if _SECRET.search(name)]
        assert all(environment[name] != others[name] for name in secret), service
    for name, config in composed.config["configs"].items():
        assert config["content"] != other.config["configs"][name]["content"]
    assert composed.services["redis"]["command"] != other.services["redis"]["command"]


def test_every_secret_that_is_made_is_used(env_file: Path) -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", COMPOSE_FILE.read_text()))
    assert asked == set(read_env(env_file))


def test_nothing_is_reached_from_outside_of_the_machine(composed: Composed) -> None:
    published = [port for service in composed.services.values() for port in service.get("ports", ())]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    assert {port["target"] for port in published} == {8080, 5000, 8000}


def test_every_service_that_runs_on_has_a_health_check_and_is_started_again(composed: Composed) -> None:
    for name, service in composed.services.items():
        if name == "init":
            assert service["restart"] == "no"
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name


def test_what_is_waited_for_can_come_true(composed: Composed) -> None:
    for name, service in composed.services.items():
        for awaited, how in service.get("depends_on", {}).items():
            is_once = awaited == "init"
            assert how["condition"] == ("service_completed_successfully" if is_once else "service_healthy"), name
            assert is_once or "healthcheck" in composed.services[awaited]


def test_our_containers_have_no_privileges(composed: Composed) -> None:
    for name in _OURS:
        service = composed.services[name]
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["init"] is True, name


def test_two_workers_share_the_folder_of_the_corpora(composed: Composed) -> None:
    worker = composed.services["worker"]
    assert worker["deploy"]["replicas"] == 2
    root = composed.environment("worker")["AIRFLOW__AUTOGLM__ROOT"].removeprefix("file://")
    shared = [mount["target"] for mount in worker["volumes"] if mount["source"] == "corpora"]
    assert len(shared) == 1
    assert root.startswith(f"{shared[0]}/")


def test_counts_ports_and_policies_can_be_set_beside_the_secrets(env_file: Path, tmp_path: Path) -> None:
    changed = tmp_path / ".env"
    more = {
        "AIRFLOW_WORKERS": "3",
        "GATEWAYS": "2",
        "AIRFLOW_PORT": "8081",
        "MLFLOW_PORT": "5001",
        "GATEWAY_PORTS": "9000-9001",
        "GATEWAY_LOG_TEXT": "full",
        "AIRFLOW_WORKER_CONCURRENCY": "8",
    }
    changed.write_text(env_file.read_text() + "".join(f"{name}={value}\n" for name, value in more.items()))
    composed = compose(changed)
    published = {
        name: service["ports"][0]["published"] for name, service in composed.services.items() if "ports" in service
    }
    assert published == {"api-server": "8081", "mlflow": "5001", "gateway": "9000-9001"}
    assert composed.services["worker"]["deploy"]["replicas"] == 3
    assert composed.services["gateway"]["deploy"]["replicas"] == 2
    assert composed.environment("gateway")["AUTOGLM_SERVING__LOG_TEXT"] == "full"
    assert composed.environment("worker")["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "8"
    assert composed.environment("api-server")["AIRFLOW__API__BASE_URL"] == "http://localhost:8081"


def test_airflow_knows_every_option(composed: Composed) -> None:
    known = described_options(include_providers=True)
    for service in composed.services:
        for name in composed.environment(service):
            if name.startswith("AIRFLOW__"):
                _, section, option = name.lower().split("__", 2)
                assert option in known[section]["options"], name


def test_the_gateway_takes_its_settings(composed: Composed) -> None:
    environment = composed.environment("gateway")
    assert any(name.startswith(ENVIRONMENT_PREFIX) for name in environment)
    settings = read_settings(None, environment)
    mounted = {config["target"] for config in composed.services["gateway"]["configs"]}
    assert settings.state_url_file in mounted


def test_mlflow_knows_every_option(composed: Composed) -> None:
    from mlflow import environment_variables
    from mlflow.cli import cli

    server = cli.commands["server"]
    options = {option.envvar for option in server.params}
    for name in composed.environment("mlflow"):
        assert name in options or hasattr(environment_variables, name) or name == "MLFLOW_FLASK_SERVER_SECRET_KEY", name
    server.make_context("server", list(composed.services["mlflow"]["command"][2:]))
