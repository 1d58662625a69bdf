"""The crawl against what users write with Scrapy: a real documentation site, served by nginx on this machine.

``python -m benchmarks.crawl [--output FILE.json]`` prints tables. Every contestant is a process of its own; CPU is that
of all its processes, start and imports included, divided by the pages it brought.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.crawl.site import NothingToServeError, path_of, reachable_pages, served, unpack_documentation
from benchmarks.dedupe.child import Measured, measure
from benchmarks.dedupe.tables import Table, ratio

PEERS = {"Scrapy + trafilatura": "scrapy_trafilatura", "Scrapy + selectolax": "scrapy_selectolax"}
SECONDS_OF_A_DAY = 86_400
ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawl", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each contestant crawls")
    parser.add_argument("--output", type=Path, help="write the tables as JSON, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="autoglm-bench-") as temporary:
        tables = []
        try:
            for table in run(Path(temporary), options.rounds):
                print(table, flush=True)
                tables.append(asdict(table))
        except NothingToServeError as error:
            print(error, file=sys.stderr)
            return 1
    if options.output is not None:
        options.output.write_text(json.dumps(tables, indent=1, ensure_ascii=False) + "\n")
    return 0


def run(folder: Path, rounds: int) -> Iterator[Table]:
    """The tables, one after the other."""
    names = unpack_documentation(folder)
    site = folder / "site"
    truth = reachable_pages(site)
    with served(folder) as url:
        ours = _best("autoglm", url, folder, rounds)
        table = Table(f"From address to text: {len(truth):,} pages of {', '.join(names)}")
        _add(table, "ours: crawl, main text, clean", ours, ours, site, truth)
        without = _best("autoglm", url, folder, rounds, is_cleaned=False)
        _add(table, "ours: crawl, main text", without, ours, site, truth)
        for name, module in PEERS.items():
            if importlib.util.find_spec(name.rpartition(" ")[2]) is None:
                print(f"{name} is not installed (extra `bench`): left out", file=sys.stderr)
                continue
            _add(table, name, _best(module, url, folder, rounds), ours, site, truth)
        million = 1_000_000 * _cpu_a_page(ours) / SECONDS_OF_A_DAY
        table.notes.append(f"1,000,000 pages a day: {million:.0%} of one core (ours, crawl to clean text)")
        yield table
        yield _again(url, folder)


def _best(module: str, url: str, folder: Path, rounds: int, **arguments: Any) -> Measured:
    """The round that took the least CPU."""
    measured = []
    for number in range(rounds):
        destination = str(folder / f"{module}-{len(arguments)}-{number}")
        measured.append(
            measure(
                f"benchmarks.crawl.contestants.{module}",
                "crawl",
                cache=folder / "kernels",
                url=url,
                destination=destination,
                **arguments,
            )
        )
    return min(measured, key=lambda one: one.cpu_s)


def _add(table: Table, name: str, measured: Measured, ours: Measured, site: Path, truth: set[str]) -> None:
    brought = Counter(filter(None, (path_of(site, url) for url in measured.returned["urls"])))
    aside = {path_of(site, url) for url in measured.returned["aside"]}
    table.add(
        {
            "": name,
            "pages": len(measured.returned["urls"]),
            "CPU ms a page": 1_000 * _cpu_a_page(measured),
            "ratio": ratio(_cpu_a_page(measured), _cpu_a_page(ours)),
            "wall s": measured.wall_s,
            "peak MiB": measured.peak_mib,
            "missed": len(truth - set(brought) - aside),
            "put aside": len(truth & aside - set(brought)),
        }
    )
    table.details[name] = {"reasons": dict(Counter(measured.returned["aside"].values()))}


def _again(url: str, folder: Path) -> Table:
    """A second crawl of the unchanged site: what it costs to see that."""
    state = str(folder / "state")
    table = Table("The same site again, unchanged")
    for number, name in enumerate(("first crawl", "second crawl")):
        measured = measure(
            "benchmarks.crawl.contestants.autoglm",
            "crawl_again",
            cache=folder / "kernels",
            url=url,
            destination=str(folder / f"again-{number}"),
            state=state,
        )
        table.add(
            {
                "": name,
                "new documents": len(measured.returned["urls"]),
                "unchanged": measured.returned["unchanged"],
                "MB": measured.returned["bytes"] / 1e6,
                "CPU s": measured.cpu_s,
            }
        )
    return table


def _cpu_a_page(measured: Measured) -> float:
    return measured.cpu_s / max(1, len(measured.returned["urls"]))


if __name__ == "__main__":
    sys.exit(main())
