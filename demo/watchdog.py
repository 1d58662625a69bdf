"""Ends everything that carries a marker once its standard input closes, however the process at the other end died.

``python -m demo.watchdog MARKER_VALUE``. Needs /proc; children of children count too, whatever session they are in.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

MARKER = "AUTOGLM_STACK_ID"
_GRACE_S = 12.0
_LOOK_AGAIN_S = 0.2


def marked_processes(marker: str) -> list[int]:
    """Process ids whose environment carries ``AUTOGLM_STACK_ID=marker``."""
    wanted = f"{MARKER}={marker}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it ended meanwhile, or belongs to another user
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def end_marked(marker: str, *, grace_s: float) -> None:
    """SIGTERM to every marked process, SIGKILL after ``grace_s`` seconds to what is left, until nothing is."""
    asked: set[int] = set()
    give_up_at = time.monotonic() + grace_s
    while processes := marked_processes(marker):
        is_late = time.monotonic() > give_up_at
        for process in processes:
            if is_late or process not in asked:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL if is_late else signal.SIGTERM)
        asked.update(processes)
        time.sleep(_LOOK_AGAIN_S)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while sys.stdin.buffer.read(1):
        pass
    end_marked(sys.argv[1], grace_s=_GRACE_S)


if __name__ == "__main__":
    main()
