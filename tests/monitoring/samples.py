"""Samples of topics: clusters on a sphere, which overlap as the subjects of real texts do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from airflow_provider_autoglm.monitoring.sample import Sample

_DIMENSIONS = 32
_SPREAD = 0.18


def topics(rows: Mapping[str, int], *, seed: int = 0, dimensions: int = _DIMENSIONS) -> Sample:
    """So many rows of each topic, topic after topic, as float16 like the prediction log; the label is the topic.

    A topic is the same direction in every sample, whatever the seed.
    """
    noise = np.random.default_rng(seed)
    vectors = np.concatenate(
        [_direction(topic, dimensions) + noise.normal(0, _SPREAD, (count, dimensions)) for topic, count in rows.items()]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = [topic for topic, count in rows.items() for _ in range(count)]
    return Sample(vectors.astype(np.float16).astype(np.float32), labels)


def repeated(sample: Sample, times: int) -> Sample:
    """Every row so many times."""
    labels = [label for label in sample.labels for _ in range(times)]
    return Sample(np.repeat(sample.embeddings, times, axis=0), labels)


def _direction(topic: str, dimensions: int) -> np.ndarray:
    vector = np.random.default_rng(list(topic.encode())).normal(size=dimensions)
    return np.asarray(vector / np.linalg.norm(vector))
