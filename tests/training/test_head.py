"""A logistic regression as the head of a frozen network."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2ForSequenceClassification

from airflow_provider_autoglm.corpus.result import Progress
from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.training.data import Examples
from airflow_provider_autoglm.training.head import fit_head
from airflow_provider_autoglm.training.network import load_classifier, predict_logits, tokenised
from tests.training.published import LABELS, passages, settings_with


def examples(labels: tuple[str, ...], subjects: tuple[str, ...] = LABELS) -> Examples:
    pairs = [(text, label) for text, label in passages(12) if label in subjects]
    texts, names = zip(*pairs, strict=True)
    return Examples(texts, texts, np.array([labels.index(name) for name in names]))


def logits_of(model: LoadedModel, texts: tuple[str, ...]) -> Any:
    return predict_logits(model, tokenised(model, texts, 32))


@pytest.mark.parametrize("subjects", [LABELS, ("space", "football")])
def test_the_network_answers_as_the_regression_and_keeps_its_other_weights(subjects: tuple[str, ...]) -> None:
    settings = settings_with()
    model = load_classifier(settings, LABELS)
    before = {name: weights.clone() for name, weights in model.encoder.named_parameters()}
    training = examples(LABELS, subjects)
    fit_head(model, training, settings)
    logits = logits_of(model, training.texts)
    assert (logits.argmax(axis=1) == training.classes).mean() > 0.95
    changed = {name for name, weights in model.encoder.named_parameters() if not torch.equal(weights, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_a_class_without_texts_never_wins() -> None:
    settings = settings_with()
    model = load_classifier(settings, (*LABELS, "chess"))
    training = examples(LABELS)
    fit_head(model, training, settings)
    logits = logits_of(model, (*training.texts, "Queen takes rook, checkmate.", ""))
    assert logits.argmax(axis=1).max() < 3
    assert (logits[:, 3] < logits[:, :3].max(axis=1) - 15).all()


def test_progress_counts_the_texts(base_model: str) -> None:
    seen: list[Progress] = []
    settings = settings_with(base_model=base_model)
    fit_head(load_classifier(settings, LABELS), examples(LABELS), settings, seen.append)
    assert (seen[-1].stage, seen[-1].rows_done, seen[-1].rows_total) == ("train", 36, 36)


def test_a_network_without_a_linear_head_with_a_bias_is_refused(base_model: str) -> None:
    settings = settings_with(base_model=base_model)
    tokenizer = load_classifier(settings, LABELS).tokenizer
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1, num_labels=3, pad_token_id=0)
    model = LoadedModel(tokenizer, GPT2ForSequenceClassification(config).eval())
    with pytest.raises(UnusableModelError, match=r"no linear layer with 3 outputs; set train\.method"):
        fit_head(model, examples(LABELS), settings)


class OtherHead(torch.nn.Module):
    """A network whose logits are something else than its linear layer gives: scaled, or the first token's."""

    def __init__(self, kind: str, vocabulary: int) -> None:
        super().__init__()
        self.kind = kind
        self.embedding = torch.nn.Embedding(vocabulary, 8)
        self.head = torch.nn.Linear(8, 3)
        self.config = SimpleNamespace(num_labels=3, max_position_embeddings=64)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        vectors = self.embedding(input_ids)
        if self.kind == "scaled":
            return SimpleNamespace(logits=2 * self.head(vectors.mean(dim=1)))
        return SimpleNamespace(logits=self.head(vectors)[:, 0])


@pytest.mark.parametrize("kind", ["scaled", "first token"])
def test_a_network_whose_logits_do_not_come_from_its_last_layer_is_refused(base_model: str, kind: str) -> None:
    settings = settings_with(base_model=base_model)
    tokenizer = load_classifier(settings, LABELS).tokenizer
    with pytest.raises(UnusableModelError, match="its logits do not come from its last linear layer"):
        fit_head(LoadedModel(tokenizer, OtherHead(kind, len(tokenizer)).eval()), examples(LABELS), settings)


def test_vectors_that_are_no_numbers_are_refused(base_model: str) -> None:
    settings = settings_with(base_model=base_model)
    model = load_classifier(settings, LABELS)
    with torch.no_grad():
        model.encoder.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(UnusableModelError, match=r"vectors are not finite numbers.*train\.base_model"):
        fit_head(model, examples(LABELS), settings)
