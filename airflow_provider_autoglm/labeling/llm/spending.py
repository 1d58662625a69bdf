"""What a stage's labelling by a language model has cost, for MLflow."""

from __future__ import annotations

from airflow_provider_autoglm.labeling.llm.budget import used_in
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.settings.label import LabelSettings


def spending_folder(resources: Resources) -> str:
    """Where the tasks of a stage tell what they have used; empty if nothing is kept."""
    return f"{resources.work}/_spending" if resources.work else ""


def spending_metrics(settings: LabelSettings, resources: Resources) -> dict[str, float]:
    """Requests, tokens and cost of all tasks so far; none for another kind of labeler."""
    if settings.kind != "llm" or not resources.work:
        return {}
    used, llm = used_in(spending_folder(resources), resources.storage), settings.llm
    return {
        "llm/requests": float(used.requests),
        "llm/tokens_sent": float(used.sent),
        "llm/tokens_received": float(used.received),
        "llm/cost": used.cost(llm.price_per_million_input, llm.price_per_million_output),
    }
