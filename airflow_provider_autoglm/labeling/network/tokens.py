"""The tokens of texts, without reading more of a long text than counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.labeling.models import LoadedModel

_CHARACTERS_A_TOKEN = 12
_FEWEST_CHARACTERS = 4_096
_GROWTH = 8
_WINDOWS = 2


@dataclass(frozen=True)
class Tokens:
    """Token ids of each text, and where it is one of a pair also which sequence each token belongs to."""

    ids: list[list[int]]
    types: list[list[int]] | None

    @property
    def lengths(self) -> list[int]:
        """How many tokens each text has."""
        return [len(ids) for ids in self.ids]


def longest_input(model: LoadedModel) -> int:
    """Tokens of a text that the model can read at most."""
    positions: Any = getattr(model.encoder.config, "max_position_embeddings", None)
    return min(int(model.tokenizer.model_max_length), int(positions or model.tokenizer.model_max_length))


def tokenise(model: LoadedModel, texts: Sequence[str], pairs: Sequence[str] | None, max_tokens: int) -> Tokens:
    """The first ``max_tokens`` tokens of each text; with ``pairs``, each text is cut so that its pair is whole.

    Of a text longer than 12 characters a token (at least 4,096) only its beginning is tokenised, up to a white space,
    if that gives more than twice the tokens that are read, else eight times as much, and so on. Every tokenizer decides
    by the word, or by the neighbouring characters: what comes so far behind changes no token that is read.

    :raises TypeError: if a text holds lone surrogates.
    """
    has_types = pairs is not None and "token_type_ids" in model.tokenizer.model_input_names
    ids: list[list[int]] = [[] for _ in texts]
    types: list[list[int]] = [[] for _ in texts]
    # A slow tokenizer does not tell what it cut off, so it has to be given all.
    can_cut = model.tokenizer.is_fast and model.tokenizer.truncation_side == "right"
    characters = max(_FEWEST_CHARACTERS, _CHARACTERS_A_TOKEN * max_tokens)
    pending = list(range(len(texts)))
    while pending:
        read = [_beginning(texts[row], characters) if can_cut else texts[row] for row in pending]
        encoded = model.tokenizer(
            read,
            None if pairs is None else [pairs[row] for row in pending],
            truncation=True if pairs is None else "only_first",
            max_length=max_tokens,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=has_types,
        )
        unfinished = []
        for number, row in enumerate(pending):
            is_whole = len(read[number]) == len(texts[row])
            if is_whole or len(encoded.encodings[number].overflowing) >= _WINDOWS:
                ids[row] = encoded["input_ids"][number]
                types[row] = encoded["token_type_ids"][number] if has_types else []
            else:
                unfinished.append(row)
        pending = unfinished
        characters *= _GROWTH
    return Tokens(ids, types if has_types else None)


def _beginning(text: str, characters: int) -> str:
    """At most the first ``characters`` of a text, without a word that would be cut in two."""
    if len(text) <= characters:
        return text
    beginning = text[:characters]
    last_word = beginning.rsplit(maxsplit=1)[-1:]
    return (beginning.removesuffix(last_word[0]) if last_word else beginning) or beginning
