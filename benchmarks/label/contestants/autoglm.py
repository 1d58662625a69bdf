"""This project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_autoglm.labeling import label, labelers
from airflow_provider_autoglm.labeling.network.device import Hardware
from airflow_provider_autoglm.settings import LabelSettings
from benchmarks.label.contestants.answer import Predict, answer


def classify(texts: str, **settings: Any) -> dict[str, Any]:
    """The labeler of ``settings``."""

    def load() -> Predict:
        labeler = labelers.build(LabelSettings.parse(settings))

        def predict(some: Sequence[str]) -> list[str]:
            labels = labeler.predict(some)
            return [labels.names[column] for column in labels.probabilities.argmax(axis=1)]

        return predict

    return answer(texts, load)


def run_stage(source: str, destination: str, **settings: Any) -> dict[str, Any]:
    """The whole stage, for its memory."""
    result = label(source, destination, LabelSettings.parse(settings))
    return {"rows": result.rows_in, "rejected": result.rejected}


def precisions() -> dict[str, Any]:
    """Those that this machine's CPU multiplies itself."""
    hardware = Hardware.found()
    there = {"fp32": True, "bf16": "cpu" in hardware.bf16, "int8": hardware.int8}
    return {"names": [name for name, is_there in there.items() if is_there]}
