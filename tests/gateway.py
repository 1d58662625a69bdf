"""What tests of a running gateway share: the process, tiny models, and waiting for a condition."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.routes import Model, Routes, read_routes, write_routes
from airflow_provider_autoglm.tracking.registry import model_digest
from demo.gateway import Gateway, GatewayEndedError
from tests.packaged import write_tiny_model

__all__ = ["PIPELINE", "Client", "Gateway", "GatewayEndedError", "deploy", "tiny_model", "wait_until"]

PIPELINE = "docs"
_DEADLINE_S = 120.0


def wait_until(what: str, condition: Callable[[], object]) -> None:
    """Return once ``condition`` holds.

    :raises AssertionError: after two minutes, with ``what`` was waited for.
    """
    give_up_at = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up_at, f"{what}: not within {_DEADLINE_S:g} s"
        time.sleep(0.05)


@dataclass
class Client:
    """Asks a gateway one text after the other; ``answers`` counts status and version, 0 where nobody listened."""

    gateway: Gateway
    texts: Sequence[str]
    answers: Counter[tuple[int, str | None]] = field(default_factory=Counter)

    @contextmanager
    def asking(self, *, every_s: float = 0.0) -> Iterator[None]:
        """Ask until the block ends."""
        is_over = threading.Event()

        def ask() -> None:
            for text in itertools.cycle(self.texts):
                if is_over.wait(every_s):
                    return
                try:
                    answer = self.gateway.invoke(text)
                except OSError:
                    self.answers[0, None] += 1
                else:
                    self.answers[answer.status_code, answer.headers.get("x-model-version")] += 1

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def tiny_model(folder: Path, version: str, **options: object) -> Model:
    """A packaged model as the routes name it; ``options`` are those of ``write_tiny_model``."""
    path = write_tiny_model(folder / version, **options)  # type: ignore[arg-type]
    return Model(version, f"file://{path}", model_digest(path))


def deploy(database: Database, *, lease_s: float | None = None, **changes: object) -> Routes:
    """Change the routes of :data:`PIPELINE`."""
    seen = read_routes(database, PIPELINE)
    with database.transaction() as connection:
        return write_routes(connection, seen, lease_s=lease_s, **changes)
