"""Running a DAG in this process, with its serialised form in the database as ``dag.test()`` expects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk import DAG

from tests.conftest import REPOSITORY

_BUNDLE = "dags-folder"
_FORMS = ("review", "review_again")


def all_but_forms(states: Mapping[str, str | None]) -> set[str | None]:
    """The states of a dataset run's tasks other than those that ask people, of which there is none with review off."""
    return {state for task, state in states.items() if task not in _FORMS or state != "skipped"}


def states_after(dag: DAG, conf: dict[str, Any] | None = None, **when: datetime | None) -> dict[str, str]:
    """Run the DAG to its end; the state of each task, of a mapped one the worst.

    ``when`` is its ``logical_date``, by default now, and its ``run_after``. A date it was run at is run again.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(str(REPOSITORY / "dags"), collect_dags=False, bundle_path=REPOSITORY / "dags", bundle_name=_BUNDLE)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, _BUNDLE, None)
    states: dict[str, str] = {}
    for instance in dag.test(run_conf=conf, **when).get_task_instances():
        if states.get(instance.task_id) in (None, "success"):
            states[instance.task_id] = str(instance.state)
    return states
