"""Labels of a trained classifier, whose classes are matched to the settings' labels by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling.classifier_files import load_classifier
from airflow_provider_autoglm.labeling.dropout import disagreement
from airflow_provider_autoglm.labeling.embedding import name_of
from airflow_provider_autoglm.labeling.labels import Labels, Vectors
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from airflow_provider_autoglm.labeling.onnx_classifier import OnnxClassifier
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.labeling.scores import shares, softmax
from airflow_provider_autoglm.labeling.unknown import unknown_to
from airflow_provider_autoglm.settings.label import LabelSettings

log = logging.getLogger(__name__)

_NAMELESS = re.compile(r"LABEL_\d+")
_INDEPENDENT = "multi_label_classification"
_LACKING = -1


@dataclass(frozen=True)
class ClassifierLabeler:
    """The probabilities of a classifier for the classes that are labels; a text of another class abstains.

    So does one of words that the model does not know.

    ``columns`` has the number of each label among the network's classes, -1 for one it lacks, whose probability is 0.
    The classes of a network with independent ones (sigmoid) get their shares of the sum.
    """

    name: str
    names: tuple[str, ...]
    network: TextNetwork | OnnxClassifier
    columns: NDArray[np.intp]
    is_independent: bool
    passes: int = 0

    @classmethod
    def load(cls, settings: LabelSettings, *, language: str | None = None, resources: Resources | None = None) -> Self:
        """Load a model of the hub, a folder or, by ``resources.fetch_model``, the registry.

        :raises MissingExtraError: if torch is not installed.
        :raises ModelNotFoundError: if the model cannot be loaded.
        :raises UnusableModelError: if it is no classifier, or none of its classes has the name of a label.
        """
        model = settings.model_for(language)
        network = load_classifier(model, settings, (resources or Resources()).fetch_model)
        problem_type = network.config.problem_type if isinstance(network, TextNetwork) else None
        names = tuple(label.name for label in settings.labels)
        return cls(
            name=name_of(settings, model),
            names=names,
            network=network,
            columns=_columns(model, names, network.classes),
            is_independent=problem_type == _INDEPENDENT,
            passes=settings.mc_dropout,
        )

    def predict(self, texts: Sequence[str]) -> Labels:
        """Label ``texts``, in their order; a row the model broke on is not finite."""
        of_classes = self._probabilities(self.network.logits(texts))
        abstained = ~np.isin(of_classes.argmax(axis=1), self.columns) | self._unknown(texts)
        found = Labels(self.names, self._of_labels(of_classes), abstained)
        if not self.passes or isinstance(self.network, OnnxClassifier):
            return found
        dropped = self._probabilities(self.network.logits(texts, passes=self.passes))
        return replace(found, uncertainty=disagreement(dropped))

    def _unknown(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        if isinstance(self.network, OnnxClassifier):
            return self.network.unknown(texts)
        return unknown_to(self.network.tokenizer, texts)

    def _probabilities(self, logits: Vectors) -> Vectors:
        return shares(logits) if self.is_independent else softmax(logits)

    def _of_labels(self, of_classes: Vectors) -> Vectors:
        known = self.columns != _LACKING
        probabilities = np.zeros((len(of_classes), len(self.names)), np.float32)
        probabilities[:, known] = of_classes[:, self.columns[known]]
        return probabilities


def _columns(model: str, names: Sequence[str], classes: Sequence[str]) -> NDArray[np.intp]:
    """The class of each label: the one of its very name, else one that differs in case alone."""
    if len(classes) == 1:
        raise UnusableModelError(model, "it gives one number a text, not one a class")
    by_folded = {name.casefold(): number for number, name in reversed(list(enumerate(classes))) if name not in names}
    by_name = {name: number for number, name in enumerate(classes)}
    columns = np.array([by_name.get(name, by_folded.get(name.casefold(), _LACKING)) for name in names], np.intp)
    lacking = [name for name, column in zip(names, columns, strict=True) if column == _LACKING]
    if len(lacking) == len(names):
        raise UnusableModelError(model, _strangeness(names, classes))
    if lacking:
        log.warning("label: the model %s has no class for %s: no text gets that label", model, ", ".join(lacking))
    return columns


def _strangeness(names: Sequence[str], classes: Sequence[str]) -> str:
    if all(_NAMELESS.fullmatch(name) for name in classes):
        return (
            f"its classes have no names ({classes[0]} to {classes[-1]}); name them in `id2label` and `label2id` of its "
            "config.json as the labels are named"
        )
    return f"none of its classes ({', '.join(classes)}) is one of the labels ({', '.join(names)})"
