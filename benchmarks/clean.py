"""Cleaning against Python's ``re`` and a plain loop of filters, on documentation of Debian packages.

``python -m benchmarks.clean [--documents N] [--memory] [--output FILE.json]`` prints tables. Every contestant is a
process of its own and reads its texts into memory first; CPU seconds are those of the work alone, best of three.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_autoglm.corpus.clean import clean, clean_table, clean_text
from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.settings import CleanSettings
from airflow_provider_autoglm.settings.clean_rules import rules_of
from benchmarks.dedupe.child import Measured, measure
from benchmarks.dedupe.debian import sources
from benchmarks.dedupe.documents import Shape, stretches, unique_files
from benchmarks.dedupe.tables import Table

SHAPE = Shape("2,600 characters", 2_400, 2_800)
DOCUMENTS = 4_000
PASSES = 3
MEMORY_SIZES = (10_000, 200_000)
ROWS_OF_A_TABLE = 1_000
PYTHON = "Python re"
LOOP = "plain loop"
SUBSTITUTIONS = (
    ("address", r"https?://[^\s<>\"]+", "URL"),
    ("number", r"\d+(?:[.,]\d+)*", "0"),
    ("option", r"(?<!x)\B-{1,2}[a-z][a-z-]+", "OPTION"),
    ("name", r"(?i)\bdebian\b", "Debian"),
    ("brackets", r"\(([^()]{1,40})\)", r"\1"),
)
"""Numbers, words and brackets: all but the third stand in most documents."""

BARE = {"rules": (), "repair_mojibake": False}


def substitutions(*, with_lookbehind: bool) -> list[dict[str, str]]:
    """Five rules; without a lookbehind the third is one that RE2 can take."""
    rules = [{"name": name, "pattern": pattern, "replacement": new} for name, pattern, new in SUBSTITUTIONS]
    if not with_lookbehind:
        rules[2]["pattern"] = r" -{1,2}[a-z][a-z-]+"
    return rules


def substitute(texts: str, *, with_lookbehind: bool) -> dict[str, Any]:
    """``clean_text`` with five substitutions and nothing else but normal Unicode and white space."""
    settings = CleanSettings.parse({**BARE, "replace": substitutions(with_lookbehind=with_lookbehind)})
    column = _texts(texts)
    return _timed(lambda: clean_text(column, settings).to_pylist(), len(column))


def substitute_in_python(texts: str, *, with_lookbehind: bool) -> dict[str, Any]:
    """The same in a loop over the texts, with compiled patterns."""
    rules = [
        (re.compile(rule["pattern"]), rule["replacement"]) for rule in substitutions(with_lookbehind=with_lookbehind)
    ]
    column = _texts(texts).to_pylist()
    return _timed(lambda: [_normal(text, rules) for text in column], len(column))


def filter_table(texts: str, **changes: Any) -> dict[str, Any]:
    """``clean_table`` with the default settings and ``changes``; the language is known unless it is asked for."""
    column = _texts(texts)
    is_asked = changes.pop("detect", False)
    languages = pa.nulls(len(column), pa.string()) if is_asked else pa.array(["en"] * len(column))
    table = pa.table({"doc_id": [str(row) for row in range(len(column))], "text": column, "lang": languages})
    settings = CleanSettings.parse(changes)

    def run() -> list[str]:
        texts_kept: list[str] = clean_table(table, settings).kept["text"].to_pylist()
        return texts_kept

    return _timed(run, len(column))


def filter_in_python(texts: str) -> dict[str, Any]:
    """What the default settings ask, as a loop with one document at a time does it."""
    column = _texts(texts).to_pylist()
    rules = rules_of("web")
    replacing = [(re.compile(rule.pattern), rule.replacement) for rule in rules if rule.kind == "replace"]
    dropping = [re.compile(rule.pattern) for rule in rules if rule.kind == "drop_line"]

    def run() -> list[str]:
        return [text for text in (_cleaned(text, replacing, dropping) for text in column) if _passes(text)]

    return _timed(run, len(column))


def run_stage(source: str, destination: str) -> dict[str, Any]:
    """The whole stage, for its memory."""
    result = clean(source, destination, CleanSettings())
    return {"rows": result.rows_in, "rejected": result.rejected}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and write them; the exit status says whether all results were the same."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clean", description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="documents of 2,600 characters")
    parser.add_argument("--memory", action="store_true", help="also the memory of 10,000 and 200,000 documents")
    parser.add_argument("--output", type=Path, help="write the tables as JSON, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="autoglm-bench-") as temporary:
        folder = Path(temporary)
        texts = list(islice(stretches(unique_files(sources("10k")), SHAPE), options.documents))
        pq.write_table(pa.table({"text": texts}), folder / "texts.parquet")
        tables = [substitution_table(folder), filtering_table(folder)]
        if options.memory:
            tables.append(memory_table(folder, texts))
    for table in tables:
        print(table)
    if options.output is not None:
        options.output.write_text(json.dumps([asdict(table) for table in tables], indent=1) + "\n")
    return 0 if all(row.get("same result", True) for table in tables for row in table.rows) else 1


def substitution_table(folder: Path) -> Table:
    """Five substitutions, all of them RE2's and with one that is not."""
    table = Table("Five substitutions, Unicode and white space: documents a second of one core")
    for with_lookbehind in (False, True):
        ours = _run(folder, "substitute", with_lookbehind=with_lookbehind)
        theirs = _run(folder, "substitute_in_python", with_lookbehind=with_lookbehind)
        table.add({"": "one with lookbehind" if with_lookbehind else "all for RE2", **_against(ours, theirs, PYTHON)})
    return table


