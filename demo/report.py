"""The outcome as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from demo.circle_report import circle_lines
from demo.dataset_report import dataset_lines
from demo.models import model_lines
from demo.outcome import Outcome
from demo.rollouts import rollout_lines
from demo.traffic import traffic_lines
from demo.weights import chart_lines


def report(outcome: Outcome) -> str:
    """All figures on three screens or four."""
    return "\n".join(_lines(outcome))


def _lines(outcome: Outcome) -> Iterator[str]:
    yield ""
    yield from dataset_lines(outcome.dataset)
    for model in outcome.models:
        yield ""
        yield from model_lines(model)
    for rollout in outcome.rollouts:
        yield ""
        yield from rollout_lines(rollout)
    if outcome.circle is not None:
        yield ""
        yield from circle_lines(outcome.circle)
    yield ""
    breakers = {
        rollout.version: [rollout.began_at + breaker.at_s for breaker in rollout.breakers]
        for rollout in outcome.all_rollouts
    }
    yield from chart_lines(outcome.weights, breakers)
    yield ""
    yield from traffic_lines(outcome.traffic)
    yield ""
    aliases = ", ".join(f"{alias} = {version or 'none'}" for alias, version in outcome.aliases.items())
    yield f"Model:   {outcome.model_url}  ({aliases})"
    mlflow = outcome.dataset.mlflow
    yield f"MLflow:  {mlflow.url}  ({len(mlflow.child_inputs)} child runs)"
    for run in outcome.runs:
        yield f"Airflow: {run.url}  ({run.seconds:.0f} s)"
    yield f"All of it took {outcome.seconds:.0f} s"
