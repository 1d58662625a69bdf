"""``pipeline("text-classification")`` of transformers, as its documentation uses it."""

from __future__ import annotations

from typing import Any

from transformers import pipeline

from benchmarks.label.contestants.answer import Predict, answer


def classify(texts: str, model: str, max_tokens: int, batch_size: int) -> dict[str, Any]:
    """All texts in one call."""

    def load() -> Predict:
        classifier = pipeline("text-classification", model=model, device="cpu")
        return lambda some: [
            found["label"]
            for found in classifier(list(some), batch_size=batch_size, truncation=True, max_length=max_tokens)
        ]

    return answer(texts, load)
