from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import StorageError
from airflow_provider_autoglm.labeling.review import NONE_OF_THESE, Form, keep_answers
from airflow_provider_autoglm.labeling.review.answers import Answers, read_answers
from tests.labeling.review.conftest import Checks, forms, rows


@pytest.fixture
def form(checks: Checks) -> Form:
    return forms(checks.draw(checks.corpus(rows(4))).uri)[0]


def kept(uri: str) -> Answers:
    return read_answers(uri, Storage.local())


def test_what_was_answered_is_kept_beside_the_draw(form: Form) -> None:
    given = {"row_00": "a", "row_01": NONE_OF_THESE, "row_02": None}
    uri = keep_answers(form, given, answered_by="Ada\n Lovelace")
    found = kept(uri)
    assert uri.startswith(f"{form.draw_uri}/")
    assert (found.draw_digest, found.form, found.is_given, found.answered_by) == (
        form.draw_digest,
        1,
        True,
        "Ada Lovelace",
    )
    assert [(answer.outcome, answer.label, answer.problem) for answer in found.answers] == [
        ("label", "a", ""),
        ("none_of_these", None, ""),
        ("not_answered", None, ""),
        ("not_answered", None, ""),
    ]
    assert [answer.doc_id for answer in found.answers] == [asked.doc_id for asked in form.rows]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("c", "no label of this form: c"),
        ("A", "no label of this form: A"),
        ("\ud800\x00", "no label of this form: \ufffd␀"),
        ("x" * 5_000, f"no label of this form: {'x' * 100}"),
        (["a"], "no text, but list"),
        (1, "no text, but int"),
        (True, "no text, but bool"),
        ({"a": float("nan")}, "no text, but dict"),
        ("", ""),
    ],
)
def test_what_is_no_label_is_no_answer_and_the_reason_is_kept(form: Form, value: Any, problem: str) -> None:
    found = kept(keep_answers(form, {"row_00": value, "row_01": "b"}))
    assert [answer.outcome for answer in found.answers] == ["not_answered", "label", "not_answered", "not_answered"]
    assert found.answers[0].problem == problem


@pytest.mark.parametrize("given", [["a", "b"], "a", 7])
def test_what_is_no_set_of_fields_answers_nothing(form: Form, given: Any) -> None:
    found = kept(keep_answers(form, given))
    assert {answer.problem for answer in found.answers} == {f"no fields, but {type(given).__name__}"}


def test_fields_that_the_form_has_not_are_named_and_their_values_dropped(form: Form) -> None:
    strange: dict[Any, Any] = {"row_04": "a", "\ud800": "secret", 5: "a", **{f"more_{n}": "a" for n in range(100)}}
    uri = keep_answers(form, {"row_00": "a", **strange})
    found = kept(uri)
    assert found.unknown_fields[:3] == ("row_04", "\ufffd", "5")
    assert len(found.unknown_fields) == 25
    assert "secret" not in Storage.local().read(uri).decode()


def test_the_first_answer_is_final(form: Form) -> None:
    first = keep_answers(form, {"row_00": "a"}, answered_by="first")
    second = keep_answers(form, {"row_00": "b"}, answered_by="second")
    nobody = keep_answers(form, None)
    assert first == second == nobody
    assert (kept(first).answered_by, kept(first).answers[0].label) == ("first", "a")


def test_of_many_answers_at_once_one_is_kept_and_all_get_it(form: Form) -> None:
    with ThreadPoolExecutor(8) as pool:
        uris = list(pool.map(lambda number: keep_answers(form, {"row_00": "ab"[number % 2]}), range(16)))
    assert len(set(uris)) == 1
    assert kept(uris[0]).answers[0].outcome == "label"


def test_that_nobody_answered_in_time_is_kept_and_gives_way_to_an_answer(form: Form) -> None:
    nobody = keep_answers(form, None)
    assert keep_answers(form, None) == nobody
    assert not kept(nobody).is_given
    assert {answer.outcome for answer in kept(nobody).answers} == {"not_answered"}
    late = keep_answers(form, {"row_00": "a"})
    assert late != nobody
    assert kept(late).answers[0].label == "a"


def test_who_answered_and_when_does_not_change_what_a_stage_reads(form: Form, checks: Checks) -> None:
    other = forms(checks.draw(checks.corpus(rows(4))).uri)[0]
    assert other.draw_digest == form.draw_digest
    one, two = (kept(keep_answers(each, {"row_00": "a"}, answered_by=each.uri)) for each in (form, other))
    assert one.as_input("x").digest == two.as_input("x").digest
    assert kept(keep_answers(form, None)).as_input("x").digest == one.as_input("x").digest


@pytest.mark.parametrize("content", [b"", b"{}", b'{"draw_uri": 1}', b"\xff"])
def test_damaged_answers_say_what_to_do(checks: Checks, content: bytes) -> None:
    uri = checks.uri("answers.json")
    Storage.local().create(uri, content)
    with pytest.raises(StorageError, match="delete the file and answer the form again"):
        kept(uri)


def test_answers_that_are_gone_say_what_to_do(checks: Checks) -> None:
    with pytest.raises(StorageError, match="there are none; answer the form again"):
        kept(checks.uri("answers.json"))


def test_they_are_json_that_a_person_can_read(form: Form) -> None:
    content = json.loads(Storage.local().read(keep_answers(form, {"row_00": "a"})))
    assert content["answers"][0] == {"doc_id": form.rows[0].doc_id, "outcome": "label", "label": "a", "problem": ""}
