"""Labels that look wrong: what a second classifier, trained on the labels themselves, does not believe."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import MissingExtraError
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.review.features import CHARACTERS_READ, vectors_of
from airflow_provider_autoglm.labeling.review.population import Population, read_rows, shuffled
from airflow_provider_autoglm.settings.label import LabelSettings
from airflow_provider_autoglm.settings.review import ReviewSettings

log = logging.getLogger(__name__)

FOLDS = 5
_FEWEST_CLASSES = 2
_FEWEST_ROWS_A_CLASS = 2 * FOLDS
_STRENGTH = 10.0
_MAX_ITERATIONS = 1_000
_SEED = 0


@dataclass(frozen=True)
class Suspects:
    """Finds suspicious documents of a population.

    ``taken`` are the numbers of documents that are in the random sample, or kept back for it.
    """

    corpora: Sequence[Corpus]
    population: Population
    taken: NDArray[np.intp]
    review: ReviewSettings
    label: LabelSettings

    def choose(self) -> NDArray[np.intp]:
        """Numbers of at most ``suspicious_texts`` documents, in the order of the hash.

        Half of them at most are documents without label; the rest are first those whose label confident learning finds
        wrong, then those with the smallest margin.

        :raises MissingExtraError: if cleanlab or scikit-learn is not installed.
        """
        wanted = self.review.suspicious_texts
        abstained = self._by_hash(self.population.abstained)[: wanted // 2]
        free = np.setdiff1d(self.population.labelled, self.taken)
        if not wanted - len(abstained) or not len(free):
            return abstained
        issues = self._issues()
        issues = issues[np.isin(issues, free)][: wanted - len(abstained)]
        rest = np.setdiff1d(free, issues)
        rest = rest[np.isfinite(self.population.margin[rest])]
        unsure = rest[np.lexsort((self.population.order[rest], self.population.margin[rest]))]
        fill = unsure[: wanted - len(abstained) - len(issues)]
        log.info(
            "review: %d suspicious labels, %d unsure ones, %d texts without label",
            len(issues),
            len(fill),
            len(abstained),
        )
        return self._by_hash(np.concatenate([abstained, issues, fill]))

    def _by_hash(self, numbers: NDArray[np.intp]) -> NDArray[np.intp]:
        return numbers[np.argsort(self.population.order[numbers], kind="stable")]

    def _issues(self) -> NDArray[np.intp]:
        """Documents of an evenly drawn pool whose label is found wrong, the surest first."""
        labelled = self.population.labelled
        drawn = np.argsort(shuffled(self.population.order[labelled]), kind="stable")[: self.review.suspicious_pool]
        pool = labelled[drawn]
        pool = pool[np.argsort(self.population.row[pool])]
        strata = self.population.stratum[pool]
        if _few_classes(strata):
            return np.zeros(0, np.intp)
        columns = read_rows(self.corpora, self.population.row[pool], ["text"])
        vectors = vectors_of([(values["text"] or "")[:CHARACTERS_READ] for _, values in columns], self.label)
        usable = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        usable = usable[~_rare(strata[usable])]
        if _few_classes(strata[usable]):
            return np.zeros(0, np.intp)
        return pool[usable[wrong_labels(vectors[usable], strata[usable])]]


def wrong_labels(vectors: Vectors, labels: NDArray[np.int32]) -> NDArray[np.intp]:
    """Rows of ``vectors`` whose label is found wrong, the surest first; each class has ten rows at least.

    Confident learning (Northcutt, Jiang and Chuang, Journal of Artificial Intelligence Research 70, 2021) on what a
    logistic classifier says of rows that it was not trained on.

    :raises MissingExtraError: if cleanlab or scikit-learn is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
    except ImportError as error:
        raise MissingExtraError((error.name or "cleanlab").partition(".")[0], "label") from None
    from threadpoolctl import threadpool_limits

    classes = np.unique(labels, return_inverse=True)[1]
    with threadpool_limits(1):
        probabilities = cross_val_predict(
            LogisticRegression(C=_STRENGTH, max_iter=_MAX_ITERATIONS),
            vectors.astype(np.float64),
            classes,
            cv=StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED),
            method="predict_proba",
        )
    found: NDArray[np.intp] = find_label_issues(
        classes, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return found


def _rare(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rare: NDArray[np.bool_] = counts[inverse] < _FEWEST_ROWS_A_CLASS
    return rare


def _few_classes(labels: NDArray[np.int32]) -> bool:
    return len(np.unique(labels[~_rare(labels)])) < _FEWEST_CLASSES
