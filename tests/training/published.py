"""Dataset versions of the test sentences, published for real, and base models to train on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from airflow_provider_autoglm.corpus.publish import publish
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.settings import PublishSettings, TrainSettings
from tests.corpus.publish.conftest import row, write_table
from tests.labeling.sentences import COOKING, FOOTBALL, SPACE

LABELS = ("space", "cooking", "football")
"""Not in alphabetical order: the order of the dataset counts."""

Pairs = Iterable[tuple[str, str]]


def passages(count: int) -> list[tuple[str, str]]:
    """``count`` (text, label) of each subject: two sentences each, no two alike."""
    return [
        (f"{first} {second}", label)
        for label, sentences in (("cooking", COOKING), ("football", FOOTBALL), ("space", SPACE))
        for first, second in itertools.islice(itertools.permutations(sentences, 2), count)
    ]


def publish_pairs(folder: Path, pairs: Pairs, **settings: Any) -> str:
    """Publish (text, label) pairs as the next version below ``folder``; its URI."""
    content = [row(number, label, text=text) for number, (text, label) in enumerate(pairs)]
    source = write_table(f"{folder.as_uri()}/label", pa.Table.from_pylist(content), rows_of_a_shard=50)
    chosen = {"labels": LABELS, "test_fraction": 0.3, "validation_fraction": 0.2, "min_class_rows": 0, **settings}
    return publish([source], f"{folder.as_uri()}/datasets", PublishSettings.parse(chosen)).uri


def write_base_model(folder: Path, **changes: Any) -> str:
    """A BERT of two small layers with random weights and the bundled model's tokenizer; its folder."""
    from transformers import AutoTokenizer, BertConfig, BertModel, set_seed

    tokenizer = AutoTokenizer.from_pretrained(models.locate(models.BUNDLED_MODEL))
    config = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        **changes,
    }
    set_seed(0)
    BertModel(BertConfig(**config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def settings_with(**changes: Any) -> TrainSettings:
    """Settings that train a small base model in moments."""
    return TrainSettings.parse({"max_tokens": 32, "batch_size": 16, "learning_rate": 2e-3, **changes})
