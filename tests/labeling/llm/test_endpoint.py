from __future__ import annotations

import pytest

from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint

CHAT = "chat/completions"


def test_all_models_share_an_address() -> None:
    endpoint = Endpoint("https://llm.example.org/v1")
    assert endpoint.url(CHAT, model="small") == endpoint.url(CHAT) == "https://llm.example.org/v1/chat/completions"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("small", "/deployments/small/chat/completions"),
        ("../a b?c", "/deployments/..%2Fa%20b%3Fc/chat/completions"),
        ("", "/chat/completions"),
    ],
)
def test_each_deployment_has_an_address_of_its_own(model: str, path: str) -> None:
    azure = Endpoint("https://news.openai.azure.com/openai", has_deployments=True, query={"api-version": "2024-10-21"})
    assert azure.url(CHAT, model=model) == f"{azure.base_url}{path}?api-version=2024-10-21"
