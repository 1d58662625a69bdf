from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from airflow_provider_autoglm.corpus.schema import document_id
from demo.circle import MIN_HELD_OUT, MIN_ROWS_FROM_TRAFFIC
from demo.docstrings import KEPT_FROM_THE_SITE, KNOWN_AREAS, NEW_AREA, sample_area
from demo.texts import ClientTexts, Text, as_before, read_texts, shuffled, unlike, with_the_new_area

_PAGES_PER_AREA = 200


@pytest.fixture(scope="module")
def texts() -> ClientTexts:
    return ClientTexts.choose()


def test_there_are_enough_texts_of_each_kind_and_area(texts: ClientTexts) -> None:
    assert {text.area for text in texts.known} == {text.area for text in texts.held_out_known} == set(KNOWN_AREAS)
    assert {text.area for text in (*texts.new, *texts.held_out_new)} == {NEW_AREA}
    assert min(len(texts.held_out_known), len(texts.held_out_new)) >= MIN_HELD_OUT
    assert len(texts.new) > 5 * MIN_ROWS_FROM_TRAFFIC


def test_no_text_held_out_is_sent(texts: ClientTexts) -> None:
    sent = {text.text for text in (*texts.known, *texts.new)}
    assert not sent & {text.text for text in (*texts.held_out_known, *texts.held_out_new)}


def test_the_site_finds_enough_docstrings_beyond_those_kept_from_it() -> None:
    for area in KNOWN_AREAS:
        kept = {docstring.name for docstring in sample_area(area, KEPT_FROM_THE_SITE)}
        on_pages = {docstring.name for docstring in sample_area(area, _PAGES_PER_AREA, skip=KEPT_FROM_THE_SITE)}
        assert (len(kept), len(on_pages)) == (KEPT_FROM_THE_SITE, _PAGES_PER_AREA)
        assert not kept & on_pages


def test_a_text_is_what_the_crawl_reads_on_its_page() -> None:
    (docstring,) = sample_area("tables", 1)
    (text,) = read_texts("tables", 1)
    assert text.text.split()[:5] == docstring.text.split()[:5]
    assert "See also" not in text.text


def test_a_candidate_that_is_nearly_one_of_the_others_is_left_out() -> None:
    sentence = "A draft of the manual says how a table is read, joined with another and written to a file again. " * 4
    other = "The scheduler wakes every few seconds and starts whatever task instance has all its dependencies met. " * 4
    candidates = [Text(sentence, "tables"), Text(other, "workflows")]
    assert unlike(candidates, [Text(sentence + "Quickly.", "tables")]) == candidates[1:]
    assert unlike([*candidates, candidates[0]], []) == [*candidates, candidates[0]]


def test_each_pass_asks_everything_once_in_another_order() -> None:
    passes = list(islice(shuffled(range(50)), 150))
    assert [sorted(passes[first : first + 50]) for first in (0, 50, 100)] == [list(range(50))] * 3
    assert passes[:50] != passes[50:100]
    assert list(islice(shuffled(range(50)), 150)) == passes


def test_clients_ask_about_the_known_areas_and_tell_nothing(texts: ClientTexts) -> None:
    asked = list(islice(as_before(texts), 2 * len(texts.known)))
    assert Counter(question.text for question in asked) == Counter(text.text for text in texts.known * 2)
    assert {question.feedback for question in asked} == {None}


def test_then_half_of_it_is_new_and_of_three_in_ten_the_true_area_is_told(texts: ClientTexts) -> None:
    areas = {text.text: text.area for text in (*texts.known, *texts.new)}
    asked = list(islice(with_the_new_area(texts), 2_000))
    told = [question for question in asked if question.feedback is not None]
    assert 900 < sum(areas[question.text] == NEW_AREA for question in asked) < 1_100
    assert 500 < len(told) < 700
    assert all(question.feedback == areas[question.text] for question in told)
    assert 200 < sum(question.feedback == NEW_AREA for question in told) < 400


def test_the_area_of_a_collected_document_is_found_by_its_id(texts: ClientTexts) -> None:
    areas = texts.area_by_document()
    assert areas[document_id("traffic", f"  {texts.new[0].text}\n")] == NEW_AREA
    assert areas[document_id("traffic", texts.known[0].text)] == texts.known[0].area
    assert document_id("traffic", texts.held_out_new[0].text) not in areas
