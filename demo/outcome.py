"""Everything that came of a demo, and what of it should not be so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from demo.circle import Circle
from demo.dag_runs import DagRun
from demo.models import ModelFigures
from demo.rollouts import RolloutFigures
from demo.summary import Summary
from demo.traffic import TrafficFigures
from demo.weights import WeightSample, changes

MIN_GAIN = 0.2
"""By how much the first model has to beat the most frequent area, as a fraction of the test rows."""
MIN_JUDGED_REQUESTS = 200
_TASKS: dict[str, frozenset[str]] = {
    "autoglm_dataset": frozenset({"load_settings", "crawl", "collect_traffic", "publish", "finish_run"}),
    "autoglm_drift_watch": frozenset({"load_settings", "drift_check", "feedback_check", "finish_run"}),
    "autoglm_retrain": frozenset({"load_settings", "train", "evaluate", "finish_run"}),
    "autoglm_canary_rollout": frozenset({"load_settings", "canary", "finish_run"}),
}


@dataclass(frozen=True)
class Outcome:
    """Figures of the dataset, of each model and rollout, of the clients, and of the weights over time.

    ``rollouts`` are the first deployment, the second model's canary and the saboteur's, and ``traffic_of_rollouts``
    what clients saw during one, by its id. ``circle`` is what came of the new area, with a rollout of its own; None for
    a site that nobody has sorted. ``seconds`` is the whole demo.
    """

    dataset: Summary
    models: Sequence[ModelFigures]
    rollouts: Sequence[RolloutFigures]
    circle: Circle | None
    traffic: TrafficFigures
    traffic_of_rollouts: Mapping[int, TrafficFigures]
    weights: Sequence[WeightSample]
    aliases: Mapping[str, str | None]
    runs: Sequence[DagRun]
    model_url: str
    seconds: float

    def problems(self) -> list[str]:
        """Every expectation that was not met, in words; empty if all were."""
        return [
            *self.dataset.problems(),
            *self._problems_of_runs(),
            *self._problems_of_models(),
            *self._problems_of_rollouts(),
            *(self.circle.problems() if self.circle else ()),
            *self._problems_of_traffic(),
        ]

    @property
    def all_rollouts(self) -> list[RolloutFigures]:
        """The circle's last."""
        return [*self.rollouts, *((self.circle.rollout,) if self.circle else ())]

    def to_json(self) -> str:
        """All figures, and the problems."""
        figures: dict[str, Any] = {
            "problems": self.problems(),
            "seconds": self.seconds,
            "dataset": self.dataset.to_dict(),
            "models": [
                {**asdict(model), "gain": round(model.gain, 4) if model.gain is not None else None}
                for model in self.models
            ],
            "aliases": dict(self.aliases),
            "rollouts": [{**asdict(rollout), "seconds": rollout.seconds} for rollout in self.rollouts],
            "circle": self.circle.to_dict() if self.circle else None,
            "traffic": asdict(self.traffic),
            "traffic_of_rollouts": {number: asdict(traffic) for number, traffic in self.traffic_of_rollouts.items()},
            "weights": [asdict(sample) for sample in changes(self.weights)],
            "runs": [
                {"dag_id": run.dag_id, "url": run.url, "seconds": {task.name: task.seconds for task in run.tasks}}
                for run in self.runs
            ],
            "model_url": self.model_url,
        }
        return json.dumps(figures, indent=2, ensure_ascii=False)

    def _problems_of_runs(self) -> Iterator[str]:
        for run in self.runs:
            expected = _TASKS.get(run.dag_id.rpartition("_")[0], frozenset())
            for task_id in sorted(expected - {task.task_id for task in run.tasks}):
                yield f"{run.dag_id} has no task {task_id}"
            for task in run.unfinished:
                yield f"{run.dag_id}: task {task.name} is {task.state or 'not run'}"

    def _problems_of_models(self) -> Iterator[str]:
        first = self.models[0]
        if first.gain is not None and first.gain < MIN_GAIN:
            yield (
                f"version {first.version} beats the most frequent area by {first.gain:.1%} of the test rows, "
                f"expected {MIN_GAIN:.0%}"
            )
        champion, previous = self._last_two()
        for alias, expected in (("champion", champion), ("previous", previous), ("challenger", None)):
            if self.aliases[alias] != expected:
                yield f"the alias {alias} points to version {self.aliases[alias]}, expected {expected}"

    def _problems_of_rollouts(self) -> Iterator[str]:
        first, second, saboteur = self.rollouts
        for rollout, expected in ((first, "done"), (second, "done"), (saboteur, "rolled_back")):
            if rollout.state != expected:
                yield f"rollout {rollout.id} of version {rollout.version} is {rollout.state}, expected {expected}"
        if any(step.state == "step" for step in first.transitions):
            yield f"version {first.version} went through steps although there was no champion"
        if second.judged_requests < MIN_JUDGED_REQUESTS:
            yield (
                f"version {second.version} was judged on {second.judged_requests} requests of its own, "
                f"expected {MIN_JUDGED_REQUESTS}"
            )
        if not saboteur.breakers:
            yield f"no event names the breaker of version {saboteur.version}"

    def _problems_of_traffic(self) -> Iterator[str]:
        for rollout in self.all_rollouts:
            traffic = self.traffic_of_rollouts.get(rollout.id)
            if traffic is not None and traffic.requests == 0:
                yield f"clients sent nothing during the rollout of version {rollout.version}"
            if traffic is not None and traffic.errors:
                yield f"clients saw {traffic.errors} errors during the rollout of version {rollout.version}"
        if self.traffic.errors:
            yield f"clients saw {self.traffic.errors} errors in {self.traffic.requests} requests"
        if self.traffic.lost_feedbacks:
            yield f"the gateway did not accept {self.traffic.lost_feedbacks} of {self.traffic.feedbacks} feedbacks"
        serving = self.weights[-1].weights if self.weights else {}
        champion, _ = self._last_two()
        if serving.get(champion) != 100:
            yield f"at the end the gateway gives version {champion} {serving.get(champion, 0)} % of the requests"

    def _last_two(self) -> tuple[str, str]:
        """The version that should be the champion at the end, and the one before it."""
        versions = [model.version for model in self.models] + ([self.circle.model.version] if self.circle else [])
        return versions[-1], versions[-2]
