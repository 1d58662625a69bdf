"""``airflow autoglm gc``."""

from __future__ import annotations

import argparse
import os
import sys

from airflow_provider_autoglm import configuration


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
    logged = deleted = still_waiting = damaged = 0
    for uri, finished in kept_runs(root, args.pipeline, storage):
        if finished is None:
            damaged += 1
            print(f"damaged {uri} (no record of a run; delete it)")
            continue
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
    if still_waiting or damaged:
        sys.exit(1)
