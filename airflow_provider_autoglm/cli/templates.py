"""``airflow autoglm copy-dags``."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

_TEMPLATES = Path(__file__).parents[1] / "example_dags"


def copy_dags(args: argparse.Namespace) -> None:
    """Copy the templates; files of the user's that differ are kept unless ``--overwrite`` is given."""
    destination = Path(args.destination)
    destination.mkdir(parents=True, exist_ok=True)
    kept = False
    for template in sorted(_TEMPLATES.glob("*.py")):
        target = destination / template.name
        if target.exists() and target.read_bytes() != template.read_bytes() and not args.overwrite:
            print(f"kept    {target} (differs from the template; --overwrite replaces it)")
            kept = True
            continue
        shutil.copyfile(template, target)
        print(f"copied  {target}")
    if kept:
        sys.exit(1)
