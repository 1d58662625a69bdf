"""The compose file as Docker Compose itself reads it, with secrets that the documented command made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

COMPOSE_FILE = REPOSITORY / "docker-compose.yaml"
_PARSER = Path(sys.executable).parent / "docker-compose"


@dataclass(frozen=True)
class Composed:
    """What Docker Compose makes of the file; ``warnings`` is what it says of it."""

    config: dict[str, Any]
    warnings: str

    @property
    def services(self) -> dict[str, Any]:
        return dict(self.config["services"])

    def environment(self, service: str) -> dict[str, str]:
        return dict(self.services[service].get("environment") or {})


class RefusedError(RuntimeError):
    """Docker Compose does not take the file."""


def make_env(file: Path) -> dict[str, str]:
    """Write ``file`` as an operator does; returns what is in it."""
    subprocess.run([sys.executable, REPOSITORY / "compose/make_env.py", file], check=True, capture_output=True)
    return read_env(file)


def read_env(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def compose(env_file: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Composed:
    """Let Docker Compose read the file.

    :raises RefusedError: with what it says, if it does not take it.
    """
    done = subprocess.run(
        [_PARSER, "--env-file", env_file, "--file", COMPOSE_FILE, *arguments, "config", "--format", "json"],
        env=dict(environment or {}),
        cwd=env_file.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RefusedError(done.stderr)
    return Composed(json.loads(done.stdout.replace("$$", "$")), done.stderr)
