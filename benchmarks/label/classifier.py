"""The model and the texts of the race: docstrings of installed libraries, and a classifier of their areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.linear_model import LogisticRegression

from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.network.tokens import tokenise
from demo.docstrings import AREAS, Docstring, sample_area

TRAINED_ON = 40
"""Docstrings of each area that the head is fitted to; none of them is labelled later."""

SEED = 7


@dataclass(frozen=True)
class Race:
    """What all contestants get: files, and the truth that none of them sees."""

    model: str
    texts: str
    truth: list[str]
    characters: list[int]


def prepare(folder: Path, texts: int, max_tokens: int) -> Race:
    """Write the classifier and at least ``texts`` docstrings, all areas alike, to ``folder``."""
    each = -(-texts // len(AREAS))
    trained_on = [one for area in AREAS for one in sample_area(area, TRAINED_ON)]
    labelled = [one for area in AREAS for one in sample_area(area, each, skip=TRAINED_ON)]
    np.random.default_rng(SEED).shuffle(labelled)  # type: ignore[arg-type]
    model, path = folder / "classifier", folder / "texts.parquet"
    write_classifier(str(model), trained_on, max_tokens)
    read = mixed([one.text for one in labelled])
    pq.write_table(pa.table({"text": read}), path)
    return Race(str(model), str(path), [one.area for one in labelled], [len(text) for text in read])


def mixed(texts: Sequence[str]) -> list[str]:
    """``texts``, of every second one only its first paragraph.

    Short docstrings are left out where these are gathered, but are half of all: so the lengths are about those of all.
    """
    return [text.partition("\n\n")[0] if row % 2 else text for row, text in enumerate(texts)]


def write_classifier(folder: str, docstrings: list[Docstring], max_tokens: int) -> None:
    """The bundled encoder with a logistic head on its pooled output, fitted to ``docstrings``."""
    model = models.load(models.BUNDLED_MODEL, classes=tuple(AREAS))
    features = np.concatenate([_pooled(model, one.text, max_tokens) for one in docstrings])
    fitted = LogisticRegression(C=10, max_iter=1_000).fit(features, [one.area for one in docstrings])
    order = [list(fitted.classes_).index(area) for area in AREAS]
    with torch.no_grad():
        model.encoder.classifier.weight.copy_(torch.from_numpy(fitted.coef_[order]))
        model.encoder.classifier.bias.copy_(torch.from_numpy(fitted.intercept_[order]))
    with models.without_progress_bars():
        model.encoder.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


def _pooled(model: models.LoadedModel, text: str, max_tokens: int) -> Any:
    (ids,) = tokenise(model, [text], None, max_tokens).ids
    with torch.inference_mode():
        return model.encoder.bert(input_ids=torch.tensor([ids])).pooler_output.numpy()
