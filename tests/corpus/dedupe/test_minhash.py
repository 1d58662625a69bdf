"""Keys of bands and the groups that share them, compared with the definition in plain Python."""

from __future__ import annotations

import functools
import random
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.dedupe.minhash import BANDS, NO_KEY, Groups, band_groups, band_keys
from airflow_provider_autoglm.corpus.dedupe.tokens import tokenise

_WORD = 2**32 - 1


def _keys(texts: Sequence[str]) -> NDArray[np.uint32]:
    tokens = tokenise(texts)
    return band_keys(tokens.codes, tokens.bounds)


def _windows(text: str) -> set[str]:
    content = "".join(re.findall(r"[\w\u4e00-\u9fcc]+", text.lower()))
    return {content[start : start + 4] for start in range(max(len(content) - 3, 1))} - {""}


def _hash(words: Sequence[int]) -> int:
    mixed = 0x811C9DC5
    for word in words:
        mixed = (mixed ^ word) * 0x9E3779B1 & _WORD
        mixed ^= mixed >> 15
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & _WORD
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & _WORD
    return mixed ^ mixed >> 16


@functools.cache
def _permutations() -> list[tuple[int, int]]:
    """What to multiply by and what to add."""
    numbers = (int(number) for number in np.random.PCG64(1997).random_raw(128))
    return [(number >> 32 | 1, number & _WORD) for number in numbers]


def _reference(text: str) -> list[int]:
    hashes = [_hash([ord(character) for character in window]) for window in _windows(text)]
    if not hashes:
        return [NO_KEY] * BANDS
    minima = [min(value * odd + added & _WORD for value in hashes) for odd, added in _permutations()]
    return [max(_hash(minima[band::BANDS]), 1) for band in range(BANDS)]


_text = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="ab _\n", max_size=40),
    st.text(alphabet="aéЖ中\N{MATHEMATICAL BOLD DIGIT ZERO}😀İΣß", max_size=12),
    st.text(alphabet=st.characters(min_codepoint=0x4DF0, max_codepoint=0x9FFF), max_size=40),
    st.text(alphabet="ab \ud800\udc00\udfff\U00010000", max_size=12),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_text, max_size=6))
def test_keys_are_those_of_the_definition(texts: list[str]) -> None:
    keys = _keys(texts)
    assert keys.dtype == np.uint32
    assert keys.shape == (len(texts), BANDS)
    assert keys.tolist() == [_reference(text) for text in texts]


@pytest.mark.parametrize("length", [*range(14), 63, 64, 65, 5_000])
def test_documents_of_any_length_have_the_right_keys_between_others(length: int) -> None:
    alphabet = "abcdefghij中文字符"
    text = "".join(random.Random(length).choices(alphabet, k=length))
    assert _keys(["before", text, "after"]).tolist() == [_reference("before"), _reference(text), _reference("after")]


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="abc中Ж0", min_size=4, max_size=20), st.integers(0, 19), st.integers(2, 9), st.integers(0, 20))
def test_the_order_and_number_of_windows_do_not_matter(text: str, rotation: int, times: int, rest: int) -> None:
    rotated = text[rotation % len(text) :] + text[: rotation % len(text)]
    ring, longer = text * 2, rotated * times + rotated[: rest % len(text)]
    assert _windows(ring) == _windows(longer)
    assert np.array_equal(*_keys([ring, longer]))


@pytest.mark.parametrize("text", ["", " \n", "!?…", "😀", "\ud800", "\udc00 \udfff"])
def test_a_document_without_a_window_is_nobodys_candidate(text: str) -> None:
    keys = _keys([text, "a document", text])
    assert (keys[[0, 2]] == NO_KEY).all()
    assert (keys[1] != NO_KEY).all()
    assert all(band_groups(keys[:, band]).members.size == 0 for band in range(BANDS))


@pytest.mark.parametrize(("text", "band"), [("矍暟銣咁", 16), ("鷇硭鹯鹄", 30)])
def test_a_document_whose_minima_mix_to_no_key_is_still_found(text: str, band: int) -> None:
    keys = _keys([text, text])
    assert keys[:, band].tolist() == [NO_KEY + 1] * 2
    assert _as_lists(band_groups(keys[:, band])) == [[0, 1]]


