"""How much a network disagrees with itself when parts of it are dropped at random."""

from __future__ import annotations

import numpy as np

from airflow_provider_autoglm.labeling.labels import Vectors


def disagreement(probabilities: Vectors) -> Vectors:
    """Of probabilities [passes, n, classes], one number from 0 to 1 for each text: float32[n].

    What the mean of the passes leaves to all classes but the best, as a share of the most that it can: it is high where
    single passes are unsure, and where they are sure of different classes.

    Gal and Ghahramani, Dropout as a Bayesian Approximation, ICML 2016 (arXiv 1506.02142).
    """
    mean = probabilities.mean(axis=0, dtype=np.float64)
    classes = mean.shape[1]
    left = (1 - mean.max(axis=1)) * classes / (classes - 1)
    shares: Vectors = np.clip(left, 0, 1).astype(np.float32)
    return shares
