"""The contestants give the same texts; what they take is the benchmark's business."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import clean

TEXTS = [
    "Install debian (or DEBIAN) 11.2 with\tapt-get --no-install-recommends; see https://example.org/a-b (really).",
    "The river rose\u00a0during the night \u2013 and by the morning\r\nthe whole valley\n\n\n\nstood.\nRead more",
    "Heading\u00b6\nIt said the same thing again and again. " * 12,
    "1 2 3 4 5 6 7 8 9 " * 10,
    "# " * 30 + "word",
    "line of a page that is repeated\n" * 4 + "and this one is not",
]


@pytest.fixture
def texts(tmp_path: Path) -> str:
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": TEXTS}), path)
    return str(path)


@pytest.mark.parametrize("with_lookbehind", [True, False])
def test_substitutions_in_python_give_the_same(texts: str, *, with_lookbehind: bool) -> None:
    ours = clean.substitute(texts, with_lookbehind=with_lookbehind)
    theirs = clean.substitute_in_python(texts, with_lookbehind=with_lookbehind)

    assert ours["digest"] == theirs["digest"]
    assert ours["digest"] != clean.substitute(texts, with_lookbehind=not with_lookbehind)["digest"]


def test_the_loop_keeps_and_changes_the_same_texts(texts: str) -> None:
    ours = clean.filter_table(texts)

    assert ours["digest"] == clean.filter_in_python(texts)["digest"]
    assert ours["digest"] != clean.filter_table(texts, rules=[])["digest"]
