"""The words that carried a decision: by leaving them out, and by the gradients of a network."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from airflow_provider_autoglm.exceptions import MissingExtraError, UnexplainedLabelError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.calibration import CalibratedLabeler
from airflow_provider_autoglm.labeling.classifier import ClassifierLabeler
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.explain import WordWeight, explain
from airflow_provider_autoglm.labeling.gradients import word_gradients
from airflow_provider_autoglm.labeling.labelers import build
from airflow_provider_autoglm.labeling.labels import Labeler, Labels
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from airflow_provider_autoglm.labeling.network.placed import Placed
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork, one_thread
from airflow_provider_autoglm.labeling.nli import NliLabeler
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.settings import LabelSettings
from tests.labeling.conftest import POISON, settings_with

FILLERS = ["the", "a", "new", "one", "came", "and", "went", "on", "some", "other", "day", "with", "them"]


@dataclass(frozen=True)
class CountingLabeler:
    """``goal`` is worth 2 in log-odds for sport, ``soup`` 3 against it; whatever else stands there."""

    name: str = "counting"

    def predict(self, texts: Sequence[str]) -> Labels:
        odds = np.array([2.0 * text.count("goal") - 3.0 * text.count("soup") for text in texts])
        p = 1 / (1 + np.exp(-odds))
        return Labels(("sport", "food"), np.stack([p, 1 - p], axis=1).astype(np.float32))


def strongest(found: Sequence[WordWeight]) -> str:
    return max(found, key=lambda word: word.weight).word


def train_on_one_word(folder: Path, words: Sequence[str], classes: Sequence[str]) -> str:
    """A small transformer trained until the class hangs on which of ``words`` a text has."""
    tokenizer = models.load(models.BUNDLED_MODEL).tokenizer
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(classes)),
        label2id={name: number for number, name in enumerate(classes)},
    )
    module = BertForSequenceClassification(config)
    chance = np.random.default_rng(0)
    truth = chance.integers(0, len(words), 64)
    texts = [" ".join(chance.permutation([*chance.choice(FILLERS, 8), words[number]])) for number in truth]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    with one_thread():
        for _ in range(60):
            loss = module(**batch, labels=torch.tensor(truth)).loss
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> ClassifierLabeler:
    names = ("cooking", "football", "space")
    folder = train_on_one_word(tmp_path_factory.mktemp("classifier"), ("soup", "goal", "moon"), names)
    labeler = build(settings_with(kind="classifier", model=folder))
    assert isinstance(labeler, ClassifierLabeler)
    return labeler


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> NliLabeler:
    classes = ("entailment", "neutral", "contradiction")
    folder = train_on_one_word(tmp_path_factory.mktemp("nli"), ("goal", "soup", "moon"), classes)
    labeler = build(settings_with(kind="nli", model=folder))
    assert isinstance(labeler, NliLabeler)
    return labeler


def test_what_a_word_is_worth_to_the_label_is_what_goes_with_it() -> None:
    found = explain(CountingLabeler(), "One goal, then soup.", "sport")
    assert [(word.word, round(word.weight, 3)) for word in found] == [
        ("One", 0.0),
        ("goal", 2.0),
        ("then", 0.0),
        ("soup", -3.0),
    ]
    assert ["One goal, then soup."[word.start : word.end] for word in found] == [word.word for word in found]


def test_the_label_that_is_explained_is_the_one_that_is_given_unless_told_otherwise() -> None:
    assert strongest(explain(CountingLabeler(), "goal soup")) == "soup"
    assert strongest(explain(CountingLabeler(), "goal soup", "sport")) == "goal"


def test_the_decisive_word_of_a_sentence_is_found(labeler: EmbeddingLabeler) -> None:
    found = explain(labeler, "Yesterday she told us all about her telescope again.", "space")
    assert strongest(found) == "telescope"
    assert found == explain(labeler, "Yesterday she told us all about her telescope again.", "space")


def test_words_that_make_up_for_each_other_carry_the_label_together(labeler: EmbeddingLabeler) -> None:
    found = explain(labeler, "The nebula is a cloud of dust where stars are born.", "space")
    assert {word.word for word in sorted(found, key=lambda word: -word.weight)[:3]} == {"nebula", "stars", "cloud"}


def test_a_long_text_is_explained_by_runs_of_words_and_a_longer_one_by_its_beginning() -> None:
    text = " ".join(["word"] * 150 + ["goal"] + ["word"] * 149)
    found = explain(CountingLabeler(), text, "sport")
    assert len(found) == 60
    assert "goal" in strongest(found).split()
    longer = explain(CountingLabeler(), text + " and" * 2_000_000, "sport")
    assert max(word.end for word in longer) <= 2_000
    assert "goal" in strongest(longer).split()


def test_a_script_without_spaces_is_explained_by_its_letters() -> None:
    @dataclass(frozen=True)
    class Chinese:
        name: str = "chinese"

        def predict(self, texts: Sequence[str]) -> Labels:
            p = np.array([0.9 if "球" in text else 0.2 for text in texts])
            return Labels(("sport", "food"), np.stack([p, 1 - p], axis=1).astype(np.float32))

    found = explain(Chinese(), "他们踢足球。", "sport")
    assert [word.word for word in found] == list("他们踢足球")
    assert [word.weight > 1 for word in found] == [False, False, False, False, True]


def test_lone_surrogates_and_texts_without_words_are_no_obstacle(labeler: EmbeddingLabeler) -> None:
    broken = explain(labeler, "\udce4 goal of the football team \ud800", "football")
    assert {"goal", "football", "team"} <= {word.word for word in broken}
    assert explain(labeler, " \n ", "football") == ()
    assert [word.word for word in explain(labeler, "😀 !", "football")] == ["😀", "!"]


def test_a_calibrated_labeler_is_explained_like_the_one_behind_it(labeler: EmbeddingLabeler) -> None:
    text = "The goalkeeper saved a penalty."
    assert explain(CalibratedLabeler(labeler, 3.0), text) == explain(labeler, text)


def test_the_weights_of_a_classifier_sum_up_to_what_the_text_is_worth_more_than_its_mask(
    classifier: ClassifierLabeler,
) -> None:
    network = classifier.network
    assert isinstance(network, TextNetwork)
    text = "some day the goal came with them"

    def score(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, 1] - logits[:, 0]

    found = word_gradients(network, text, score)
    tokens = network.tokenizer([text, " ".join(["[MASK]"] * 7)], return_tensors="pt")
    with torch.no_grad():
        whole, masked = score(network.module(**tokens).logits).tolist()
    assert [text[word.span.start : word.span.end] for word in found] == text.split()
    assert sum(word.weight for word in found) == pytest.approx(whole - masked, rel=0.03)
    assert whole - masked > 2


def test_the_word_that_a_classifier_was_trained_on_carries_its_label(classifier: ClassifierLabeler) -> None:
    for word, label in (("soup", "cooking"), ("goal", "football"), ("moon", "space")):
        found = explain(classifier, f"The new {word} came, and they went with them.")
        assert classifier.predict([f"The new {word} came, and they went with them."]).probabilities.max() > 0.9
        assert strongest(found) == word
        assert found == explain(classifier, f"The new {word} came, and they went with them.", label)


def test_a_word_of_several_tokens_is_one_and_only_what_the_model_reads_is_explained(
    classifier: ClassifierLabeler,
) -> None:
    text = "Unbelievably goalkeeping zzyzx " + "and the " * 200
    assert isinstance(classifier.network, TextNetwork)
    long_words = len(classifier.network.tokenizer.tokenize("Unbelievably goalkeeping zzyzx"))
    assert long_words > 3
    found = explain(classifier, text, "football")
    assert [word.word for word in found[:3]] == ["Unbelievably", "goalkeeping", "zzyzx"]
    assert len(found) == 256 - 2 - long_words + 3
    assert explain(classifier, "", "football") == ()


def test_letters_of_a_script_without_spaces_are_explained_by_tokens(classifier: ClassifierLabeler) -> None:
    assert [word.word for word in explain(classifier, "中国 goal 队", "football")] == ["中", "国", "goal", "队"]


def test_bytes_of_one_letter_are_one_word_and_white_space_is_none() -> None:
    bytewise = tokenizers.ByteLevelBPETokenizer()
    bytewise.train_from_iterator(["goal soup moon"] * 9, special_tokens=["<pad>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(bytewise.to_str()), pad_token="<pad>", model_max_length=64
    )
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=1)
    module = BertForSequenceClassification(config).eval()
    network = TextNetwork(Placed(models.LoadedModel(tokenizer, module)), max_tokens=64, batch_tokens=64)
    text = "goal\n\n\n \u4e2d soup\U0001f600"
    found = word_gradients(network, text, lambda logits: logits[:, 0])
    assert len(tokenizer.tokenize(text)) > 8
    assert [text[word.span.start : word.span.end] for word in found] == ["goal", "\u4e2d", "soup", "\U0001f600"]


def test_a_zero_shot_classifier_is_explained_by_the_words_of_the_text_alone(nli: NliLabeler) -> None:
    text = "Some other day the goal came with them."
    found = explain(nli, text, "football")
    assert [word.word for word in found] == [*text[:-1].split(), "."]
    assert strongest(found) == "goal"


def test_a_network_without_gradients_is_explained_by_leaving_out(classifier: ClassifierLabeler) -> None:
    assert isinstance(classifier.network, TextNetwork)
    folder = classifier.network.config.name_or_path
    small = build(settings_with(kind="classifier", model=folder, precision="int8"))
    found = explain(small, "The new goal came, and they went.", "football")
    assert [word.word for word in found] == ["The", "new", "goal", "came", "and", "they", "went"], "no punctuation"
    assert strongest(found) == "goal"


def test_a_label_that_the_network_has_no_class_for_is_not_explained(classifier: ClassifierLabeler) -> None:
    assert isinstance(classifier.network, TextNetwork)
    labels = [{"name": "football"}, {"name": "weather"}]
    partial = build(settings_with(kind="classifier", model=classifier.network.config.name_or_path, labels=labels))
    assert strongest(explain(partial, "The new goal came.", "football")) == "goal"
    with pytest.raises(UnexplainedLabelError, match="has no class for the label 'weather'"):
        explain(partial, "The new goal came.", "weather")


def test_a_network_of_independent_classes_is_explained_by_the_logit_of_the_label(
    classifier: ClassifierLabeler, tmp_path: Path
) -> None:
    assert isinstance(classifier.network, TextNetwork)
    shutil.copytree(classifier.network.config.name_or_path, tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "problem_type": "multi_label_classification"}))
    independent = build(settings_with(kind="classifier", model=str(tmp_path / "model")))
    text = "The new goal came."
    found = explain(independent, text, "football")
    logits = word_gradients(classifier.network, text, lambda logits: logits[:, 1])
    assert [word.weight for word in found] == pytest.approx([word.weight for word in logits])


def test_without_captum_it_is_said_what_to_install(
    classifier: ClassifierLabeler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match="captum"):
        explain(classifier, "The new goal came.")


def test_a_language_model_is_not_asked() -> None:
    settings = LabelSettings.parse({"kind": "llm", "model": "m", "labels": [{"name": "a"}, {"name": "b"}]})
    labeler: Labeler = build(settings, resources=Resources(endpoint=Endpoint("http://127.0.0.1:9/v1")))
    with pytest.raises(UnexplainedLabelError, match="is not asked again, which would cost money"):
        explain(labeler, "text")


def test_an_unknown_label_is_refused(labeler: EmbeddingLabeler) -> None:
    with pytest.raises(UnexplainedLabelError, match="does not know the label 'weather'"):
        explain(labeler, "text", "weather")


def test_a_text_that_the_model_breaks_on_is_not_explained(poisoned_model: str) -> None:
    labeler = build(settings_with(model=poisoned_model))
    with pytest.raises(UnexplainedLabelError, match="no finite numbers"):
        explain(labeler, f"The {POISON} sleeps", "space")
