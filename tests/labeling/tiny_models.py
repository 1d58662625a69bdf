"""Real transformers of a few thousand weights that know the test sentences, made in a second or two."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.training.data import Examples
from airflow_provider_autoglm.training.package import write_package
from tests.labeling.sentences import LABELS, TEXTS, TRUTH

SUBJECTS = tuple(str(label["name"]) for label in LABELS)
POISON = "poison"
"""A word whose vector is not a number in every model made here."""

_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_LOGIT = 4.0


def tokenizer_of(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """One token for each word that occurs in ``texts``, in lower case."""
    splitter = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text.lower())} | {POISON})
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate([*_MARKS, *words])}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def config_of(tokenizer: PreTrainedTokenizerFast, *, classes: Sequence[str] = (), **changes: Any) -> BertConfig:
    names = {"id2label": dict(enumerate(classes)), "label2id": {name: n for n, name in enumerate(classes)}}
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.2,  # with that of large networks the texts would hardly differ
        **({"num_labels": len(classes), **names} if classes else {}),
        **changes,
    )


def write_encoder(folder: str) -> str:
    """An encoder with weights drawn by a fixed seed."""
    torch.manual_seed(0)
    tokenizer = tokenizer_of(TEXTS)
    return _written(BertModel(config_of(tokenizer)), tokenizer, folder)


def classifier(
    classes: Sequence[str] = SUBJECTS, **changes: Any
) -> tuple[BertForSequenceClassification, PreTrainedTokenizerFast]:
    """A classifier of three subjects under other names: a head fitted to the sentences on an encoder left as drawn."""
    torch.manual_seed(0)
    tokenizer = tokenizer_of(TEXTS)
    network = BertForSequenceClassification(config_of(tokenizer, classes=classes, **changes)).eval()
    with torch.inference_mode():
        features = network.bert(**tokenizer(list(TEXTS), padding=True, return_tensors="pt")).pooler_output.numpy()
    subjects = SUBJECTS[: len(classes)]
    wanted = np.array([[_LOGIT if truth == subject else -_LOGIT for subject in subjects] for truth in TRUTH])
    with_bias = np.column_stack([features, np.ones(len(features))])
    solution = np.linalg.solve(with_bias.T @ with_bias + 1e-6 * np.eye(with_bias.shape[1]), with_bias.T @ wanted)
    with torch.no_grad():
        network.classifier.weight.copy_(torch.from_numpy(solution[:-1].T))
        network.classifier.bias.copy_(torch.from_numpy(solution[-1]))
    return network, tokenizer


def write_classifier(folder: str, classes: Sequence[str] = SUBJECTS, **changes: Any) -> str:
    network, tokenizer = classifier(classes, **changes)
    return _written(network, tokenizer, folder)


def write_nli(folder: str, classes: Sequence[str], *, entailment: int) -> str:
    """A network trained to tell whether "about <subject>" follows from a text that names one of three subjects."""
    torch.manual_seed(0)
    tokenizer = tokenizer_of([*SUBJECTS, "a text on only this is about ."])
    network = BertForSequenceClassification(
        config_of(tokenizer, classes=classes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    pairs = list(itertools.product(SUBJECTS, repeat=2))
    inputs = tokenizer(
        [f"a text on {one}" for one, _ in pairs], [f"about {other}" for _, other in pairs], return_tensors="pt"
    )
    other = next(number for number in range(len(classes)) if number != entailment)
    truth = torch.tensor([entailment if one == second else other for one, second in pairs])
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-4)
    for _ in range(400):
        optimiser.zero_grad()
        network(**inputs, labels=truth).loss.backward()
        optimiser.step()
    return _written(network.eval(), tokenizer, folder)


def _written(network: Any, tokenizer: PreTrainedTokenizerFast, folder: str) -> str:
    with torch.no_grad():
        network.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(POISON)] = float("nan")
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_tiny_package(folder: str) -> None:
    """A tiny classifier that knows the test sentences, as the training of this package writes it."""
    network, tokenizer = classifier()
    reference = Examples(TEXTS, TEXTS, np.array([SUBJECTS.index(name) for name in TRUTH]))
    model = LoadedModel(tokenizer, network)
    write_package(model, folder, TrainSettings(), labels=SUBJECTS, max_tokens=64, reference=reference)
