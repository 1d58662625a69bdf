"""The second half of the demo: the clients bring a new area, and the pipeline learns it by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import find_check
from airflow_provider_autoglm.state.rollouts import read_rollout
from airflow_provider_autoglm.state.routes import read_routes
from airflow_provider_autoglm.state.served import first_served, newest_served
from airflow_provider_autoglm.tracking.registry import Registry
from demo.checks import CheckFigures, check_line
from demo.circle import CONFIRMATIONS, Circle, ModelLink, TrafficVersion
from demo.dag_runs import DagRun, DagRuns
from demo.held_out import Comparison, answers_of
from demo.processes import Processes
from demo.rollouts import read_figures
from demo.texts import ClientTexts, with_the_new_area
from demo.traffic import Traffic
from demo.variable import BASELINE_ROWS, WINDOW_ROWS

_ROWS_S = 300.0
_MAY_SKIP = ("drift_check", "feedback_check")
_TAGS = ("autoglm.dataset_version", "autoglm.reasons")


class NotConfirmedError(RuntimeError):
    """The drift was not confirmed, so nothing more would happen."""


@dataclass(frozen=True)
class Dags:
    """The ids of the DAGs that take part."""

    drift_watch: str
    dataset: str
    retrain: str
    rollout: str


@dataclass(frozen=True)
class CircleStory:
    """Tells it of ``pipeline``, with everything up and clients that ask as before; ``folder`` is for downloads.

    :param say: takes a line of progress.
    """

    pipeline: str
    dags: Dags
    runs: DagRuns
    processes: Processes
    database: Database
    registry: Registry
    traffic: Traffic
    texts: ClientTexts
    folder: Path
    say: Callable[[str], None]

    def tell(self, champion: str) -> Circle:
        """From the champion that does not know the new area to the one that does.

        :raises NotConfirmedError: if the checks do not confirm the drift.
        :raises RunFailedError: if a task does not do what it should.
        """
        before = self._answers(champion)
        checks = self._checks(champion)
        dataset_run = self.runs.follow_woken(self.dags.dataset)
        dataset = TrafficVersion.read(self.runs.result(dataset_run, "publish")["uri"], self.texts.area_by_document())
        self.say(
            f"dataset version {dataset.version} has {dataset.of_the_new_area} rows of the new area from traffic, "
            f"{dataset.told} of them with the label that a client told"
        )
        model = self._model(self.runs.follow_woken(self.dags.retrain))
        rollout_run = self.runs.follow_woken(self.dags.rollout)
        rollout = read_figures(self.database, self.pipeline, int(self.runs.result(rollout_run, "canary")["rollout_id"]))
        self.say(f"rollout {rollout.id} of version {rollout.version} is {rollout.state}: {rollout.reason}")
        after = self._answers(model.version)
        serving = read_routes(self.database, self.pipeline).champion
        known = len(self.texts.held_out_known)
        return Circle(
            checks=[self._figures(run) for run in checks],
            dataset_run=_key(dataset_run),
            dataset=dataset,
            model=model,
            rollout=rollout,
            rollout_started_by=read_rollout(self.database, rollout.id).started_by,
            champion=None if serving is None else serving.version,
            new_area=Comparison.of(self.texts.held_out_new, before[known:], after[known:]),
            known_areas=Comparison.of(self.texts.held_out_known, before[:known], after[:known]),
        )

    def _checks(self, champion: str) -> Sequence[DagRun]:
        self._wait_for_rows(champion, WINDOW_ROWS, after_id=self._last_of_the_baseline(champion))
        runs = [self._check()]
        self.traffic.ask_from_now_on(with_the_new_area(self.texts))
        self.say("from now on half of the requests are about the new area, and clients tell the true label of 30 %")
        for _ in range(CONFIRMATIONS):
            self._wait_for_rows(champion, WINDOW_ROWS, after_id=self._last_row(champion))
            runs.append(self._check())
        last = self._figures(runs[-1])
        if not last.is_confirmed:
            raise NotConfirmedError(f"check {last.id} of version {last.version}: {last.confirmation}")
        return runs

    def _check(self) -> DagRun:
        run = self.runs.run(self.dags.drift_watch, may_skip=_MAY_SKIP)
        self.say(check_line(self._figures(run)))
        return run

    def _figures(self, run: DagRun) -> CheckFigures:
        check = find_check(self.database, self.pipeline, "drift", _key(run))
        if check is None:
            raise NotConfirmedError(f"{_key(run)} has recorded no drift check")
        return CheckFigures.of(check)

    def _last_of_the_baseline(self, champion: str) -> int:
        """The id of the last row that becomes the baseline, once it is there."""
        self.processes.wait_until(
            f"{BASELINE_ROWS} answers of version {champion} outside a rollout",
            lambda: len(first_served(self.database, self.pipeline, champion, limit=BASELINE_ROWS)) == BASELINE_ROWS,
            timeout_s=_ROWS_S,
        )
        return first_served(self.database, self.pipeline, champion, limit=BASELINE_ROWS)[-1].id

    def _last_row(self, champion: str) -> int:
        return newest_served(self.database, self.pipeline, champion, limit=1)[-1].id

    def _wait_for_rows(self, champion: str, rows: int, *, after_id: int) -> None:
        self.processes.wait_until(
            f"{rows} answers of version {champion} after row {after_id}",
            lambda: len(newest_served(self.database, self.pipeline, champion, limit=rows, after_id=after_id)) == rows,
            timeout_s=_ROWS_S,
        )

    def _model(self, training: DagRun) -> ModelLink:
        version = str(self.runs.result(training, "train")["version"])
        return ModelLink(
            version=version,
            url=self.registry.version_url(version),
            method=str(self.runs.result(training, "load_settings", key="train")["method"]),
            metrics=dict(self.runs.result(training, "evaluate")["metrics"]),
            tags={tag: value for tag, value in self.registry.version(version).tags.items() if tag in _TAGS},
        )

    def _answers(self, version: str) -> list[str]:
        """What a version says of the texts held out, those of the known areas first."""
        texts = [*self.texts.held_out_known, *self.texts.held_out_new]
        self.say(f"asking version {version} about {len(texts)} texts that are never sent to the gateway")
        return answers_of(self.registry, version, texts, self.folder)


def _key(run: DagRun) -> str:
    """The run as checks name it."""
    return f"{run.dag_id}/{run.run_id}"
