"""Writes .env beside docker-compose.yaml: a new secret for each name. ``python3 compose/make_env.py [FILE]``.

Needs nothing but Python. A file that is there is never touched: its secrets may be in use.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

_FILE = Path(__file__).resolve().parents[1] / ".env"


def _word() -> str:
    return secrets.token_hex(24)  # letters and digits: they stand in URLs


def _long_word() -> str:
    return secrets.token_hex(64)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


SECRETS: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _word,
    "AIRFLOW_DB_PASSWORD": _word,
    "MLFLOW_DB_PASSWORD": _word,
    "AUTOGLM_DB_PASSWORD": _word,
    "REDIS_PASSWORD": _word,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_API_SECRET_KEY": _word,
    "AIRFLOW_JWT_SECRET": _long_word,
    "AIRFLOW_ADMIN_PASSWORD": _word,
    "MLFLOW_ADMIN_PASSWORD": _word,
    "MLFLOW_SECRET_KEY": _word,
}


def write(file: Path) -> None:
    """Write ``file``, readable by its owner alone.

    :raises FileExistsError: if it is there.
    """
    lines = [f"{name}={make()}\n" for name, make in SECRETS.items()]
    unfinished = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.writelines(lines)
        os.link(unfinished, file)  # whole or not at all, and never over another one
    finally:
        unfinished.unlink(missing_ok=True)


def main() -> None:
    """Write the file and say where it is."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else _FILE
    try:
        write(file)
    except FileExistsError:
        sys.exit(f"{file} is there already and was left as it is")
    print(f"wrote {len(SECRETS)} secrets to {file}; AIRFLOW_ADMIN_PASSWORD and MLFLOW_ADMIN_PASSWORD are for you")


if __name__ == "__main__":
    main()
