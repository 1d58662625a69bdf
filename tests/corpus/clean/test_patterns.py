from __future__ import annotations

import re
import signal
import threading

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.clean.patterns import matches, replace_pattern, runs_in_python
from airflow_provider_autoglm.corpus.clean.python_rules import for_each_text, replacer
from airflow_provider_autoglm.corpus.clean.translation import translate
from airflow_provider_autoglm.exceptions import RuleTooSlowError

CHARACTERS = "aAk\u004bsSiIzZ019_ \n.-[]{^\\éÉß\u0131\u0130\u017f\u004b\u00bd²٣中あ\u00a0\u0301\u2028🙂"
ATOMS = [
    *"akszAI0_ .é中-",
    r"\w",
    r"\W",
    r"\d",
    r"\D",
    r"\s",
    r"\S",
    r"[a-k]",
    r"[^a-k\n]",
    r"[\w.-]",
    r"[^\W\d_]",
    r"[^\S\n]",
    r"[\b\x7f]",
    r"[][a]",
    r"[^]a]",
    r"[\]\[^]",
    r"\.",
    r"\[",
    r"\u00e9",
    r"[\u4e00-\u9fff]",
    r"\n",
    r"\x41",
    r"\b",
    "^",
    "$",
    r"\Z",
    r"\A",
]
TEXTS = st.text(CHARACTERS, max_size=12)


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    some = st.lists(parts, min_size=1, max_size=3)
    quantified = st.tuples(parts, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{,2}", "*?", "+?"]))
    return st.one_of(
        some.map("".join),
        some.map("|".join).map("(?:{})".format),
        some.map("".join).map("({})".format),
        quantified.map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    )


PATTERNS = st.tuples(
    st.sampled_from(["", "(?i)", "(?m)", "(?s)", "(?im)"]), st.recursive(st.sampled_from(ATOMS), joined, max_leaves=5)
).map("".join)


@settings(max_examples=400, deadline=None)
@given(PATTERNS, st.lists(st.none() | TEXTS, min_size=1, max_size=5))
@example(r"(?i)i", ["\u0130", "\u0131", "I"])
@example("(?i)\u00e9", ["\u00c9", "e"])
@example("a$", ["a\n", "a"])
@example(r"a*", ["baac", "é"])
@example(r"a|\b", ["a b", ""])
@example(r"\bcaf\b", ["café", "caf"])
def test_the_result_is_that_of_re_on_every_text(pattern: str, texts: list[str | None]) -> None:
    compiled = re.compile(pattern)
    column = pa.array(texts, pa.string())

    found = matches(column, pattern, rule="any").to_pylist()
    assert found == [text is not None and bool(compiled.search(text)) for text in texts]
    replaced = replace_pattern(column, pattern, r"<\0>", rule="any").to_pylist()
    assert replaced == [None if text is None else compiled.sub(r"<\g<0>>", text) for text in texts]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\w+", "naïve 中文 \u00bd x̀"),
        (r"\s", "a\u2009b\u3000c"),
        (r"\d", "٣ 3"),
        (r"[^\W\d_]+", "Ünï_1"),
        (r"\u00e9", "é"),
    ],
)
def test_shorthand_classes_mean_what_python_says_and_run_in_re2(pattern: str, text: str) -> None:
    assert not runs_in_python(pattern)
    assert replace_pattern(pa.array([text]), pattern, "-", rule="any").to_pylist() == [re.sub(pattern, "-", text)]


@pytest.mark.parametrize("pattern", [r"(?=a)", r"(?<!b)a", r"(a)\1", r"\Ba", r"(?>a)", "a{1001}", "(?i)\u0130"])
def test_a_pattern_that_re2_cannot_take_runs_in_python(pattern: str) -> None:
    assert runs_in_python(pattern)
    assert matches(pa.array(["aa" * 600, "x"]), pattern, rule="any").to_pylist() == [
        bool(re.search(pattern, "aa" * 600)),
        bool(re.search(pattern, "x")),
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [(r"\p{Greek}+", "-b"), (r"[[:alpha:]]", "\u03b1\u03b2-"), (r"\x{3b1}", "-\u03b2b"), (r"a|(?i)B", "\u03b1\u03b2-")],
)
def test_a_pattern_that_only_re2_understands_means_what_re2_says(pattern: str, expected: str) -> None:
    assert translate(pattern).python is None
    assert replace_pattern(pa.array(["\u03b1\u03b2b"]), pattern, "-", rule="any").to_pylist() == [expected]


@pytest.mark.parametrize("pattern", ["(open", "*", r"[[:alpha:]](?=x)"])
def test_a_pattern_that_nobody_understands_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        translate(pattern)


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_groups_in_a_replacement_mean_the_same_in_both(texts: list[str]) -> None:
    pattern = r"([a-z]+)( ?)([0-9]*)"
    by_re2 = replace_pattern(pa.array(texts), pattern, r"\3\\1\2\0", rule="any").to_pylist()

    assert by_re2 == [replacer(re.compile(pattern), r"\3\\1\2\0")(text) for text in texts]


def test_a_pattern_that_backtracks_for_ever_is_stopped() -> None:
    pattern = re.compile(r"(a+)+\1b")

    with pytest.raises(RuleTooSlowError, match=r"rule 'endless' took more than 0\.05 s") as raised:
        for_each_text(lambda text: bool(pattern.search(text)), ["fine", "a" * 60], rule="endless", limit_s=0.05)
    assert (raised.value.rule, raised.value.retry_can_help) == ("endless", False)
    assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_outside_of_the_main_thread_rules_run_without_a_limit() -> None:
    found: list[list[int | None]] = []
    thread = threading.Thread(target=lambda: found.append(for_each_text(len, ["ab", None], rule="any")))
    thread.start()
    thread.join()

    assert found == [[2, None]]
