"""Choosing the labeler that the settings ask for."""

from __future__ import annotations

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.labeling.labels import Labeler, Labels
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.settings.label import LabelSettings

__all__ = ["Labeler", "Labels", "build", "check_labels"]

_FEWEST_LABELS = 2


def build(settings: LabelSettings, *, language: str | None = None, resources: Resources | None = None) -> Labeler:
    """Load the labeler of ``settings`` for texts of ``language``: before any refinement or calibration on texts.

    :raises SettingsError: if there are fewer than two labels, one is named twice, or a kind lacks what it needs.
    :raises MissingExtraError: if torch is not installed.
    :raises ModelNotFoundError: if the model cannot be loaded.
    :raises UnusableModelError: if the model cannot tell the labels.
    """
    check_labels(settings)
    resources = resources or Resources()
    if not settings.has_model_for(language):
        raise SettingsError([f"label.models: texts of language {language or '*'} are to stay without label"])
    if settings.kind == "nli":
        from airflow_provider_autoglm.labeling.nli import NliLabeler

        return NliLabeler.load(settings, language=language)
    if settings.kind == "classifier":
        from airflow_provider_autoglm.labeling.classifier import ClassifierLabeler

        return ClassifierLabeler.load(settings, language=language, resources=resources)
    if settings.kind == "few_shot":
        from airflow_provider_autoglm.labeling.few_shot import FewShotLabeler

        return FewShotLabeler.load(settings, language=language, resources=resources)
    if settings.kind == "llm":
        from airflow_provider_autoglm.labeling.llm.labeler import LlmLabeler

        return LlmLabeler.load(settings, language=language, resources=resources)
    from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler

    return EmbeddingLabeler.load(settings, language=language)


def check_labels(settings: LabelSettings) -> None:
    """:raises SettingsError: if there are fewer than two labels or one is named twice."""
    names = [label.name for label in settings.labels]
    if len(names) < _FEWEST_LABELS:
        given = ", ".join(names) or "none"
        raise SettingsError([f"labels: at least {_FEWEST_LABELS} are needed to choose between, given: {given}"])
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SettingsError([f"labels: names must differ; repeated: {', '.join(repeated)}"])
