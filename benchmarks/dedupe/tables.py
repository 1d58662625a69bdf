"""A table that is printed and written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Cell = str | int | float | bool | None


@dataclass
class Table:
    """Rows with the same columns; notes say what a reader has to know of them."""

    name: str
    rows: list[dict[str, Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    """What goes into the JSON alone."""

    def add(self, row: Mapping[str, Cell]) -> None:
        """Add a row."""
        self.rows.append(dict(row))

    def __str__(self) -> str:
        lines = [f"\n{self.name}"]
        columns = list(self.rows[0]) if self.rows else []
        cells = [columns, *([written(row[column]) for column in columns] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for line in cells if self.rows else []:
            first, *others = (text.rjust(width) for text, width in zip(line, widths, strict=True))
            lines.append("  ".join([first.strip().ljust(widths[0]), *others]))
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def written(cell: Cell) -> str:
    """A cell as people read it: three significant digits, thousands separated."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "NO"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:#.3g}".rstrip(".")
    return f"{cell:,}" if isinstance(cell, int) else cell


def ratio(theirs: float | None, ours: float) -> str:
    """How many times more the peer took."""
    return "-" if theirs is None else f"{theirs / ours:.1f}x"
