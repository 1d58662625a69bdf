"""What the registered models are worth: their metrics in MLflow, and their answers against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.tracking.registry import Alias, Registry
from demo.summary import Agreement, agreement_with

ALIASES: tuple[Alias, ...] = ("champion", "previous", "challenger")
_TEXTS_OF_A_REQUEST = 16
_TIMEOUT_S = 60.0
_COLUMNS = ("url", "text", "label")
_TEST_SHARDS = "data/test-"


@dataclass(frozen=True)
class Documents:
    """Rows of a dataset version: ``url``, ``text``, ``label``; ``test`` are those of the test split."""

    all: Sequence[Mapping[str, str]]
    test: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, dataset_uri: str) -> Documents:
        """Read a committed dataset version."""
        corpus = Corpus.open(dataset_uri)
        rows: dict[bool, list[Mapping[str, str]]] = {True: [], False: []}
        for stored in corpus.shards:
            for table in corpus.shard_tables(stored, _COLUMNS):
                rows[stored.shard.name.startswith(_TEST_SHARDS)] += table.to_pylist()
        return cls([*rows[False], *rows[True]], rows[True])


@dataclass(frozen=True)
class ModelFigures:
    """One version. ``metrics`` are those of its verdict; ``truth`` compares its answers on the test split with the
    truth and ``majority`` those of a model that knows nothing but the most frequent area; None where nobody knows it.
    """

    version: str
    url: str
    method: str
    metrics: Mapping[str, float]
    truth: Agreement | None
    majority: Agreement | None

    @property
    def gain(self) -> float | None:
        """By how much it beats the majority, as a fraction of the test rows."""
        return None if self.truth is None or self.majority is None else self.truth.share - self.majority.share


def model_figures(
    version: str,
    *,
    url: str,
    method: str,
    verdict: Mapping[str, Any],
    answers: Mapping[str, str],
    truth: Mapping[str, str] | None,
) -> ModelFigures:
    """The figures of a version that answered ``answers`` (label by URL).

    :param verdict: what the task ``evaluate`` returned.
    """
    rows = [{"url": page, "label": label} for page, label in answers.items()]
    return ModelFigures(
        version=version,
        url=url,
        method=method,
        metrics=dict(verdict["metrics"]),
        truth=None if truth is None else agreement_with(truth, rows),
        majority=None if truth is None else majority_of(truth, answers),
    )


def majority_of(truth: Mapping[str, str], urls: Mapping[str, Any]) -> Agreement:
    """How often the most frequent area of ``urls`` is right: the strongest guess without a look at the text."""
    areas = Counter(truth[url] for url in urls if url in truth)
    return Agreement(areas.total(), max(areas.values(), default=0))


def ask_labels(gateway_url: str, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The label that the gateway gives each document, by its URL.

    :raises requests.RequestException: if it does not answer.
    """
    labels: list[str] = []
    with requests.Session() as session:
        session.trust_env = False
        for first in range(0, len(rows), _TEXTS_OF_A_REQUEST):
            texts = [row["text"] for row in rows[first : first + _TEXTS_OF_A_REQUEST]]
            answer = session.post(f"{gateway_url}/invocations", json={"inputs": texts}, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            labels += [prediction["label"] for prediction in answer.json()["predictions"]]
    return {row["url"]: label for row, label in zip(rows, labels, strict=True)}


def read_aliases(registry: Registry) -> dict[str, str | None]:
    """The version behind each alias, None where it points to nothing."""
    found = {alias: registry.find_alias(alias) for alias in ALIASES}
    return {alias: None if version is None else version.version for alias, version in found.items()}


def model_lines(figures: ModelFigures) -> Iterator[str]:
    """The version for a terminal."""
    yield f"Version {figures.version} ({figures.method}): {figures.url}"
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in figures.metrics.items())
    yield f"  test split, against the labels: {metrics}"
    if figures.truth is not None and figures.majority is not None:
        yield (
            f"  test split, answers of the gateway against the truth: {figures.truth.share:.1%} of "
            f"{figures.truth.rows} texts; the most frequent area alone: {figures.majority.share:.1%}"
        )
