"""Real labelled text on every machine: docstrings of installed libraries, read with ``ast``, nothing imported."""

from __future__ import annotations

import ast
import gc
import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MIN_CHARS = 200
FILES_OF_A_LIBRARY = 300
"""Files read of one library at most, chosen by hash: the largest have thousands."""

AREAS: dict[str, tuple[str, ...]] = {
    "web": ("aiohttp", "fastapi", "flask", "httpx", "requests", "scrapy", "starlette", "urllib3", "werkzeug"),
    "databases": ("aiosqlite", "alembic", "sqlalchemy", "sqlparse"),
    "tables": ("pandas", "pyarrow"),
    "machine learning": ("accelerate", "sklearn", "torch", "transformers"),
    "workflows": ("airflow",),
    "statistics and plots": ("contourpy", "matplotlib", "scipy/stats"),
}
"""The truth of the demo: which libraries make up an area."""

NEW_AREA = "statistics and plots"
"""The area that the site has nothing on: the clients bring it."""

KEPT_FROM_THE_SITE = 105
"""Docstrings of each area that are on no page: clients ask them, and models are compared by them."""

KNOWN_AREAS = tuple(area for area in AREAS if area != NEW_AREA)

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Docstring:
    """One docstring; ``name`` is the qualified name of what it documents."""

    name: str
    area: str
    text: str


def sample_area(area: str, count: int, *, skip: int = 0) -> list[Docstring]:
    """``count`` docstrings of an area (fewer if there are not as many), the same ones on every call, sorted by name.

    The choice goes by a hash of the qualified name, so it is spread over modules instead of taking the first.

    :param skip: passes over so many, which are those of a call for as many.
    """
    return sorted(_read_area(area)[skip : skip + count], key=lambda docstring: docstring.name)


@cache
def _read_area(area: str) -> list[Docstring]:
    with _without_garbage_collection():
        found = {docstring.name: docstring for library in AREAS[area] for docstring in _read_library(area, library)}
    return sorted(found.values(), key=lambda docstring: _order(docstring.name))


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    # Which takes as long as the parser: it looks at each tree again and again, and trees have no cycles.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_library(area: str, library: str) -> Iterator[Docstring]:
    top = library.partition("/")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return
    package = Path(spec.submodule_search_locations[0])
    files = (path for path in (package.parent / library).rglob("*.py") if not _is_test(path.relative_to(package)))
    named = {path: _module_name(path.relative_to(package.parent)) for path in files}
    for path in sorted(named, key=lambda path: _order(named[path]))[:FILES_OF_A_LIBRARY]:
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # templates of code, which some libraries ship
            continue
        for name, text in _documented(tree, named[path]):
            if len(text) >= MIN_CHARS:
                yield Docstring(name, area, text)


def _documented(node: _Documented, name: str) -> Iterator[tuple[str, str]]:
    text = ast.get_docstring(node)
    if text:
        yield name, text
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _documented(child, f"{name}.{child.name}")


def _is_test(path: Path) -> bool:
    return any(part.startswith(("test", "_test", "conftest")) for part in path.parts)


def _module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
