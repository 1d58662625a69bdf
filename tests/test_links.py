from __future__ import annotations

from importlib.metadata import entry_points

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.types import TaskInstanceKey
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_autoglm.links import MlflowRunLink

KEY = TaskInstanceKey("dag", "task", "run")


class LoggingOperator(BaseOperator):
    """Leaves the URL of its run as our operators do."""

    operator_extra_links = (MlflowRunLink(),)
    mlflow_run_url: str | None = None


def test_the_link_is_the_url_that_the_operator_left() -> None:
    operator = LoggingOperator(task_id="task")
    operator.mlflow_run_url = "http://mlflow/#/experiments/1/runs/2"

    assert MlflowRunLink().get_link(operator, ti_key=KEY) == "http://mlflow/#/experiments/1/runs/2"


def test_without_a_run_the_link_is_empty() -> None:
    assert MlflowRunLink().get_link(LoggingOperator(task_id="task"), ti_key=KEY) == ""
    assert MlflowRunLink().get_link(BaseOperator(task_id="task"), ti_key=KEY) == ""


def test_the_link_survives_the_serialised_dag_that_the_ui_reads() -> None:
    with DAG("dag") as dag:
        LoggingOperator(task_id="task")

    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("task")

    assert [(link.name, link.xcom_key) for link in task.operator_extra_links] == [("MLflow run", "_link_MlflowRunLink")]


def test_the_plugin_is_found_by_its_entry_point_and_brings_the_links() -> None:
    (found,) = entry_points(group="airflow.plugins", name="autoglm")
    plugin = found.load()

    assert issubclass(plugin, AirflowPlugin)
    assert [link.name for link in plugin.operator_extra_links] == ["MLflow run", "MLflow model"]
