"""A process of its own for each contestant: what it returned, and what it took.

``python -m benchmarks.dedupe.child MODULE FUNCTION ARGUMENTS`` prints the report as its last line; the module is a
contestant of this benchmark, or a dotted path.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """CPU seconds of the process and of all it started, with and without its imports; wall seconds; MiB at the peak."""

    cpu_s: float
    cpu_without_imports_s: float
    wall_s: float
    peak_mib: float
    returned: dict[str, Any]


class ContestantError(Exception):
    """A contestant failed."""


def measure(module: str, function: str, *, cache: Path, **arguments: Any) -> Measured:
    """Run ``function(**arguments)`` of a contestant; numba keeps its kernels under ``cache``.

    :raises ContestantError: with the end of what the process wrote, if it fails.
    """
    command = [sys.executable, "-m", __name__, module, function, json.dumps(arguments)]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ContestantError(f"{module}.{function} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def main(module: str, function: str, arguments: str) -> None:
    """Import, run, report."""
    contestant = importlib.import_module(module if "." in module else f"benchmarks.dedupe.contestants.{module}")
    after_imports, started = cpu_seconds(), time.perf_counter()
    returned = getattr(contestant, function)(**json.loads(arguments))
    cpu = cpu_seconds()
    report = Measured(cpu, cpu - after_imports, time.perf_counter() - started, peak_mib(), returned)
    print(json.dumps(asdict(report)))


def cpu_seconds() -> float:
    """User and system time of this process, its threads and the children it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_mib() -> float:
    """Peak resident memory of this process."""
    try:
        # A child inherits ru_maxrss of the process that started it; Linux has the true one here.
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
    except (OSError, TypeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
