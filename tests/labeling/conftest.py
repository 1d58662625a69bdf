"""The bundled model, loaded once, and corpora of the test sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from airflow_provider_autoglm.corpus.store import write_corpus
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.sentences import LABELS, TEXTS
from tests.labeling.tiny_models import write_tiny_package

POISON = "zebra"
"""A word whose vector is not a number in the poisoned model."""

WriteSource = Callable[..., str]


def settings_with(**changes: Any) -> LabelSettings:
    return LabelSettings.parse({"labels": LABELS, **changes})


@pytest.fixture(scope="session")
def labeler() -> EmbeddingLabeler:
    """The bundled model with the three described labels."""
    return EmbeddingLabeler.load(settings_with())


@pytest.fixture(scope="session")
def poisoned_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the bundled model, damaged so that texts with the word ``POISON`` give NaN."""
    folder = str(tmp_path_factory.mktemp("poisoned") / "model")
    model = models.load(models.BUNDLED_MODEL)
    token = model.tokenizer.convert_tokens_to_ids(POISON)
    assert token != model.tokenizer.unk_token_id
    with torch.no_grad():
        model.encoder.get_input_embeddings().weight[token] = float("nan")
    model.encoder.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def write_source(tmp_path: Path) -> WriteSource:
    """Write texts as a corpus with so many rows a shard."""

    def write(texts: Sequence[str] = TEXTS, *, rows_of_a_shard: int = 1_000, name: str = "source") -> str:
        uri = f"{tmp_path.as_uri()}/{name}"
        tables = [
            pa.table({"text": texts[first : first + rows_of_a_shard]})
            for first in range(0, len(texts), rows_of_a_shard)
        ]
        return write_corpus(uri, tables, stage="clean", max_shard_bytes=1).uri

    return write


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny classifier that knows the test sentences, as the training of this package writes it."""
    folder = str(tmp_path_factory.mktemp("packaged") / "model")
    write_tiny_package(folder)
    return folder
