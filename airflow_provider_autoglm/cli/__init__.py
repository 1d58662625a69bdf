"""``airflow autoglm …``: commands for whoever runs the deployment."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand

from airflow_provider_autoglm import configuration

_ARG_DESTINATION = Arg(
    ("destination",), help="Folder the DAG files are copied to, e.g. the deployment's dags/", type=str
)
_ARG_OVERWRITE = Arg(("--overwrite",), help="Replace DAG files that differ from the templates", action="store_true")
_ARG_PIPELINE = Arg(("pipeline",), help="Name of the pipeline", type=str)
_ARG_ROOT = Arg(
    ("--root",), help="Folder URI of all corpora; default: root in the section autoglm", type=str, default=""
)
_ARG_STORAGE = Arg(("--storage-conn-id",), help="Airflow connection for the root", type=str, default="")


def get_commands() -> list[CLICommand]:
    """The command group, for Airflow's parser."""
    return [
        GroupCommand(
            name="autoglm",
            help="Look after pipelines of airflow-provider-autoglm",
            subcommands=(
                ActionCommand(
                    name="copy-dags",
                    help="Copy the DAG templates into a deployment",
                    func=copy_dags,
                    args=(_ARG_DESTINATION, _ARG_OVERWRITE),
                ),
                ActionCommand(
                    name="gc",
                    help="Log runs that MLflow missed and delete shards of attempts that were given up",
                    func=collect_garbage,
                    args=(_ARG_PIPELINE, _ARG_ROOT, _ARG_STORAGE),
                ),
            ),
        )
    ]


def copy_dags(args: argparse.Namespace) -> None:
    """Copy the templates; files of the user's that differ are kept unless ``--overwrite`` is given."""
    destination = Path(args.destination)
    destination.mkdir(parents=True, exist_ok=True)
    kept = False
    for template in sorted((Path(__file__).parent / "example_dags").glob("*.py")):
        target = destination / template.name
        if target.exists() and target.read_bytes() != template.read_bytes() and not args.overwrite:
            print(f"kept    {target} (differs from the template; --overwrite replaces it)")
            kept = True
            continue
        shutil.copyfile(template, target)
        print(f"copied  {target}")
    if kept:
        sys.exit(1)


def collect_garbage(args: argparse.Namespace) -> None:
    """Catch up on MLflow and clean storage; safe at any time, also while DAGs run."""
    # A command is no task: without this a stored connection is not found.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow_provider_autoglm.corpus.cleanup import delete_expired_shards
    from airflow_provider_autoglm.corpus.lineage import kept_runs, log_finished_run
    from airflow_provider_autoglm.hooks.storage import storage_for
    from airflow_provider_autoglm.operators.stage_run import tracker_of

    root = args.root or configuration.root()
    storage = storage_for(root, args.storage_conn_id)
    folder = f"{root}/{args.pipeline}"
    if not storage.exists(folder):
        sys.exit(f"there is no pipeline at {folder}; check the name, or give --root as the Variable has it")
    logged = deleted = still_waiting = 0
    for uri, finished in kept_runs(root, args.pipeline, storage):
        tracker = tracker_of(finished.run)
        if tracker is not None and log_finished_run(tracker, finished, storage) is not None:
            storage.delete(uri)
            logged += 1
            print(f"logged  {finished.run.run_id}")
        else:
            still_waiting += 1
            print(f"waiting {finished.run.run_id} (MLflow is away)")
    for uri in delete_expired_shards(folder, storage):
        deleted += 1
        print(f"deleted {uri}")
    print(f"{logged} runs logged, {still_waiting} waiting for MLflow, {deleted} files deleted")
    if still_waiting:
        sys.exit(1)
