"""What a stage hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class StageResult:
    """Reference and counts of a committed corpus; safe to send through XCom.

    ``reused`` says that the corpus was already committed for the same inputs and settings. ``metrics`` holds rates,
    durations in seconds and one ``rejected/<reason>`` or ``removed/<reason>`` count a reason.
    """

    uri: str
    rows_in: int
    rows_out: int
    rejected: int
    removed: int
    unchanged: int
    digest: str
    metrics: dict[str, float] = field(default_factory=dict)
    reused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """How far a stage has come."""

    stage: str
    rows_done: int
    rows_total: int | None
    seconds: float

    @property
    def rows_per_s(self) -> float:
        """Rows done each second so far."""
        return self.rows_done / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        total = f"/{self.rows_total}" if self.rows_total is not None else ""
        left = ""
        if self.rows_total and 0 < self.rows_done < self.rows_total:
            left = f", {(self.rows_total - self.rows_done) / self.rows_per_s:.0f} s left"
        return f"{self.stage}: {self.rows_done}{total} rows, {self.rows_per_s:.0f} rows/s{left}"


ProgressCallback = Callable[[Progress], None]
"""Called after every shard; an exception it raises ends the stage."""
