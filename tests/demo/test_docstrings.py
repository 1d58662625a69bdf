from __future__ import annotations

import subprocess
import sys

from demo.docstrings import AREAS, MIN_CHARS, Docstring, sample_area


def test_every_area_has_texts_of_the_asked_length_from_its_own_libraries(articles: dict[str, list[Docstring]]) -> None:
    for area, docstrings in articles.items():
        assert len({docstring.name for docstring in docstrings}) == 6
        for docstring in docstrings:
            assert len(docstring.text) >= MIN_CHARS
            assert docstring.name.startswith(tuple(library.replace("/", ".") for library in AREAS[area]))


def test_the_choice_is_the_same_on_every_call_and_a_larger_one_contains_it() -> None:
    six, twelve = sample_area("tables", 6), sample_area("tables", 12)
    assert sample_area("tables", 6) == six
    assert {docstring.name for docstring in six} < {docstring.name for docstring in twelve}


def test_a_choice_that_skips_takes_none_of_those_it_skips() -> None:
    first, second = sample_area("tables", 6), sample_area("tables", 6, skip=6)
    assert {docstring.name for docstring in sample_area("tables", 12)} == {
        docstring.name for docstring in (*first, *second)
    }


def test_the_choice_is_spread_over_modules_instead_of_taking_the_first() -> None:
    assert len({docstring.name.rsplit(".", 2)[0] for docstring in sample_area("workflows", 20)}) >= 15


def test_reading_a_library_imports_nothing_of_it() -> None:
    code = (
        "import sys; from demo.docstrings import AREAS, sample_area\n"
        "for area in AREAS: assert sample_area(area, 1)\n"
        "print([lib for libs in AREAS.values() for lib in libs if lib.partition('/')[0] in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
