"""The demo from start to end: a dataset, a first model, a better one, a broken one taken back, and the circle."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.tracking.registry import Registry
from demo.circle import Circle
from demo.circle_story import CircleStory, Dags
from demo.dag_runs import DagRun, DagRuns
from demo.models import Documents, ModelFigures, ask_labels, model_figures, read_aliases
from demo.outcome import Outcome
from demo.processes import Processes
from demo.rollouts import RolloutFigures, read_figures
from demo.sabotage import register_saboteur
from demo.serving_stack import ServingStack
from demo.stack import AirflowStack, MlflowServer
from demo.summary import Summary, summarise
from demo.texts import ClientTexts, as_before, shuffled
from demo.traffic import Question, Traffic, count
from demo.variable import SECOND_MODEL, demo_variable
from demo.weights import WeightSampler

PIPELINE = "default"
DAGS = Dags(
    drift_watch=f"autoglm_drift_watch_{PIPELINE}",
    dataset=f"autoglm_dataset_{PIPELINE}",
    retrain=f"autoglm_retrain_{PIPELINE}",
    rollout=f"autoglm_canary_rollout_{PIPELINE}",
)
VARIABLE = f"autoglm_{PIPELINE}"
_REPOSITORY = Path(__file__).resolve().parent.parent
_SITE_READY_S = 120.0
_AIRFLOW_PORT, _MLFLOW_PORT, _GATEWAY_PORT = 8080, 5000, 8000
_REQUESTS_PER_S = 20.0
_AFTER_THE_END_S = 5.0
_ENVIRONMENT = {
    # The demo waits for the runs that it triggers and that asset events start; the clock must not come between.
    f"AIRFLOW__AUTOGLM__{stage}_SCHEDULE": ""
    for stage in ("DRIFT_WATCH", "DATASET_SWEEP", "RETRAIN", "CANARY_ROLLOUT")
}


class Demo:
    """One demo in ``folder``: ``site`` is what it crawls, empty for the site of its own; ``contact`` goes with it."""

    def __init__(
        self, folder: Path, processes: Processes, site: str, pages_per_area: int, *, contact: str = ""
    ) -> None:
        self.folder = folder
        self.processes = processes
        self.site = site
        self.contact = contact
        self.pages_per_area = pages_per_area
        self.truth_file = folder / "truth.json"
        self.mlflow = MlflowServer(folder / "mlflow", processes, port=_MLFLOW_PORT)
        self.serving = ServingStack(folder / "serving", processes, PIPELINE, port=_GATEWAY_PORT)
        self.airflow = AirflowStack(
            folder / "airflow",
            _REPOSITORY / "dags",
            {"AIRFLOW__AUTOGLM__ROOT": (folder / "corpora").as_uri(), **_ENVIRONMENT},
            port=_AIRFLOW_PORT,
            processes=processes,
        )
        self.runs = DagRuns(self.airflow, self.say)
        self.texts: ClientTexts | None = None
        self._started = time.monotonic()

    def run(self) -> Outcome:
        """Start everything, tell the story and read what came of it; ``summary.json`` is written."""
        self._start()
        dataset = self._dataset()
        documents = Documents.of(dataset.dataset.uri)
        with ExitStack() as stack:
            sampler = stack.enter_context(WeightSampler(self.serving.url))
            training, first = self.runs.follow_woken(DAGS.retrain), self._woken_rollout()
            traffic = stack.enter_context(
                Traffic(self.serving.url, self._questions(documents), per_second=_REQUESTS_PER_S)
            )
            self.say(f"clients send {_REQUESTS_PER_S:g} requests/s to {self.serving.url}/invocations")
            models = [self._figures(first, training, documents)]
            training = self.runs.run(DAGS.retrain, {"dataset_version": dataset.dataset.version, **SECOND_MODEL})
            second = self._woken_rollout()
            models.append(self._figures(second, training, documents))
            third = self._sabotaged_rollout(second.version)
            circle = self._circle(traffic, second.version)
            time.sleep(_AFTER_THE_END_S)  # requests after the last rollout belong to the picture
        self.say("reading the figures")
        outcome = Outcome(
            dataset=dataset,
            models=models,
            rollouts=[first, second, third],
            circle=circle,
            traffic=count(traffic.answers()),
            traffic_of_rollouts={
                rollout.id: count(traffic.answers(rollout.began_at, rollout.ended_at))
                for rollout in (second, third, *((circle.rollout,) if circle else ()))
            },
            weights=sampler.samples(),
            aliases=read_aliases(self.registry),
            runs=self.runs.done,
            model_url=f"{self.mlflow.url}/#/models/{PIPELINE}",
            seconds=round(time.monotonic() - self._started, 1),
        )
        (self.folder / "summary.json").write_text(outcome.to_json() + "\n")
        return outcome

    def say(self, text: str) -> None:
        """One line of progress, with the seconds since the start."""
        print(f"[{time.monotonic() - self._started:5.0f} s] {text}", flush=True)

    @property
    def registry(self) -> Registry:
        """The registered model on the demo's MLflow."""
        return Registry(MlflowClient(tracking_uri=self.mlflow.url), PIPELINE)

    def _variable(self, *, is_own_site: bool) -> dict[str, Any]:
        if is_own_site:
            return demo_variable(self.site, is_own_site=True)
        return demo_variable(self.site, is_own_site=False, contact=self.contact)

    def _start(self) -> None:
        is_own_site = not self.site
        if is_own_site:
            command = [sys.executable, "-m", "demo.site", "--truth", str(self.truth_file)]
            command += ["--pages-per-area", str(self.pages_per_area)]
            self.processes.start("site", command, is_server=True)
        self.say(f"starting MLflow, Airflow and a gateway; logs are in {self.processes.logs}")
        self.mlflow.launch()
        self.airflow.launch()
        if is_own_site:
            self.texts = ClientTexts.choose()
            self.processes.wait_until("demo site", self._site_answers, timeout_s=_SITE_READY_S, names=["site"])
            self.say(f"demo site: {self.site}")
        self.mlflow.wait_healthy()
        self.say(f"MLflow:  {self.mlflow.url}")
        self.serving.launch(self.mlflow.url)
        self.airflow.wait_healthy()
        self.say(f"Airflow: {self.airflow.url}")
        self.serving.wait_listening()
        self.say(f"Gateway: {self.serving.url}")
        self._configure(is_own_site=is_own_site)

    def _site_answers(self) -> bool:
        first_line, newline, _ = self.processes.log_file("site").read_text().partition("\n")
        if newline:
            self.site = str(json.loads(first_line)["url"])
        return bool(newline)

    def _configure(self, *, is_own_site: bool) -> None:
        api = self.airflow.api
        api.set_variable(VARIABLE, self._variable(is_own_site=is_own_site))
        api.set_connection("mlflow_default", "mlflow", host=self.mlflow.url)
        api.set_connection("autoglm_state", "autoglm_state", host=self.serving.state_url)
        self.say(f"Variable {VARIABLE} and the Connections mlflow_default and autoglm_state are set")
        self.runs.unpause([DAGS.dataset, DAGS.retrain, DAGS.rollout, DAGS.drift_watch])

    def _dataset(self) -> Summary:
        run = self.runs.run(DAGS.dataset)
        return summarise(
            site=self.site,
            run=self.runs.result(run, "load_settings", key="run"),
            published=self.runs.result(run, "publish"),
            tasks=run.tasks,
            truth=self._truth(),
            airflow_url=run.url,
            mlflow_url=self.mlflow.url,
            cache=self.folder / "cache",
        )

    def _truth(self) -> Mapping[str, str] | None:
        return json.loads(self.truth_file.read_text()) if self.truth_file.exists() else None

    def _questions(self, documents: Documents) -> Iterator[Question]:
        """What clients ask at first: texts of the site's areas, of a site of the user's own the very texts."""
        if self.texts is not None:
            return as_before(self.texts)
        return (Question(row["text"]) for row in shuffled(documents.all))

    def _circle(self, traffic: Traffic, champion: str) -> Circle | None:
        if self.texts is None:
            return None
        story = CircleStory(
            pipeline=PIPELINE,
            dags=DAGS,
            runs=self.runs,
            processes=self.processes,
            database=self.serving.database,
            registry=self.registry,
            traffic=traffic,
            texts=self.texts,
            folder=self.folder / "held_out",
            say=self.say,
        )
        return story.tell(champion)

    def _woken_rollout(self) -> RolloutFigures:
        return self._rollout(self.runs.follow_woken(DAGS.rollout))

    def _sabotaged_rollout(self, version: str) -> RolloutFigures:
        saboteur = register_saboteur(self.registry, version, self.folder / "sabotage")
        self.say(f"registered version {saboteur.version}: version {version} with NaN in its last layer")
        return self._rollout(self.runs.run(DAGS.rollout, {"model_version": saboteur.version}))

    def _rollout(self, run: DagRun) -> RolloutFigures:
        rollout_id = int(self.runs.result(run, "canary")["rollout_id"])
        rollout = read_figures(self.serving.database, PIPELINE, rollout_id)
        self.say(f"rollout {rollout.id} of version {rollout.version} is {rollout.state}: {rollout.reason}")
        return rollout

    def _figures(self, rollout: RolloutFigures, training: DagRun, documents: Documents) -> ModelFigures:
        method: Any = self.runs.result(training, "load_settings", key="train")["method"]
        return model_figures(
            rollout.version,
            url=self.registry.version_url(rollout.version),
            method=str(method),
            verdict=self.runs.result(training, "evaluate"),
            answers=ask_labels(self.serving.url, documents.test),
            truth=self._truth(),
        )
