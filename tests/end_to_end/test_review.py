"""People check labels in a running Airflow: one with a browser on the Required Actions page, the others by REST."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_autoglm.corpus.store import Corpus
from demo.docstrings import sample_area
from demo.variable import PHRASES
from tests.corpus.crawl.browsers import reason_against_browser
from tests.end_to_end.cooking import COOKING, recipes
from tests.end_to_end.deployment import FINISHED, POLL_S, RUN_LIMIT_S, Deployment

if TYPE_CHECKING:
    from playwright.sync_api import Page

DAG = "autoglm_dataset_reviewed"
SITE = "https://texts.example.com"
PATIENCE_MS = 60_000
ASK: dict[str, Any] = {
    "mode": "ask",
    "margin": 0.2,
    "target_accuracy": 0.4,
    "form_texts": 8,
    "suspicious_texts": 4,
}
ANSWERED_AFTER_S = 3
"""An answer to a task that has only just begun to wait can be lost (upstream #66374)."""


def truth_of(url: str) -> str:
    return url.removeprefix(f"{SITE}/").split("/")[0]


class Desk:
    """The pipeline ``reviewed``: recipes and texts about databases, and who asks people about them."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self.deployment = deployment
        self.api = deployment.stack.api
        self.folder = folder

    def start(self, review: Mapping[str, Any], *, seed: int) -> str:
        """Run the DAG on new texts; the id of the run, which goes on."""
        texts = {
            "cooking": recipes(40, seed=seed),
            "databases": [doc.text for doc in sample_area("databases", 40, skip=40 * seed)],
        }
        rows = [
            {"url": f"{SITE}/{name}/{seed}-{number}", "text": text}
            for name, written in texts.items()
            for number, text in enumerate(written)
        ]
        file = self.folder / f"texts-{seed}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file)
        variable = {
            "sources": [{"files": file.as_uri()}],
            "labels": [COOKING, {"name": "databases", "phrases": list(PHRASES["databases"])}],
            "label": {"refine": False, "max_tokens": 64, "explain_texts": 2},
            "review": dict(review),
            "publish": {"min_class_rows": 0},
        }
        self.api.set_variable("autoglm_reviewed", variable)
        return self.api.trigger(DAG)

    def wait_for_forms(self, run_id: str) -> dict[int, dict[str, Any]]:
        """The requests of the run by map index, once each of its forms has waited for a while."""

        def waiting() -> list[str | None]:
            return [task.state for task in self.api.task_states(DAG, run_id) if task.task_id == "review"]

        seen_at: list[float] = []

        def are_asked() -> bool:
            assert self.api.run_state(DAG, run_id) not in FINISHED
            if set(waiting()) != {"awaiting_input"}:
                return False
            seen_at.append(time.monotonic())
            return seen_at[-1] - seen_at[0] > ANSWERED_AFTER_S

        self._wait("the forms", are_asked)
        return {index: self.request(run_id, index) for index in range(len(waiting()))}

    def request(self, run_id: str, index: int) -> dict[str, Any]:
        found: dict[str, Any] = self.api.call("GET", self._path(run_id, index))
        return found

    def answer(self, run_id: str, index: int, given: Mapping[str, Any]) -> None:
        options = self.request(run_id, index)["options"]
        body = {"chosen_options": options, "params_input": dict(given)}
        self.api.call("PATCH", self._path(run_id, index), json=body)

    def wait_for_end(self, run_id: str) -> dict[str, str | None]:
        """The state of each task at the run's end."""
        self.deployment.wait(run_id, dag_id=DAG)
        return self.deployment.states(run_id, dag_id=DAG)

    def verdict(self, run_id: str) -> dict[str, Any]:
        return dict(self.api.xcom(DAG, run_id, "decide_review_again", key="verdict"))

    def published(self, run_id: str) -> Corpus:
        return Corpus.open(self.api.xcom(DAG, run_id, "publish")["uri"])

    def _path(self, run_id: str, index: int) -> str:
        return f"dags/{DAG}/dagRuns/{run_id}/taskInstances/review/{index}/hitlDetails"

    def _wait(self, what: str, condition: Any) -> None:
        self.deployment.stack.processes.wait_until(what, condition, timeout_s=RUN_LIMIT_S, every_s=POLL_S)


def truths(request: Mapping[str, Any]) -> dict[str, Any]:
    """The right answers to a form; what is hidden in it goes back as it came."""
    fields = request["params"].items()
    return {name: truth_of(field["description"]) if field["description"] else field["value"] for name, field in fields}


@contextmanager
def a_page() -> Iterator[Page]:
    if (reason := reason_against_browser()) is not None:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        executable = None if own.exists() else shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 1100})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def desk(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    deployment.stack.wait_for_dag(DAG)
    deployment.stack.api.unpause(DAG)
    return Desk(deployment, tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def reviewed_run(desk: Desk) -> str:
    """A run whose first form is answered in a browser, the others by REST; one answer is outside its form."""
    with a_page() as page:
        run_id = desk.start(ASK, seed=1)
        first, *others = desk.wait_for_forms(run_id).items()
        answer_in_browser(page, desk.api.url, first[1])
    for index, request in others:
        strange = {"row_00": {"label": ["nonsense"]}} if index == 1 else {}
        desk.answer(run_id, index, {**truths(request), **strange})
    return run_id


def answer_in_browser(page: Page, url: str, request: Mapping[str, Any]) -> None:
    """Find the form among the required actions, choose a class for each text, and submit."""
    page.goto(f"{url}/required_actions")
    page.get_by_role("link", name=request["subject"]).click()
    button = page.get_by_role("button", name=request["options"][0])
    button.wait_for()
    fields = page.get_by_role("combobox")
    shown = page.get_by_text(f"{SITE}/").all_inner_texts()
    assert len(shown) == fields.count() == sum(name.startswith("row_") for name in request["params"])
    assert page.get_by_text("Select Value").count() == len(shown)
    for position, address in enumerate(shown):
        fields.nth(position).fill(truth_of(address))
        fields.nth(position).press("Enter")
    button.click()
    page.get_by_text("response successful").wait_for()


def test_labels_that_people_checked_arrive_in_the_dataset(desk: Desk, reviewed_run: str) -> None:
    states = desk.wait_for_end(reviewed_run)
    assert (states.pop("review_again"), set(states.values())) == ("skipped", {"success"})
    verdict = desk.verdict(reviewed_run)
    assert (verdict["outcome"], verdict["answered"]) == ("passed", verdict["asked"] - 1)

    dataset = desk.published(reviewed_run)
    by_people = [row for row in dataset.to_table().to_pylist() if row["label_source"] == "human"]
    assert {row["labeler"] for row in by_people} == {"review/sample", "review/suspicious"}
    assert sum(row["labeler"] == "review/sample" for row in by_people) == verdict["answered"]
    assert all(row["label"] == truth_of(row["url"]) for row in by_people)
    card = Path(dataset.uri.removeprefix("file://"), "README.md").read_text()
    assert f"{verdict['estimate']['accuracy']:.1%}" in card


def test_mlflow_holds_the_draw_and_the_review_once(desk: Desk, reviewed_run: str) -> None:
    desk.wait_for_end(reviewed_run)
    _, *children = desk.deployment.mlflow_runs(reviewed_run, pipeline="reviewed")
    names = [child["run_name"] for child in children]
    assert (names.count("review_draw"), names.count("review")) == (1, 1)
    assert {child["status"] for child in children} == {"FINISHED"}


def test_a_cleared_form_is_asked_again_and_its_first_answer_stays(desk: Desk, reviewed_run: str) -> None:
    desk.wait_for_end(reviewed_run)
    before = desk.verdict(reviewed_run)
    body = {"dry_run": False, "dag_run_id": reviewed_run, "task_ids": ["review"], "include_downstream": True}
    body |= {"only_failed": False, "reset_dag_runs": True}
    desk.api.call("POST", f"dags/{DAG}/clearTaskInstances", json=body)
    for index, request in desk.wait_for_forms(reviewed_run).items():
        desk.answer(reviewed_run, index, dict.fromkeys(request["params"], "cooking"))
    assert "failed" not in desk.wait_for_end(reviewed_run).values()
    assert desk.verdict(reviewed_run) == {**before, "reused": True}


def test_without_an_answer_in_time_the_dataset_says_that_it_is_unreviewed(desk: Desk) -> None:
    run_id = desk.start({**ASK, "on_no_answer": "pass", "timeout_hours": 0.001}, seed=2)
    assert "failed" not in desk.wait_for_end(run_id).values()
    assert desk.verdict(run_id)["outcome"] == "unreviewed"
    new = [row for row in desk.published(run_id).to_table().to_pylist() if "/2-" in row["url"]]
    assert {row["label_source"] for row in new} == {"auto"}
