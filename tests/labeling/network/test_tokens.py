from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import ByT5Tokenizer

from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.labeling.network.tokens import longest_input, tokenise

FAR_BEHIND = 500_000
SURROGATE = "\udcff"

pieces = st.sampled_from(
    [
        "word ",
        "antidisestablishmentarianism",
        "\n\n\n",
        " " * 5_000,
        "a" * 99,
        "b" * 101,
        "漢字",
        "?!...",
        "naïve ",
        "e\u0301",
        "🙂",
        "\u200b" * 40,
        "x" * 4_090,
        "0123456789 ",
    ]
)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return models.load(models.BUNDLED_MODEL)


def cut_by_the_tokenizer(model: LoadedModel, *texts: Any, max_tokens: int, **options: Any) -> Any:
    return model.tokenizer(*texts, **{"truncation": True, "max_length": max_tokens, **options})


@given(st.lists(st.lists(pieces, max_size=60).map("".join), max_size=4), st.sampled_from([8, 20, 64, 256]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tokens_are_those_of_the_whole_text_however_little_of_it_is_read(
    model: LoadedModel, texts: list[str], max_tokens: int
) -> None:
    found = tokenise(model, texts, None, max_tokens)
    expected = cut_by_the_tokenizer(model, texts, max_tokens=max_tokens)["input_ids"] if texts else []
    assert found.ids == expected
    assert found.types is None
    assert found.lengths == [len(ids) for ids in expected]


def test_what_stands_far_behind_the_tokens_that_count_is_not_even_looked_at(model: LoadedModel) -> None:
    text = "plain words " * (FAR_BEHIND // 12)
    found = tokenise(model, [text + SURROGATE], None, 256)
    assert found.ids == cut_by_the_tokenizer(model, [text], max_tokens=256)["input_ids"]


@pytest.mark.parametrize("filler", [" ", "\u200b", "a"])
def test_a_word_behind_half_a_million_characters_that_give_no_token_is_found(model: LoadedModel, filler: str) -> None:
    text = filler * FAR_BEHIND + " football"
    found = tokenise(model, [text], None, 256)
    assert model.tokenizer.convert_ids_to_tokens(found.ids[0])[-2] == "football"


def test_a_text_with_a_lone_surrogate_is_refused(model: LoadedModel) -> None:
    with pytest.raises(TypeError):
        tokenise(model, ["fine", f"bad {SURROGATE} text"], None, 256)


def test_of_a_pair_the_text_is_cut_and_the_second_sequence_is_whole(model: LoadedModel) -> None:
    texts, pairs = ["long text " * 2_000, "short"], ["This text is about football.", "This text is about space."]
    found = tokenise(model, texts, pairs, 32)
    expected = cut_by_the_tokenizer(model, texts, pairs, max_tokens=32, truncation="only_first")
    assert (found.ids, found.types) == (expected["input_ids"], expected["token_type_ids"])
    assert found.lengths[0] == 32


def test_a_tokenizer_that_does_not_tell_what_it_cut_off_is_given_all() -> None:
    tokenizer = ByT5Tokenizer()
    assert not tokenizer.is_fast
    text = "many bytes " * 1_000
    assert tokenise(LoadedModel(tokenizer, None), [text], None, 16).ids == [[*tokenizer.encode(text)[:15], 1]]


def test_a_tokenizer_that_keeps_the_end_of_a_text_is_given_all() -> None:
    model = models.load(models.BUNDLED_MODEL)
    model.tokenizer.truncation_side = "left"
    text = "beginning " * 3_000 + "end"
    found = tokenise(model, [text], None, 8)
    assert model.tokenizer.convert_ids_to_tokens(found.ids[0])[-2] == "end"


def test_a_model_reads_no_more_than_it_has_positions_for(model: LoadedModel) -> None:
    assert longest_input(model) == min(model.tokenizer.model_max_length, model.encoder.config.max_position_embeddings)
