"""The log of a task, which Airflow writes as JSON lines, as lines to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def readable_tail(file: Path, lines: int) -> str:
    """The last lines of a task's log as ``time level message``; an exception is shown with the frames it came through.

    Empty if there is no such file.
    """
    try:
        entries = file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    readable = [line for entry in entries for line in _readable(entry)]
    return "\n".join(readable[-lines:])


def _readable(entry: str) -> list[str]:
    try:
        values: dict[str, Any] = json.loads(entry)
        message = str(values["event"])
    except (ValueError, KeyError, TypeError):  # output of a child process is kept as it is
        return [entry]
    if message.startswith("::"):
        return []
    lines = [f"{values.get('timestamp', '')[:19]} {values.get('level', ''):<8} {message}"]
    for error in values.get("error_detail") or []:
        lines += [f"  {frame['filename']}:{frame['lineno']} in {frame['name']}" for frame in error["frames"]]
        lines.append(f"  {error['exc_type']}: {error['exc_value']}")
    return lines
