"""The package as Airflow sees it: provider info, connection form, configuration, example DAGs, wheel."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_provider_autoglm import __version__, assets, configuration
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.get_provider_info import get_provider_info
from tests.conftest import REPOSITORY


def run_airflow(*arguments: str, **environment: str) -> str:
    """Output of an ``airflow`` command."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_provider_info_satisfies_airflows_schema() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)
    assert get_provider_info()["package-name"] == distribution("airflow-provider-autoglm").name


def _named_in(info: dict[str, Any]) -> list[str]:
    names = [connection["hook-class-name"] for connection in info["connection-types"]]
    names += [*info["extra-links"], *info["cli"]]
    return names + [entry[key] for entry in info["asset-uris"] for key in ("handler", "factory")]


@pytest.mark.parametrize("name", _named_in(get_provider_info()))
def test_everything_that_provider_info_names_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("group", ["apache_airflow_provider", "airflow.plugins", "mlflow.request_auth_provider"])
def test_entry_points_load(group: str) -> None:
    own = [point for point in entry_points(group=group) if point.dist and point.dist.name == "airflow-provider-autoglm"]
    assert [point.load() for point in own]


def test_airflow_lists_the_provider_and_its_version() -> None:
    providers = json.loads(run_airflow("providers", "list", "--output", "json"))
    own = [row for row in providers if row["package_name"] == "airflow-provider-autoglm"]
    assert [row["version"] for row in own] == [__version__]


def test_airflow_offers_the_connection_type_with_its_hook() -> None:
    hooks = json.loads(run_airflow("providers", "hooks", "--output", "json"))
    assert "airflow_provider_autoglm.hooks.mlflow.MlflowHook" in json.dumps(hooks)


def test_options_have_defaults_and_follow_the_environment() -> None:
    assert run_airflow("config", "get-value", "autoglm", "pipelines").strip().endswith("default")
    changed = run_airflow("config", "get-value", "autoglm", "pipelines", AIRFLOW__AUTOGLM__PIPELINES="news,support")
    assert changed.strip().endswith("news,support")


def test_one_dag_is_built_for_each_pipeline() -> None:
    code = "import runpy; print([n for n in runpy.run_path('dags/dataset.py') if n.startswith('autoglm_')])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "AIRFLOW__AUTOGLM__PIPELINES": "news, support"},
    )
    assert done.stdout.strip().endswith("['autoglm_dataset_news', 'autoglm_dataset_support']")


@pytest.mark.parametrize("name", ["customer support", "..", "a/b", "новости"])
def test_a_pipeline_name_that_can_be_no_dag_id_or_folder_is_refused_when_the_file_is_parsed(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AIRFLOW__AUTOGLM__PIPELINES", f"news,{name}")

    with pytest.raises(SettingsError, match=rf"\[autoglm\] pipelines: '{re.escape(name)}' is no name"):
        configuration.pipelines()


_EXAMPLE_BUNDLES = """
import json
from airflow.dag_processing.bundles.manager import DagBundlesManager
config = DagBundlesManager()._bundle_config
print(json.dumps({name: entry.kwargs.get("path") for name, entry in config.items()}))
"""


def _example_folder(**environment: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", _EXAMPLE_BUNDLES],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "AIRFLOW__CORE__LOAD_EXAMPLES": "True", **environment},
    )
    return Path(json.loads(done.stdout.splitlines()[-1])["airflow-provider-autoglm-example-dags"])


def test_the_editable_install_serves_the_example_dags() -> None:
    assert (_example_folder() / "dataset.py").samefile(REPOSITORY / "dags" / "dataset.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_serves_the_example_dags(wheel: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(tmp_path), str(wheel)],
        check=True,
        capture_output=True,
    )
    folder = _example_folder(PYTHONPATH=str(tmp_path))
    assert folder == tmp_path / "airflow_provider_autoglm" / "example_dags"
    assert (folder / "dataset.py").read_bytes() == (REPOSITORY / "dags" / "dataset.py").read_bytes()


def test_the_wheel_holds_the_package_its_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "airflow_provider_autoglm/py.typed" in names
    assert {name.split("/")[0] for name in names} == {
        "airflow_provider_autoglm",
        f"airflow_provider_autoglm-{__version__}.dist-info",
    }


def test_asset_uris_are_checked() -> None:
    asset = assets.dataset_asset("news")
    assert asset.uri == "autoglm://news/dataset"
    with pytest.raises(ValueError, match="autoglm:// URIs name a pipeline"):
        assets.create_asset(pipeline="news", kind="nonsense")
