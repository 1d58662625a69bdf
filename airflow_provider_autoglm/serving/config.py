"""Where a gateway's settings come from: a TOML file, the environment, and what follows from the machine."""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_autoglm.exceptions import SettingsError, UnsafeUriError
from airflow_provider_autoglm.serving.cache import cache_root
from airflow_provider_autoglm.settings.base import refuse_userinfo
from airflow_provider_autoglm.settings.serving import ServingSettings

ENVIRONMENT_PREFIX = "AUTOGLM_SERVING__"
_PATH = "serving"
_ANY_ADDRESS = {"0.0.0.0", "::", ""}  # noqa: S104 - compared with, not bound to


def read_settings(config_file: str | None, environment: Mapping[str, str]) -> ServingSettings:
    """The settings of ``config_file`` (TOML, keys at its top level) and of the environment, which wins.

    :raises SettingsError: if the file cannot be read, or a key or value is refused.
    """
    values = _read_toml(config_file) if config_file else {}
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            values[name.removeprefix(ENVIRONMENT_PREFIX).lower()] = value
    return ServingSettings.parse(values, path=_PATH)


def complete(settings: ServingSettings) -> ServingSettings:
    """The settings with ``gateway_id`` and the folders filled in where they were left empty.

    A gateway that listens on all addresses is named after its machine, since each of several would be ``0.0.0.0``.
    """
    host = socket.gethostname() if settings.host in _ANY_ADDRESS else settings.host
    cache_dir = cache_root(settings)
    filled = {
        "gateway_id": settings.gateway_id or f"{host}:{settings.port}",
        "cache_dir": cache_dir,
        "spool_dir": settings.spool_dir or os.path.join(cache_dir, "spool"),
    }
    return settings.model_copy(update=filled)


def state_address(settings: ServingSettings) -> str:
    """The URL of the state: ``state_url``, or what is in ``state_url_file``, which may hold credentials.

    :raises SettingsError: if none or both are given, the file cannot be read, or ``state_url`` holds credentials.
    """
    if bool(settings.state_url) == bool(settings.state_url_file):
        found = "both are" if settings.state_url else "neither is"
        raise SettingsError([f"{_PATH}.state_url, {_PATH}.state_url_file: one of them is required and {found} set"])
    if settings.state_url:
        return _without_credentials(settings.state_url)
    try:
        address = Path(settings.state_url_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{_PATH}.state_url_file = '{settings.state_url_file}': {_cause(error)}"]) from None
    if not address:
        raise SettingsError([f"{_PATH}.state_url_file = '{settings.state_url_file}': the file is empty"])
    return address


def _without_credentials(url: str) -> str:
    try:
        return refuse_userinfo(url)
    except UnsafeUriError as error:
        raise SettingsError(
            [
                f"{_PATH}.state_url = '{error.redacted_uri}': carries credentials; write the URL into a file that "
                f"only the gateway can read and name it in {_PATH}.state_url_file"
            ]
        ) from None


def _read_toml(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read as TOML: {_cause(error)}"]) from None


def _cause(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"  # the error itself would quote the file
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
