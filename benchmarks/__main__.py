"""Run all benchmarks one after the other."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    modules = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])}
    statuses = []
    for name in sorted(modules - {"__main__"}):
        print(f"\n== {name}", flush=True)
        statuses.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode)
    sys.exit(max(statuses))
