"""Real things that tests share: an Airflow home with a migrated database, and a web site of documents."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from demo import watchdog
from tests import s3_server as s3
from tests.mlflow_server import MlflowServer, running

REPOSITORY = Path(__file__).parents[1]

# Airflow reads its configuration when it is imported, which is before any fixture runs.
_HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(REPOSITORY / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__AUTOGLM__ROOT=f"file://{_HOME}/corpora",
    AIRFLOW__AUTOGLM__RETRIES="0",
    HF_HUB_OFFLINE="1",
)

# Every run of a commit tries the same examples; `--hypothesis-profile=default` searches for others.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
# A failing example would be offered as a patch, whose writer breaks on Twisted's interfaces and so ends the whole run.
sys.modules["hypothesis.extra._patching"] = None  # type: ignore[assignment]

# What takes longest begins first, so that no process is left with it when the others have nothing more to do.
_LONGEST_FIRST = (
    "end_to_end/",
    "dags/",
    "serving/test_app.py",
    "serving/test_model_host.py",
    "serving/test_fleet.py",
    "serving/test_router.py",
    "operators/",
    "test_cli_state.py",
    "training/",
    "test_provider.py",
    "demo/",
    "rollout/",
    "tracking/",
    "corpus/dedupe/",
    "corpus/crawl/",
    "labeling/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files by how long they take."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    file = item.path.relative_to(REPOSITORY / "tests").as_posix()
    return next((rank for rank, start in enumerate(_LONGEST_FIRST) if file.startswith(start)), len(_LONGEST_FIRST))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Keep the tests of a file in one process, and all end-to-end tests, since they share what takes long to start."""
    config.option.loadscopereorder = False
    return _ByFile(config, log)


class _ByFile(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        folder, _, file = nodeid.partition("::")[0].rpartition("/")
        return folder if folder.endswith("end_to_end") else f"{folder}/{file}"


@dataclass(frozen=True)
class Site:
    """A running web site; ``truth`` gives the area of each page by its URL."""

    url: str
    truth: dict[str, str]


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running(coverage_of_children: str | None) -> Iterator[None]:
    """End what the tests have started once this process ends, in whatever way it does."""
    marker = uuid4().hex
    with subprocess.Popen(
        [sys.executable, "-m", "demo.watchdog", marker], stdin=subprocess.PIPE, cwd=REPOSITORY, start_new_session=True
    ):
        os.environ[watchdog.MARKER] = marker
        yield
        del os.environ[watchdog.MARKER]


@pytest.fixture(scope="session", autouse=True)
def coverage_of_children() -> str | None:
    """What would measure the coverage of child processes, taken away: tracing makes them half as slow again."""
    return os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(scope="module")
def measured_children(coverage_of_children: str | None) -> Iterator[None]:
    """Measure the children of a module's tests: for code that runs nowhere else than in a process of its own."""
    with pytest.MonkeyPatch.context() as environment:
        if coverage_of_children is not None:
            environment.setenv("COVERAGE_PROCESS_CONFIG", coverage_of_children)
        yield


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """AIRFLOW_HOME with a migrated database."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    return _HOME


_DEDUPLICATE = """
import tempfile
import pyarrow as pa
from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.settings import DedupeSettings

words = [f"word{number}" for number in range(60)]
texts = [" ".join(words), " ".join(words[1:])]
rows = [{"doc_id": str(number), "url": f"https://site.example/{number}", "text": text}
        for number, text in enumerate(texts)]
with tempfile.TemporaryDirectory() as folder:
    write_corpus(f"{folder}/clean", [pa.Table.from_pylist(rows)], stage="clean")
    settings = DedupeSettings(method="both", max_removed_fraction=1.0)
    for run in ("first", "second"):
        deduplicate(f"{folder}/clean", f"{folder}/{run}", settings, state_uri=f"{folder}/state")
"""


@pytest.fixture(scope="session")
def compiled_kernels() -> None:
    """The kernels of the deduplication in the user's cache: coverage makes compiling them twice as slow in here."""
    subprocess.run([sys.executable, "-c", _DEDUPLICATE], check=True)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A real MLflow server for all tests of the process, which have names of their own in it."""
    with running(MlflowServer(tmp_path_factory.mktemp("mlflow"))) as server:
        yield server


@pytest.fixture(scope="session")
def auth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """As :func:`mlflow_server`, with basic auth."""
    with running(MlflowServer(tmp_path_factory.mktemp("mlflow-auth"), basic_auth=True)) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.S3Server]:
    """A real S3 server for all tests of the process, which have buckets of their own in it."""
    with s3.running(s3.S3Server()) as server:
        yield server


@pytest.fixture(scope="session")
def start_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Site]]:
    """Start the demo's site with so many pages an area, in a process of its own."""
    processes: list[subprocess.Popen[str]] = []

    def start(pages_per_area: int) -> Site:
        truth = tmp_path_factory.mktemp("site") / "truth.json"
        command = [sys.executable, "-m", "demo.site", "--truth", str(truth), "--pages-per-area", str(pages_per_area)]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        return Site(url, json.loads(truth.read_text()))

    yield start
    for process in processes:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def small_site(start_site: Callable[[int], Site]) -> Site:
    """Fifteen documents an area."""
    return start_site(15)
