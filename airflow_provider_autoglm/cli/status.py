"""``airflow autoglm status``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_autoglm.cli.database import opened_state, require_known

if TYPE_CHECKING:
    from airflow_provider_autoglm.state import Database
    from airflow_provider_autoglm.state.checks import Check
    from airflow_provider_autoglm.state.events import Event
    from airflow_provider_autoglm.state.replicas import Replica, VersionStatus
    from airflow_provider_autoglm.state.rollouts import Rollout
    from airflow_provider_autoglm.state.routes import Model, Routes

_EVENTS = 10
_CHECKS = 6
_LONGEST = 160
_FORGOTTEN_S = 86_400


def status(args: argparse.Namespace) -> None:
    """Print routes, the active or latest rollout with its last events, the last checks and gateways of a pipeline."""
    with opened_state(args) as database:
        require_known(database, args.pipeline)
        print("\n".join(_report(database, args.pipeline)))


def _report(database: Database, pipeline: str) -> Iterator[str]:
    from airflow_provider_autoglm.state.checks import read_checks
    from airflow_provider_autoglm.state.events import read_events
    from airflow_provider_autoglm.state.replicas import read_replicas
    from airflow_provider_autoglm.state.rollouts import active_rollout, latest_rollout
    from airflow_provider_autoglm.state.routes import read_routes

    yield f"pipeline {pipeline}, {_time(database.now())}"
    yield f"state database {database.name}, revision {database.revision()}"
    yield ""
    yield from _routes(read_routes(database, pipeline))
    yield ""
    rollout = active_rollout(database, pipeline) or latest_rollout(database, pipeline)
    yield from ["rollout: none yet"] if rollout is None else _rollout(rollout)
    yield ""
    yield from _events(read_events(database, pipeline, limit=_EVENTS))
    yield ""
    yield from _checks(read_checks(database, pipeline, limit=_CHECKS))
    yield ""
    yield from _gateways(read_replicas(database, pipeline))


def _routes(routes: Routes) -> Iterator[str]:
    yield f"routes, generation {routes.generation}"
    yield f"  champion    {_model(routes.champion)}"
    yield f"  challenger  {_model(routes.challenger)}{_share(routes)}"
    yield f"  previous    {_model(routes.previous)}"
    yield f"  frozen      {'no' if routes.frozen_reason is None else routes.frozen_reason}"


def _model(model: Model | None) -> str:
    return "none" if model is None else f"version {model.version} ({model.model_uri})"


def _share(routes: Routes) -> str:
    if routes.challenger is None:
        return ""
    if routes.challenger_weight == 0:
        return ", gets no requests"
    share = f", gets {routes.challenger_weight} % of the requests"
    if routes.lease_s is None:
        return f"{share} once it has a lease"
    if routes.is_lease_lost or routes.lease_s <= 0:
        return f"{share} no more: the lease is over, the champion answers"
    return f"{share}, the lease runs for {_span(routes.lease_s)}"


def _rollout(rollout: Rollout) -> Iterator[str]:
    yield f"rollout {rollout.id} of version {rollout.model.version}: {_place(rollout)}"
    yield f"  since       {_time(rollout.entered_at)}, for {_span(rollout.now - rollout.entered_at)}"
    yield f"  reason      {rollout.reason or '-'}"
    yield f"  started     {_time(rollout.created_at)} by {rollout.started_by}"
    yield f"  instead of  {f'version {rollout.champion_version}' if rollout.champion_version else 'nothing'}"


def _place(rollout: Rollout) -> str:
    weights = [step["weight_percent"] for step in rollout.settings.get("steps", ())]
    if rollout.is_terminal or rollout.step >= len(weights):
        return rollout.state
    step = f"step {rollout.step + 1} of {len(weights)} ({weights[rollout.step]} %)"
    return step if rollout.state == "step" else f"{rollout.state}, at {step}"


def _events(events: list[Event]) -> Iterator[str]:
    yield f"last {len(events)} events" if events else "events: none yet"
    for event in events:
        version = f"version {event.version}: " if event.version else ""
        told = f"{version}{_told(event)}"
        yield f"  {_time(event.at)}  {event.kind:<10}  {told[:_LONGEST]}{'…' if len(told) > _LONGEST else ''}"


def _told(event: Event) -> str:
    detail = dict(event.detail)
    if event.kind == "transition":
        step = f" {detail['step'] + 1}" if detail["state"] == "step" else ""
        return f"{detail['state']}{step}: {detail['reason']}"
    if event.kind == "judgement":
        return f"step {detail['step'] + 1} {detail['outcome']}: {'; '.join(detail['reasons'])}"
    if event.kind == "freeze":
        return f"{'frozen' if detail['is_frozen'] else 'lifted'}: {detail['reason'] or '-'}"
    return "; ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in detail.items()
    )


def _checks(checks: list[Check]) -> Iterator[str]:
    yield f"last {len(checks)} checks" if checks else "checks: none yet"
    for check in reversed(checks):
        score = "" if check.score is None else f", score {check.score:.3f}"
        told = f"{check.state}{score}{_answer(check)}"
        yield f"  {_time(check.at)}  {check.kind:<9} version {check.version or '-'}: {told}"


def _answer(check: Check) -> str:
    if not check.is_confirmed:
        return ""
    learnable = "" if check.report.get("learnable", False) else ", learnable = false: no texts are kept"
    answer = f"answered by {check.answered_by}" if check.answered_by else "owed: no dataset has answered it yet"
    return f", confirmed{learnable}, {answer}"


def _gateways(replicas: list[Replica]) -> Iterator[str]:
    shown = [replica for replica in replicas if replica.age_s <= _FORGOTTEN_S]
    silent = sum(not replica.is_fresh for replica in shown)
    yield f"gateways: {len(shown)} heard of in a day, {silent} of them silent now" if shown else "gateways: none"
    for replica in shown:
        heard = f"heard of {_span(replica.age_s)} ago" if replica.is_fresh else f"silent for {_span(replica.age_s)}"
        yield f"  {replica.gateway_id}  {heard}, generation {replica.generation}, log_text {replica.log_text}"
        for version, version_status in sorted(replica.versions.items()):
            yield f"    version {version}: {_version(version_status)}"


def _version(found: VersionStatus) -> str:
    breaker = ", breaker open" if found.is_breaker_open else ""
    return f"{found.state}{breaker}{f' ({found.reason})' if found.reason else ''}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
