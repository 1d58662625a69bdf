"""The plugin that registers our operator links."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_autoglm.links import MlflowModelLink, MlflowRunLink


class AutoGLMLinksPlugin(AirflowPlugin):
    """Make our links known to Airflow's plugin pages; an operator that names one needs no plugin for it to work."""

    name = "autoglm_links"
    operator_extra_links = [MlflowRunLink(), MlflowModelLink()]  # noqa: RUF012 - Airflow's own declaration is not a ClassVar
