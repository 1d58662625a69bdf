from __future__ import annotations

import re

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.clean.lines import drop_lines

RULES = [("a", "a+"), ("b", "(?i)b|c"), ("space", r"\s*"), ("number", r"(\d)\1")]
LINES = st.sampled_from(["a", "aa", "ab", "B", "c", "C", "", " ", "11", "12", "Ä", "中文"])


@settings(deadline=None)
@given(st.lists(st.none() | st.lists(LINES, min_size=1).map("\n".join)), st.sets(st.sampled_from(RULES)).map(sorted))
def test_lines_go_that_a_rule_matches_from_beginning_to_end(
    texts: list[str | None], rules: list[tuple[str, str]]
) -> None:
    result, changed = drop_lines(pa.array(texts, pa.string()), rules)

    left: list[str | None] = []
    counts = dict.fromkeys(dict(rules), 0)
    for text in texts:
        if text is None:
            left.append(None)
            continue
        lines = [(line, next((n for n, p in rules if re.fullmatch(p, line)), None)) for line in text.split("\n")]
        left.append("\n".join(line for line, rule in lines if rule is None))
        for rule in {rule for _, rule in lines if rule is not None}:
            counts[rule] += 1
    assert result.to_pylist() == left
    assert dict(changed) == {name: count for name, count in counts.items() if count}
