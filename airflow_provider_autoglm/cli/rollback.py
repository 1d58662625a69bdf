"""``airflow autoglm rollback``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from airflow_provider_autoglm.cli.database import opened_state, require_known, use_stored_connections

if TYPE_CHECKING:
    from airflow_provider_autoglm.rollout.rollback import RollbackOutcome
    from airflow_provider_autoglm.state import Database
    from airflow_provider_autoglm.tracking.registry import Registry


def rollback(args: argparse.Namespace) -> None:
    """Take the challenger back, or the champion if there is none; routes first, MLflow's aliases if it can be had."""
    from airflow_provider_autoglm.rollout.rollback import roll_back

    with opened_state(args) as database:
        require_known(database, args.pipeline)
        outcome = roll_back(
            database, args.pipeline, reason=args.reason, registry=lambda: _registry(args), version=args.version
        )
        _report(args.pipeline, database, outcome)
        if not _is_withdrawn(database, args.pipeline, outcome):
            sys.exit(f"the routes of {args.pipeline} still name the version that was to be taken back; run this again")


def _registry(args: argparse.Namespace) -> Registry:
    use_stored_connections()
    from airflow_provider_autoglm.hooks.mlflow import MlflowHook
    from airflow_provider_autoglm.tracking.registry import Registry

    return Registry(MlflowHook(args.mlflow_conn_id).get_client(), args.pipeline)


def _report(pipeline: str, database: Database, outcome: RollbackOutcome) -> None:
    withdrawn = f"version {outcome.withdrawn.version} was taken back" if outcome.withdrawn else "nothing to take back"
    champion = f"version {outcome.champion.version} answers" if outcome.champion else "no version answers"
    print(f"{pipeline}: {withdrawn}; {champion}, by the state database {database.name}")
    for problem in outcome.problems:
        print(f"problem: {problem}", file=sys.stderr)


def _is_withdrawn(database: Database, pipeline: str, outcome: RollbackOutcome) -> bool:
    """Whether no gateway is told to use the version that was taken back."""
    from airflow_provider_autoglm.state.routes import read_routes

    return outcome.withdrawn is None or outcome.withdrawn not in read_routes(database, pipeline).models()