def filtering_table(folder: Path) -> Table:
    """The default settings against a loop that does the same, and what the options cost."""
    table = Table("Rules, filters and counts of clean_table: documents a second of one core")
    loop = _run(folder, "filter_in_python")
    table.add({"": "default settings", **_against(_run(folder, "filter_table"), loop, LOOP)})
    options: dict[str, dict[str, Any]] = {
        "and five substitutions": {"replace": substitutions(with_lookbehind=False)},
        "and all rule sets": {"rules": ["web", "news", "forum", "zh"]},
        "and all masks": {"mask": ["email", "phone", "ip", "card", "national_id"]},
        "and the language detected": {"detect": True},
    }
    for name, changes in options.items():
        speed = _speed(_run(folder, "filter_table", **changes))
        table.add({"": name, "ours": speed, LOOP: None, "ratio": None, "same result": None})
    return table


def memory_table(folder: Path, texts: Sequence[str]) -> Table:
    """Peak memory of the stage: it must not grow with the corpus."""
    table = Table("Memory of the whole stage")
    for size in MEMORY_SIZES:
        source = write_corpus(str(folder / f"source-{size}"), _tables(texts, size), stage="crawl").uri
        taken = measure(
            __spec__.name, "run_stage", cache=folder, source=source, destination=str(folder / f"cleaned-{size}")
        )
        table.add({"documents": size, "peak MiB": taken.peak_mib, "CPU s": taken.cpu_without_imports_s})
    return table


def _tables(texts: Sequence[str], count: int) -> Iterator[pa.Table]:
    repeated = cycle(texts)
    for start in range(0, count, ROWS_OF_A_TABLE):
        rows = min(ROWS_OF_A_TABLE, count - start)
        numbers = [str(number) for number in range(start, start + rows)]
        yield pa.table({"url": numbers, "text": list(islice(repeated, rows)), "lang": ["en"] * rows})


def _run(folder: Path, function: str, **arguments: Any) -> Measured:
    return measure(__spec__.name, function, cache=folder, texts=str(folder / "texts.parquet"), **arguments)


def _against(ours: Measured, theirs: Measured, name: str) -> dict[str, Any]:
    ratio = theirs.returned["cpu_s"] / ours.returned["cpu_s"]
    is_same = ours.returned["digest"] == theirs.returned["digest"]
    return {"ours": _speed(ours), name: _speed(theirs), "ratio": f"{ratio:.1f}x", "same result": is_same}


def _speed(measured: Measured) -> float:
    return float(measured.returned["texts"] / measured.returned["cpu_s"])


def _texts(path: str) -> pa.StringArray:
    return pq.read_table(path)["text"].combine_chunks()


def _timed(work: Callable[[], list[str]], texts: int) -> dict[str, Any]:
    seconds = []
    for _ in range(PASSES):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    digest = hashlib.sha256("\0".join(result).encode()).hexdigest()
    return {"cpu_s": min(seconds), "texts": texts, "digest": digest}


_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b\u2060\ufeff]+")
_LINE_ENDS = re.compile("\r\n?|\x85|\u2028|\u2029")
_BLANKS = re.compile("[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000 ]+")
_AROUND_LINE_ENDS = re.compile(r" *\n *")
_EMPTY_LINES = re.compile(r"\n{3,}")


def _normal(text: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    text = _LINE_ENDS.sub("\n", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)))
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    text = _EMPTY_LINES.sub("\n\n", _AROUND_LINE_ENDS.sub("\n", _BLANKS.sub(" ", text)))
    return unicodedata.normalize("NFKC", text.strip())


def _cleaned(text: str, replacing: Iterable[tuple[re.Pattern[str], str]], dropping: Sequence[re.Pattern[str]]) -> str:
    text = _normal(_normal(text, ()), replacing)
    if "\n" not in text:
        return text
    lines = [line for line in text.split("\n") if not any(pattern.fullmatch(line) for pattern in dropping)]
    return _normal("\n".join(lines), ())


def _passes(text: str) -> bool:
    defaults = CleanSettings()
    characters = "".join(text.split())
    words = text.split()
    symbols = (text.count("#") + text.count("...")) / len(words)
    nonletters = sum(not character.isalpha() for character in characters) / len(characters)
    lines = [line for line in text.split("\n") if line]
    phrases = list(zip(*(words[start:] for start in range(5)), strict=False))
    return (
        symbols <= defaults.max_symbols
        and nonletters <= defaults.max_nonletters
        and _repeated(lines, len) <= defaults.max_repeated_lines
        and _repeated(phrases, lambda _: 1) <= defaults.max_repeated_phrases
    )


def _repeated(items: Sequence[Any], weight: Callable[[Any], int]) -> float:
    seen = set()
    repeated = total = 0
    for item in items:
        total += weight(item)
        repeated += weight(item) if item in seen else 0
        seen.add(item)
    return repeated / max(1, total)


if __name__ == "__main__":
    sys.exit(main())
