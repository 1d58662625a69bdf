"""What became of a rollout: its transitions, what it was judged on, and what took it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import Event, read_events
from airflow_provider_autoglm.state.predictions import Counts, count_requests
from airflow_provider_autoglm.state.rollouts import read_rollout


@dataclass(frozen=True)
class Step:
    """A transition: the state that was entered, ``at_s`` seconds after the rollout was created, and why."""

    at_s: float
    state: str
    reason: str


@dataclass(frozen=True)
class Breaker:
    """A gateway took the version out of traffic."""

    at_s: float
    gateway_id: str
    reason: str


@dataclass(frozen=True)
class RolloutFigures:
    """One rollout. ``requests`` are those of its time by the version they were meant for.

    ``judged_requests`` is the number of the challenger's own that the last judgement was passed on, 0 without one.
    ``began_at`` and ``ended_at`` are seconds since the epoch.
    """

    id: int
    version: str
    champion: str | None
    state: str
    reason: str
    began_at: float
    ended_at: float
    transitions: Sequence[Step]
    breakers: Sequence[Breaker]
    judged_requests: int
    requests: Mapping[str, Counts]

    @property
    def seconds(self) -> float:
        """From the start to the last transition."""
        return self.ended_at - self.began_at


def read_figures(database: Database, pipeline: str, rollout_id: int) -> RolloutFigures:
    """Read a rollout with its events and counts."""
    rollout = read_rollout(database, rollout_id)
    events = read_events(database, pipeline, rollout_id=rollout_id)
    return RolloutFigures(
        id=rollout.id,
        version=rollout.model.version,
        champion=rollout.champion_version,
        state=rollout.state,
        reason=rollout.reason,
        began_at=rollout.created_at,
        ended_at=rollout.entered_at,
        transitions=[
            Step(round(event.at - rollout.created_at, 1), str(event.detail["state"]), str(event.detail["reason"]))
            for event in events
            if event.kind == "transition"
        ],
        breakers=[
            Breaker(
                round(event.at - rollout.created_at, 1), str(event.detail["gateway_id"]), str(event.detail["reason"])
            )
            for event in events
            if event.kind == "breaker"
        ],
        judged_requests=judged_requests(events),
        requests=count_requests(database, rollout_id, 0.0),
    )


def judged_requests(events: Sequence[Event]) -> int:
    """The challenger's requests in the newest step that the last judgement rests on; 0 without a judgement."""
    for event in reversed(events):
        steps = event.detail.get("judgement", {}).get("steps", ())
        if steps:
            return int(steps[-1]["canary_requests"])
    return 0


def rollout_lines(figures: RolloutFigures) -> Iterator[str]:
    """The rollout for a terminal."""
    beside = f"beside version {figures.champion}" if figures.champion else "without a champion"
    yield f"Rollout {figures.id}: version {figures.version} {beside}: {figures.state} after {figures.seconds:.0f} s"
    told = [(step.at_s, step.state, step.reason) for step in figures.transitions]
    told += [
        (breaker.at_s, "breaker", f"of {breaker.gateway_id} opened: {breaker.reason}") for breaker in figures.breakers
    ]
    for at_s, what, why in sorted(told, key=lambda line: line[0]):
        yield f"  {at_s:6.1f} s  {what:<13} {why}".rstrip()
    if figures.judged_requests:
        yield f"  judged on {figures.judged_requests} requests of its own"
    if figures.requests:
        counted = (
            f"version {version} {counts.requests} ({counts.errors} failed)"
            for version, counts in sorted(figures.requests.items())
        )
        yield f"  requests by the version they were meant for: {', '.join(counted)}"
