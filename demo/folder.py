"""The demo's folder: emptied at the start, and held by one demo at a time."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import IO

_MARK = ".autoglm-demo"


class FolderInUseError(RuntimeError):
    """The folder is not the demo's to empty, or another demo runs there."""


def claim(folder: Path) -> IO[str]:
    """Empty ``folder`` and hold it until the returned file is closed or the process ends.

    :raises FolderInUseError: if another demo holds it, or it has contents that no demo wrote.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / _MARK
    if not mark.exists() and any(folder.iterdir()):
        raise FolderInUseError(f"{folder} has files that are not the demo's; set DEMO_DIR to an empty or new folder")
    held = mark.open("a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise FolderInUseError(f"another demo is running in {folder}; stop it or set DEMO_DIR") from None
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != mark:
            entry.unlink()
    return held
