"""Links from a task in the Airflow UI to where its results are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class MlflowModelLink(BaseOperatorLink):
    """Open the registered version; the operator leaves the URL in its attribute ``mlflow_model_url``."""

    @property
    def name(self) -> str:
        """What the button says."""
        return "MLflow model"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the version's URL; empty when there is none. Airflow calls this in the worker."""
        return getattr(operator, "mlflow_model_url", None) or ""


class MlflowRunLink(BaseOperatorLink):
    """Open the task's MLflow run; the operator leaves the URL in its attribute ``mlflow_run_url`` during execute."""

    @property
    def name(self) -> str:
        """What the button says."""
        return "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the run's URL; empty when nothing was logged. Airflow calls this in the worker."""
        return getattr(operator, "mlflow_run_url", None) or ""
