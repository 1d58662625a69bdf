"""``python -m airflow_provider_autoglm.serving``: one gateway, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys

from airflow_provider_autoglm.exceptions import AutoGLMError, MissingExtraError

try:
    import prometheus_client  # noqa: F401 - asked for here, where a sentence can be said of it
    import uvicorn
except ImportError as error:
    raise SystemExit(str(MissingExtraError(error.name or "uvicorn", "serve"))) from None

from airflow_provider_autoglm.serving.app import create_app
from airflow_provider_autoglm.serving.config import ENVIRONMENT_PREFIX, read_settings
from airflow_provider_autoglm.settings.serving import ServingSettings

_DRAIN_S = 20
_BACKLOG = 2_048


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does."""

    def __init__(self, config: uvicorn.Config, *, banner: str) -> None:
        super().__init__(config)
        self._banner = banner

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"{self._banner}\n")
        sys.stdout.flush()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_autoglm.serving",
        description="The gateway of one pipeline: answers requests with its champion and, for its share, a challenger.",
        epilog=f"Every key can also be set as {ENVIRONMENT_PREFIX}<KEY>, which wins over the file.",
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with the settings")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = read_settings(options.config, os.environ)
        listener = _listen(settings)
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        server = _server(settings)
    except AutoGLMError as error:
        parser.exit(2, f"{error}\n")
    except OSError as error:
        parser.exit(1, f"cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno or 0)}\n")
    for number in (signal.SIGTERM, signal.SIGINT):
        # Uvicorn raises the signals that ended it once more when it is done: then this is where they go.
        signal.signal(number, server.handle_exit)
    server.run([listener])


def _server(settings: ServingSettings) -> _Server:
    config = uvicorn.Config(
        create_app(settings),
        workers=1,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return _Server(config, banner=f"Serving {settings.pipeline} on http://{host}:{settings.port}")


def _listen(settings: ServingSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)


if __name__ == "__main__":
    main()
