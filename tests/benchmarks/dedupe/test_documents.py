from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.dedupe.debian import Source
from benchmarks.dedupe.documents import (
    ORIGINAL,
    PLANTED_SHARE,
    SHORT,
    VARIANTS,
    Shape,
    documents,
    largest,
    stretches,
    unique_files,
)
from benchmarks.dedupe.truth import jaccard

CHINESE_TEXT = (
    "命令列引数有意设计为非常接近的形式但也不完全相同每个档案被名为原"
    "始档名的压缩档案替换每个压缩档案具有相同的修改时间许可权属主"
)


def test_stretches_follow_each_other_without_overlap(files: list[list[str]]) -> None:
    found = list(stretches(files[:1], SHORT))
    assert all(SHORT.shortest - 1 <= len(text) <= SHORT.longest for text in found)
    everything = "".join("".join(files[0]).split())
    assert everything.startswith("".join("".join(text.split()) for text in found))


def test_a_text_without_spaces_is_cut_at_the_longest() -> None:
    shape = Shape("tiny", 4, 8, is_chinese=True)
    assert list(stretches([["自" * 30]], shape)) == ["自" * 8] * 3 + ["自" * 6]


def test_documents_are_the_same_for_the_same_seed_and_each_variant_has_one_original(files: list[list[str]]) -> None:
    texts = list(stretches(files, SHORT))
    made = documents(texts, 200, 7)
    assert made == documents(texts, 200, 7)
    assert made != documents(texts, 200, 8)
    families = Counter(document.family for document in made)
    variants = [document for document in made if document.variant != ORIGINAL]
    assert len(made) == 200
    assert len(variants) == round(200 * PLANTED_SHARE)
    assert all(families[document.family] == 2 for document in variants)
    assert {document.variant for document in variants} == set(VARIANTS)
    assert len({document.text for document in made}) == 200


def test_too_few_texts_are_refused_beyond_what_largest_says() -> None:
    texts = [f"text number {number} of some words" for number in range(78)]
    assert len(documents(texts, largest(78), 1)) == 100
    with pytest.raises(ValueError, match="78 texts are not enough for 101"):
        documents(texts, 101, 1)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("script", ["English", "Chinese"])
def test_a_variant_differs_from_its_text_and_is_like_it(files: list[list[str]], variant: str, script: str) -> None:
    texts = list(stretches(files, SHORT))
    text = f"{CHINESE_TEXT}。{CHINESE_TEXT[::-1]}" if script == "Chinese" else texts[0]
    stranger = CHINESE_TEXT if script == "Chinese" else texts[1]
    changed = VARIANTS[variant](text, stranger, random.Random(3))
    assert changed != text
    assert jaccard(changed, text) > 0.5


def test_a_paragraph_that_comes_again_in_other_case_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "package_1.parquet"
    pq.write_table(pa.table({"file": [0, 0, 1], "text": ["One, two.", "Three.", "one TWO"]}), path)
    assert unique_files([Source("package 1", path)]) == [["One, two.", "Three."], []]