def test_documents_shorter_than_a_window_are_candidates_of_their_equals_alone() -> None:
    texts = ["a", "aa", "aaa", "aaaa", "中", "中文", "b", "ab", "ba", "文中", "A!", "中文。"]
    for band in range(BANDS):
        groups = _as_lists(band_groups(_keys(texts)[:, band]))
        assert sorted(groups) == [[0, 10], [5, 11]]


def _planted(alphabet: int, pairs: int, seed: int) -> tuple[list[str], list[str]]:
    """Stretches of random characters and copies with another end, from hardly anything to nearly everything."""
    generator = random.Random(seed)
    originals, copies = [], []
    for _ in range(pairs):
        characters = [chr(0x4E00 + generator.randrange(alphabet)) for _ in range(120)]
        others = [chr(0x4E00 + generator.randrange(alphabet)) for _ in range(120)]
        kept = generator.randrange(30, 118)
        originals.append("".join(characters))
        copies.append("".join(characters[:kept] + others[kept:]))
    return originals, copies


@pytest.mark.parametrize("alphabet", [6, 10, 26, 20_000])
def test_pairs_share_a_band_as_often_as_their_similarity_says(alphabet: int) -> None:
    originals, copies = _planted(alphabet, 2_000, seed=alphabet)
    jaccard = np.array(
        [
            len(_windows(a) & _windows(b)) / len(_windows(a) | _windows(b))
            for a, b in zip(originals, copies, strict=True)
        ]
    )
    in_a_band = jaccard**4
    in_any = 1 - (1 - in_a_band) ** BANDS
    shared = _keys(originals) == _keys(copies)
    for low, high in [(0.0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1.0)]:
        which = (jaccard >= low) & (jaccard < high)
        assert np.count_nonzero(which) > 100
        assert shared[which].any(axis=1).mean() == pytest.approx(in_any[which].mean(), abs=0.06)
        assert shared[which].mean() == pytest.approx(in_a_band[which].mean(), abs=0.02)
    # No band is a copy of another, and none is left out.
    assert shared.mean(axis=0) == pytest.approx(np.full(BANDS, in_a_band.mean()), abs=0.05)


def test_unlike_documents_share_no_band() -> None:
    originals, _ = _planted(20_000, 2_000, seed=1)
    keys = _keys(originals)
    assert all(band_groups(keys[:, band]).members.size == 0 for band in range(BANDS))


def _as_lists(groups: Groups) -> list[list[int]]:
    ends = zip(groups.bounds[:-1], groups.bounds[1:], strict=True)
    return [groups.members[start:end].tolist() for start, end in ends]


_key = st.sampled_from([NO_KEY, 1, 2, 3, 2**31 - 1, 2**31, _WORD - 1, _WORD]) | st.integers(0, _WORD)


@settings(max_examples=300, deadline=None)
@given(st.lists(_key, max_size=60))
def test_groups_are_the_documents_that_share_a_key(keys: list[int]) -> None:
    members = defaultdict(list)
    for document, key in enumerate(keys):
        members[key].append(document)
    groups = band_groups(np.array(keys, np.uint32))
    assert [column.dtype.name for column in (groups.members, groups.bounds)] == ["int64", "int64"]
    assert groups.bounds[0] == 0
    assert groups.bounds[-1] == groups.members.size
    assert _as_lists(groups) == [members[key] for key in sorted(members) if key != NO_KEY and len(members[key]) > 1]


def test_the_groups_of_documents_in_another_order_are_the_same_but_for_their_numbers() -> None:
    generator = np.random.default_rng(2)
    keys = generator.integers(0, 3_000, 5_000).astype(np.uint32)
    order = generator.permutation(keys.size)
    renumbered = [sorted(order[group].tolist()) for group in _as_lists(band_groups(keys[order]))]
    assert renumbered == _as_lists(band_groups(keys))
    assert len(renumbered) > 1_000
