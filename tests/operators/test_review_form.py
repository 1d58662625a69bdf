"""What a form tells and asks the person before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.definitions.param import ParamsDict

from airflow_provider_autoglm.labeling.review import NONE_OF_THESE, Form, FormRow
from airflow_provider_autoglm.operators.review_form import fields_of, option_of, subject_of
from airflow_provider_autoglm.settings import LabelDefinition

LABELS = (
    LabelDefinition(
        name="fox", phrases=("a fox in the woods", "its den", "a phrase too long " * 8, "never shown, though short")
    ),
    LabelDefinition(name="dog"),
    LabelDefinition(name="owl", phrases=("y" * 200,)),
)
ROWS = (
    FormRow("row_00", "a" * 32, "One line.\n\n  \nThe next\nparagraph.", "A page", "https://example.com/1", "fox"),
    FormRow("row_01", "b" * 32, "w" * 100, None, None, None),
    FormRow(
        "row_02", "c" * 32, "A title that the text begins with", "A title", "https://example.com/" + "p" * 300, None
    ),
)
FORM = Form("file:///draw#form=2", 2, 7, "suspicious", ("fox", "dog", "owl", "old"), ROWS, "file:///draw", "abcdef0123")


def schemas(form: Form = FORM) -> dict[str, dict[str, Any]]:
    fields = fields_of(form, LABELS)
    return {name: fields.get_param(name).serialize() for name in fields}


def test_a_form_offers_every_class_and_none_of_them_by_their_names_alone() -> None:
    schema = schemas()["row_00"]["schema"]
    assert schema["enum"] == ["fox", "dog", "owl", "old", NONE_OF_THESE]
    assert "values_display" not in schema


def test_a_class_is_described_by_as_many_of_its_phrases_as_fit() -> None:
    fields = schemas()
    described = {name: field["schema"]["section"] for name, field in fields.items() if name.startswith("about_")}
    assert list(described) == ["about_form", "about_00", "about_02"]
    assert described["about_00"] == "fox: a fox in the woods; its den"
    assert described["about_02"].endswith("…")
    assert len(described["about_02"]) < 160


def test_the_text_is_the_heading_of_its_section_with_its_paragraphs_marked() -> None:
    headings = [field["schema"]["section"] for name, field in schemas().items() if not name.startswith("about_")]
    assert headings[0] == "■ 1. A page — One line. ¶ The next paragraph."
    assert headings[1].replace("\u200b", "") == f"■ 2. {'w' * 100}"
    assert max(map(len, headings[1].split("\u200b"))) < 50
    assert headings[2] == "■ 3. A title that the text begins with"
    assert len(set(headings)) == len(headings)


def test_a_long_address_is_cut() -> None:
    described = [schemas()[row.field]["description"] for row in ROWS]
    assert described[:2] == ["https://example.com/1", ""]
    assert described[2].endswith("…")


@pytest.mark.parametrize("review_set", ["sample", "suspicious"])
def test_the_heading_tells_why_something_is_preselected_or_not(review_set: Any) -> None:
    fields = schemas(replace(FORM, review_set=review_set))
    heading = fields["about_form"]["schema"]["section"]
    assert heading.startswith("Form 2 of 7, ")
    assert f"“{NONE_OF_THESE}”" in heading
    assert ("Nothing is preselected" in heading) == (review_set == "sample")
    assert fields["about_form"]["schema"]["const"] == fields["about_form"]["value"] == FORM.uri


def test_what_is_preselected_is_what_the_form_says() -> None:
    fields = fields_of(FORM, LABELS)
    assert isinstance(fields, ParamsDict)
    assert [fields.get_param(row.field).value for row in ROWS] == ["fox", None, None]


def test_subject_and_button_tell_forms_apart() -> None:
    assert subject_of(FORM, "news") == "Label 3 texts of news: suspicious labels, form 2 of 7"
    assert option_of(FORM) == "Submit form 2 · abcdef"
    assert option_of(replace(FORM, draw_digest="0" * 32)) != option_of(FORM)
