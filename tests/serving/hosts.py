"""Model hosts and packaged models for the tests of the gateway's lower half."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_autoglm.serving.model_host import ModelHost
from tests.packaged import Answer, write_tiny_model

DEADLINE_S = 60.0


class TinyModels:
    """Packaged tiny models, each kind written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[tuple[Any, ...], str] = {}

    def __call__(self, answer: Answer = "keyword", *, when: str = "", seconds: float = 1.0) -> str:
        key = (answer, when, seconds)
        if key not in self._written:
            folder = self._folder / f"model-{len(self._written)}"
            self._written[key] = write_tiny_model(folder, answer=answer, when=when, seconds=seconds)
        return self._written[key]

    def coded(self, folder: Path, code: str) -> str:
        """A model that runs ``code`` (lines of a function of ``texts``) before it answers; the folder is new."""
        path = write_tiny_model(folder)
        source = (Path(path) / "tiny_model.py").read_text()
        entry = "        logits = np.stack("
        assert source.count(entry) == 1
        lines = "".join(f"        {line}\n" for line in code.splitlines())
        (Path(path) / "tiny_model.py").write_text(source.replace(entry, lines + entry))
        return path


@asynccontextmanager
async def hosted(folder: str, **options: Any) -> AsyncIterator[ModelHost]:
    """A host that is ready, and stopped at the end."""
    host = ModelHost(folder, **{"name": "version 1", "load_timeout_s": DEADLINE_S, "max_queue": 8, **options})
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], object]) -> None:
    """As :func:`until`, outside an event loop."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int | None) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    assert pid is not None
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
