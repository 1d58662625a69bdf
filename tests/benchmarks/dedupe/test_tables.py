from __future__ import annotations

from benchmarks.dedupe.tables import Table, ratio, written


def test_cells_are_written_for_people() -> None:
    cells = [None, True, False, 1234.5, 0.012345, 3.0, 1_000_000, "text"]
    assert [written(cell) for cell in cells] == ["-", "yes", "NO", "1,234", "0.0123", "3.00", "1,000,000", "text"]


def test_a_table_aligns_its_columns_and_ends_with_its_notes() -> None:
    table = Table("Name", notes=["a note"])
    table.add({"": "ours", "CPU s": 1.5})
    table.add({"": "theirs", "CPU s": 12.25})
    assert str(table) == "\nName\n        CPU s\nours     1.50\ntheirs   12.2\n  a note"
    assert str(Table("Empty")) == "\nEmpty"


def test_a_ratio_is_the_peers_over_ours() -> None:
    assert ratio(3.0, 2.0) == "1.5x"
    assert ratio(None, 2.0) == "-"
