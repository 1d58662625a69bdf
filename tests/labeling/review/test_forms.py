from __future__ import annotations

import pytest

from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, FormNotFoundError
from airflow_provider_autoglm.labeling.review import Form, forms_of, open_form
from tests.labeling.review.conftest import Checks, drawn, forms, row, rows


def test_the_forms_of_a_draw_hold_each_text_once_in_its_place(checks: Checks) -> None:
    draw = checks.draw(checks.corpus(rows(100)), form_texts=10).uri
    found = forms(draw)
    assert [form.uri for form in found] == forms_of(draw) == [f"{draw}#form={n}" for n in range(1, len(found) + 1)]
    assert [(form.number, form.count) for form in found] == [(n, len(found)) for n in range(1, len(found) + 1)]
    shown = [(asked.doc_id, asked.text, asked.title, asked.url) for form in found for asked in form.rows]
    assert shown == [(each["doc_id"], each["text"], each["title"], each["url"]) for each in drawn(draw)]
    assert [asked.field for asked in found[0].rows] == [f"row_{place:02d}" for place in range(len(found[0].rows))]


def test_only_a_suspicious_text_has_its_label_selected_beforehand(checks: Checks) -> None:
    content = [
        row(number, None if number < 3 else "ab"[number % 2], label_margin=number / 300) for number in range(300)
    ]
    sample, suspicious = (
        [form for form in forms(checks.draw(checks.corpus(content), suspicious_texts=6).uri) if form.review_set == name]
        for name in ("sample", "suspicious")
    )
    assert {asked.prefilled for form in sample for asked in form.rows} == {None}
    assert len(suspicious) == 1
    by_text = {asked.text: asked.prefilled for asked in suspicious[0].rows}
    labels = {each["text"]: each["label"] for each in content}
    assert by_text == {text: labels[text] for text in by_text}
    assert list(by_text.values()).count(None) == 3


def test_the_answers_are_the_labels_of_the_settings_and_those_that_texts_have(checks: Checks) -> None:
    form: Form = forms(checks.draw(checks.corpus([row(0, "z"), row(1, "b"), row(2, "y"), row(3, None)])).uri)[0]
    assert form.labels == ("a", "b", "y", "z")


@pytest.mark.parametrize(
    "fragment", ["", "#form=0", "#form=2", "#form=x", "#form=01", "#shards=0-0", f"#form={'9' * 30}"]
)
def test_a_form_that_is_not_there_is_refused(checks: Checks, fragment: str) -> None:
    draw = checks.draw(checks.corpus(rows(10))).uri
    with pytest.raises(FormNotFoundError, match="its number from 1"):
        open_form(f"{draw}{fragment}")


def test_a_draw_that_is_not_there_is_refused(checks: Checks) -> None:
    with pytest.raises(CorpusNotCommittedError):
        open_form(f"{checks.uri('draw')}#form=1")


def test_a_draw_of_nothing_has_no_forms(checks: Checks) -> None:
    assert forms_of(checks.draw(checks.corpus([])).uri) == []
