"""Settings of automatic labelling, and what a label is."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from airflow_provider_autoglm.settings.base import Settings
from airflow_provider_autoglm.settings.llm import LlmSettings

ANY_LANGUAGE = "*"
"""The key of ``models`` that stands for every language without a key of its own."""

NONE_OF_THESE = "— none of these —"
"""What a person answers of a text that belongs to none of the labels, beside which it stands in a form."""

_OWN_MODELS = {
    "embedding": "sentence-transformers/all-MiniLM-L6-v2",
    "few_shot": "sentence-transformers/all-MiniLM-L6-v2",
    "nli": "MoritzLaurer/bge-m3-zeroshot-v2.0",
}

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")
_NOT_IN_A_NAME = ("Cc", "Cs", "Zl", "Zp")
"""Control characters, lone surrogates and line ends: a form could not show them, nor send them back as they are."""


class LabelDefinition(Settings):
    """A class of the dataset: its name and what its texts are about."""

    name: str = Field(min_length=1, max_length=100, description="Name of the class.")
    phrases: tuple[str, ...] = Field(
        default=(), description="A few phrases that describe its texts; none means the name alone describes it."
    )
    examples: tuple[str, ...] = Field(default=(), description="Texts of the class, for `label.kind` `few_shot`.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if name != name.strip():
            raise ValueError("a name neither begins nor ends with white space")
        if any(unicodedata.category(character) in _NOT_IN_A_NAME for character in name):
            raise ValueError("a name is one line without control characters")
        if _as_read(name) == NONE_OF_THESE:
            raise ValueError("in a review that is the answer for a text of no label; choose another name")
        return name

    @field_validator("phrases", "examples")
    @classmethod
    def _are_texts(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for number, text in enumerate(texts):
            if not text.strip():
                raise ValueError(f"text {number} is empty; leave it out")
        return texts

    @field_validator("phrases")
    @classmethod
    def _are_readable(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        for number, phrase in enumerate(phrases):
            if any(unicodedata.category(character) == "Cs" for character in phrase):
                raise ValueError(f"text {number} holds half a character (a lone surrogate); write it anew")
        return phrases

    @property
    def descriptions(self) -> tuple[str, ...]:
        """What describes its texts: the phrases, else the name, read as words."""
        return self.phrases or (self.name.replace("_", " "),)


def refuse_contradictions(labels: tuple[LabelDefinition, ...]) -> tuple[LabelDefinition, ...]:
    """Return ``labels`` unchanged.

    :raises ValueError: if a text is an example of two of them.
    """
    places: dict[str, tuple[str, int]] = {}
    for label in labels:
        for number, text in enumerate(label.examples):
            name, earlier = places.setdefault(_as_read(text), (label.name, number))
            if name != label.name:
                raise ValueError(
                    f"text {earlier} of the examples of {name!r} is text {number} of those of {label.name!r}; "
                    "leave it in one of them"
                )
    return labels


def _as_read(text: str) -> str:
    # As corpus.schema.normalise_text, by which labelling tells examples apart; settings may not import it.
    return " ".join(unicodedata.normalize("NFC", text).split())


class LabelSettings(Settings):
    """How texts are labelled."""

    kind: Literal["embedding", "nli", "classifier", "few_shot", "llm"] = Field(
        default="embedding",
        description="`embedding`: nearest description in the space of a sentence encoder; `nli`: a zero-shot "
        "classifier, one pass a label; `classifier`: a trained classifier of the same labels; `few_shot`: a logistic "
        "head on an encoder, from a few examples a label; `llm`: an OpenAI-compatible endpoint.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="Hugging Face model name or local path, for a classifier also `models:/name@alias`, for an LLM its "
        "name at the endpoint. Null takes `sentence-transformers/all-MiniLM-L6-v2` for `embedding` and `few_shot` "
        "(read from the `demo` extra if installed), `MoritzLaurer/bge-m3-zeroshot-v2.0` for `nli`.",
    )
    models: dict[str, str | None] = Field(
        default={},
        description="Models by language of the text (ISO 639-1, column `lang`); `*` stands for all others, which "
        "else have `model`. Null leaves the texts of a language without label.",
    )
    labels: tuple[LabelDefinition, ...] = Field(
        default=(), description="The classes; in the Variable they come from the key `labels` beside the stages."
    )
    refine: bool = Field(
        default=True, description="`embedding`: move each label's description to the mean of its confident texts, once."
    )
    refine_texts: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Texts, drawn evenly from the corpus, that the refinement and the check of INT8 look at.",
    )
    center: bool = Field(
        default=False,
        description="`embedding`: take the mean of the refinement's texts off all vectors. Helps where classes are "
        "of like size, hurts where they are not.",
    )
    temperature: float = Field(
        default=0.06, gt=0, le=10, description="`embedding`: temperature of the softmax over cosine similarities."
    )
    min_similarity: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="`embedding`: cosine similarity to the nearest label below which a text belongs to none of them.",
    )
    hypothesis: str = Field(
        default="This text is about {}.",
        pattern=r"\{\}",
        description="`nli`: the statement that is tested for each phrase of a label, which stands for `{}`.",
    )
    examples: str = Field(
        default="",
        description="`few_shot`: URI of a corpus with columns `text` and `label`, used beside the labels' examples.",
    )
    llm: LlmSettings = Field(default=LlmSettings(), description="The endpoint of `llm`.")
    calibration: str = Field(
        default="",
        description="URI of a corpus with `text` and true `label` that scores are calibrated on. Empty takes the texts "
        "that people have labelled in the newest dataset version's random spot checks.",
    )
    calibration_min_rows: int = Field(
        default=100, ge=10, le=1_000_000, description="Texts of known label below which scores stay uncalibrated."
    )
    min_score: float = Field(
        default=0.0, ge=0, le=1, description="Score below which a text stays without label (it abstains)."
    )
    mc_dropout: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Passes with dropout whose disagreement becomes `uncertainty`; 0 takes the entropy of the scores. "
        "For models run here; costs as many times the work.",
    )
    precision: Literal["auto", "fp32", "bf16", "int8"] = Field(
        default="auto",
        description="`auto`: bf16 on a GPU that has it, else fp32. `int8`: weights of 8 bits on the CPU, if they give "
        "the same labels (`int8_min_agreement`).",
    )
    int8_min_agreement: float = Field(
        default=0.97,
        ge=0,
        le=1,
        description="Share of sampled texts that must get the same label with INT8 as with fp32; else fp32 is used.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Where models run; `auto` takes a GPU if there is one."
    )
    max_tokens: int = Field(default=256, ge=8, le=8_192, description="Tokens of a text that the model reads.")
    batch_tokens: int = Field(
        default=2_048,
        ge=64,
        le=1_000_000,
        description="Tokens of one batch, padding included, at most; on a CPU no more than 512, where more is slower.",
    )
    explain_texts: int = Field(
        default=12, ge=0, le=200, description="Texts whose deciding words the report shows; none for `llm`."
    )
    max_rejected_fraction: float = Field(
        default=0.1, ge=0, le=1, description="Share of rows that may be rejected before the stage fails."
    )

    @field_validator("labels")
    @classmethod
    def _do_not_contradict(cls, labels: tuple[LabelDefinition, ...]) -> tuple[LabelDefinition, ...]:
        return refuse_contradictions(labels)

    @field_validator("models")
    @classmethod
    def _are_languages(cls, models: dict[str, str | None]) -> dict[str, str | None]:
        for language, model in models.items():
            if language != ANY_LANGUAGE and _LANGUAGE.fullmatch(language) is None:
                raise ValueError(f"{language!r} is no language; write a code as in the column lang, e.g. 'en', or '*'")
            if model is not None and not model.strip():
                raise ValueError(f"the model of {language!r} is empty; name one, or null for texts without label")
        return models

    @model_validator(mode="after")
    def _has_a_model(self) -> Self:
        if self.kind not in _OWN_MODELS and self.model is None and ANY_LANGUAGE not in self.models:
            raise ValueError(f"kind {self.kind} needs a model: set label.model")
        return self

    def model_for(self, language: str | None) -> str:
        """The model for texts of a language that has one; None is an unknown language."""
        model = self._choice(language)
        assert model is not None, "texts of this language stay without label"
        return model

    def has_model_for(self, language: str | None) -> bool:
        """Whether texts of a language are labelled at all."""
        return self._choice(language) is not None

    def _choice(self, language: str | None) -> str | None:
        own_model = self.model or _OWN_MODELS.get(self.kind)
        return self.models.get(language or ANY_LANGUAGE, self.models.get(ANY_LANGUAGE, own_model))
