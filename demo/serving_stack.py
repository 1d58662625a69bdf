"""The state on SQLite and a gateway as a process of the stack."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_autoglm.state import Database
from demo.gateway import Gateway, Setting
from demo.ports import HOST, free_port
from demo.processes import Processes

_GATEWAY = "gateway"
_READY_S = 60.0


class ServingStack:
    """State and one gateway in ``home``; ``url`` is the gateway's, on ``port`` if that is free.

    :param pipeline: what the gateway serves.
    """

    def __init__(self, home: Path, processes: Processes, pipeline: str, *, port: int = 0) -> None:
        self._processes = processes
        self.home = home.resolve()
        self.state_url = f"sqlite:///{self.home / 'state.db'}"
        self.database = Database(self.state_url)
        settings: dict[str, Setting] = {
            "pipeline": pipeline,
            "port": free_port(port),
            "state_url": self.state_url,
            "log_text": "full",
        }
        self._gateway = Gateway(self.home, settings)
        self.url = f"http://{HOST}:{self._gateway.settings['port']}"

    def launch(self, tracking_uri: str) -> None:
        """Make the tables of the state and start the gateway, which fetches models from ``tracking_uri``."""
        self.database.migrate()
        self._gateway.settings["tracking_uri"] = tracking_uri
        self._gateway.write_config()
        self._processes.start(_GATEWAY, self._gateway.command, is_server=True)

    def wait_listening(self) -> None:
        """Wait until it listens, which is before it has a champion to answer with.

        :raises PortTakenError: if another program listens on its port.
        :raises ProcessEndedError: if it ends.
        :raises TimeoutError: if it does not listen in time.
        """
        port = int(self._gateway.settings["port"])
        self._processes.wait_for_server([_GATEWAY], port, lambda: True, timeout_s=_READY_S)
