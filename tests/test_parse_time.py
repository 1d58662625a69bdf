"""DAG files are parsed every few seconds: they must not load what only tasks need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("measured_children")

DAG_FILES = sorted((Path(__file__).parents[1] / "dags").glob("*.py"))
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "mlflow",
    "scrapy",
    "sklearn",
    "scipy",
    "numba",
    "pandas",
    "pyarrow",
    "fsspec",
    "airflow_provider_autoglm.state",
}

_PARSE = """
import json, runpy, sys
import airflow.sdk
from airflow.sdk.configuration import conf
before = set(sys.modules)
names = runpy.run_path(sys.argv[1])
print(json.dumps({
    "dags": [name for name in names if name.startswith("autoglm_")],
    "loaded": sorted(set(sys.modules) - before),
}))
"""


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda file: file.name)
def test_parsing_a_dag_file_loads_nothing_heavy(file: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _PARSE, str(file)], check=True, capture_output=True, text=True)
    parsed = json.loads(done.stdout.splitlines()[-1])
    assert parsed["dags"]
    assert HEAVY.isdisjoint(parsed["loaded"])
    assert not any(name.endswith("engine") and name.startswith("sqlalchemy") for name in parsed["loaded"])


def test_every_operator_module_imports_light() -> None:
    code = (
        "import importlib, json, sys\n"
        "from airflow_provider_autoglm.get_provider_info import get_provider_info\n"
        "for entry in get_provider_info()['operators'] + get_provider_info()['hooks']:\n"
        "    for name in entry['python-modules']: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "airflow_provider_autoglm.operators.publish" in loaded
    assert (HEAVY - {"fsspec"}).isdisjoint(loaded)
