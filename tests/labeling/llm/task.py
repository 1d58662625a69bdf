"""A task in a process of its own that labels so many texts: URL FOLDER TEXTS TIMEOUT_S."""

from __future__ import annotations

import sys

from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint
from airflow_provider_autoglm.labeling.llm.labeler import LlmLabeler
from airflow_provider_autoglm.labeling.resources import Resources
from tests.labeling.llm.conftest import NAMES, llm_settings
from tests.labeling.llm.server import API_KEY


def texts_of(count: int) -> list[str]:
    return [f"{NAMES[number % len(NAMES)]} {number}" for number in range(count)]


if __name__ == "__main__":
    url, folder, count, timeout_s = sys.argv[1:]
    resources = Resources(endpoint=Endpoint(url, api_key=API_KEY), work=folder)
    labeler = LlmLabeler.load(llm_settings(timeout_s=float(timeout_s)), resources=resources)
    labels = labeler.predict(texts_of(int(count)))
    print(*labels.probabilities.argmax(axis=1))
