"""Choosing the labeler that the settings ask for."""

from __future__ import annotations

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.labels import Labeler, Labels
from airflow_provider_autoglm.settings.label import LabelSettings

__all__ = ["Labeler", "Labels", "build", "check_labels"]

_FEWEST_LABELS = 2


def build(settings: LabelSettings) -> Labeler:
    """Load the labeler of ``settings``, as the labels are described: before any refinement on texts.

    :raises SettingsError: if there are fewer than two labels or one is named twice.
    :raises MissingExtraError: if torch is not installed.
    :raises ModelNotFoundError: if the model cannot be loaded.
    :raises UnusableModelError: if the model cannot describe the labels.
    """
    check_labels(settings)
    return EmbeddingLabeler.load(settings)


def check_labels(settings: LabelSettings) -> None:
    """:raises SettingsError: if there are fewer than two labels or one is named twice."""
    names = [label.name for label in settings.labels]
    if len(names) < _FEWEST_LABELS:
        given = ", ".join(names) or "none"
        raise SettingsError([f"labels: at least {_FEWEST_LABELS} are needed to choose between, given: {given}"])
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingsError([f"labels: names must differ; repeated: {', '.join(repeated)}"])
