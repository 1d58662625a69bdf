"""Run all benchmarks one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    statuses = []
    for name in names:
        print(f"\n== {name}", flush=True)
        statuses.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode)
    sys.exit(max(statuses))
