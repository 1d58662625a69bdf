"""The Dockerfile and what the compose file takes for granted of it."""

from __future__ import annotations

import json
import re
import shlex

from airflow_provider_autoglm import __version__
from airflow_provider_autoglm.settings import PipelineSettings
from tests.compose.composed import Composed
from tests.conftest import REPOSITORY

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")


def instructions(kind: str) -> list[str]:
    return re.findall(rf"^{kind} (.*)$", DOCKERFILE, re.MULTILINE)


def copied() -> dict[str, str]:
    """What is copied from the repository, and where to."""
    words = [shlex.split(line) for line in instructions("COPY")]
    return {source: line[-1] for line in words for source in line[:-1]}


def test_everything_that_is_copied_is_there_and_let_into_the_build() -> None:
    ignore = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert ignore[0] == "*"
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    for source in copied():
        assert (REPOSITORY / source).exists(), source
        assert source.split("/")[0] in let_in, source
    assert not let_in & {".env", ".git", ".venv"}


def test_containers_run_as_a_user_without_rights_who_owns_what_volumes_are_mounted_over(composed: Composed) -> None:
    assert instructions("USER") == ["airflow"]
    (made,) = re.findall(r"install --directory --owner=airflow --group=airflow(.*)", DOCKERFILE)
    for name, service in composed.services.items():
        if name not in ("postgres", "redis"):
            targets = [mount["target"] for mount in service.get("volumes", ()) if mount["type"] == "volume"]
            assert set(targets) <= set(made.split()), name


def test_what_commands_and_checks_name_is_copied_into_the_image(composed: Composed) -> None:
    said = json.dumps([[one.get("command"), one.get("healthcheck")] for one in composed.services.values()])
    named = set(re.findall(r"/opt/autoglm/([\w.]+)", said))
    assert named == {source.removeprefix("compose/") for source, to in copied().items() if to == "/opt/autoglm/"}
    assert composed.environment("worker")["AIRFLOW__CORE__DAGS_FOLDER"] == copied()["dags/"].rstrip("/")


def test_the_image_has_the_version_of_the_package(composed: Composed) -> None:
    images = {service["image"] for name, service in composed.services.items() if name not in ("postgres", "redis")}
    assert images == {f"airflow-provider-autoglm:{__version__}"}


def test_every_installation_is_held_by_the_constraints() -> None:
    installations = [part for line in instructions("RUN") for part in line.split("&&") if "pip install" in part]
    assert len(installations) == 3
    for command in installations:
        assert "constraints.txt" in command or "--no-deps" in command, command


def test_the_variable_that_is_made_at_the_first_start_is_accepted() -> None:
    variables = json.loads((REPOSITORY / "compose/variables.json").read_text())
    assert list(variables) == ["autoglm_default"]
    PipelineSettings.parse(variables["autoglm_default"], path="autoglm_default")
