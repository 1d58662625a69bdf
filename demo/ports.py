"""Ports of loopback: which one is free, and whose server answers there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"
_LISTENING = "0A"


class PortTakenError(RuntimeError):
    """Between choosing a port and listening there, another program took it. Choosing anew helps."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"another program listens on port {port}")


def free_port(preferred: int = 0) -> int:
    """``preferred`` if nothing listens there, else a port the system chooses."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, preferred))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_served_by(port: int, processes: Iterable[int]) -> bool:
    """Whether one of ``processes`` listens on ``port``; False while nobody does.

    :raises PortTakenError: if somebody else does: that server would answer in the place of ours.
    """
    listening = {f"socket:[{inode}]" for inode in _listening_sockets(port)}
    if not listening:
        return False
    for process in processes:
        with suppress(OSError):  # it ended meanwhile
            for descriptor in Path(f"/proc/{process}/fd").iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) in listening:
                        return True
    raise PortTakenError(port)


def _listening_sockets(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found
