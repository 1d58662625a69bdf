from __future__ import annotations

import pytest

from airflow_provider_autoglm.labeling.llm.usage import Usage, estimated_usage


def test_usage_adds_up_and_has_a_price() -> None:
    total = Usage(requests=1, sent=900_000, received=50_000) + Usage(requests=2, sent=100_000, received=50_000)

    assert total == Usage(requests=3, sent=1_000_000, received=100_000)
    assert total.tokens == 1_100_000
    assert total.cost(2.0, 10.0) == pytest.approx(3.0)


@pytest.mark.parametrize("text", ["The match was decided in the last minute.", "比赛在最后一分钟决定胜负", "\udcff"])
def test_an_estimate_has_a_third_of_the_bytes(text: str) -> None:
    tokens = -(-len(text.encode("utf-8", "surrogatepass")) // 3)

    assert estimated_usage(text, text) == Usage(requests=1, sent=tokens + 20, received=tokens)
    assert estimated_usage(text).received == 20
