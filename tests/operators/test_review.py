"""What the review operators do with people's answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError
from airflow_provider_autoglm.labeling.review import NONE_OF_THESE, Form, draw, forms_of, open_form
from airflow_provider_autoglm.labeling.review.answers import Answers, read_answers
from airflow_provider_autoglm.operators.review import AskReviewersOperator
from airflow_provider_autoglm.operators.review_form import option_of
from airflow_provider_autoglm.settings import LabelSettings, ReviewSettings
from tests.operators.reviewing import ASK, LABELS, ROWS, Review, Reviewer, tells_the_truth, truth_of, write_labelled


@pytest.fixture
def review(airflow_home: Path, tmp_path: Path) -> Review:
    return Review(write_labelled(f"{tmp_path}/label"), tmp_path, Reviewer(tells_the_truth))


def test_what_people_say_passes_the_corpus_and_corrects_it(review: Review) -> None:
    states = review.run()
    assert states.pop("ask_again") == "skipped"
    assert set(states.values()) == {"success"}
    verdict = review.seen["verdict"]
    assert verdict["outcome"] == "passed"
    assert verdict["asked"] == verdict["answered"] == len(review.reviewer.fields)
    by_people = [row for row in review.rows if row["label_source"] == "human"]
    assert len(by_people) == verdict["asked"] < ROWS == len(review.rows)
    assert all(row["label"] == truth_of(row["text"]) for row in by_people)
    manifest = Corpus.open(review.seen["corpus"]).manifest
    assert manifest.review is not None
    assert manifest.review.accuracy == verdict["estimate"]["accuracy"]


def test_labels_below_the_target_fail_at_once_with_their_estimate(
    review: Review, capsys: pytest.CaptureFixture[str]
) -> None:
    review.reviewer.says = lambda shown: NONE_OF_THESE
    states = review.run()
    assert (states["decide"], states["decide_again"]) == ("failed", "upstream_failed")
    said = capsys.readouterr().out
    assert "ReviewFailedError" in said
    assert "the estimated share of right labels is 0.000" in said
    assert f"{review.folder}/draw/_answers" in said
    with pytest.raises(CorpusNotCommittedError):
        Corpus.open(f"{review.folder}/review")


def test_answers_that_decide_nothing_are_followed_by_a_second_round(review: Review) -> None:
    review.settings["target_accuracy"] = 0.7
    states = review.run()
    assert states["ask_again"] == "success"
    assert review.seen["first"]["outcome"] == "again"
    verdict = review.seen["verdict"]
    assert (verdict["rounds"], verdict["asked"] > review.seen["first"]["asked"]) == (2, True)
    asked = [shown["description"] for shown in review.reviewer.fields]
    assert len(asked) == len(set(asked)) == verdict["asked"]
    assert review.seen["corpus"].endswith("/review_again")
    assert all(row["label"] == truth_of(row["text"]) for row in review.rows if row["label_source"] == "human")


def test_with_review_off_nobody_is_asked_and_nothing_is_copied(review: Review) -> None:
    review.settings["mode"] = "off"
    states = review.run()
    assert (states["ask"], states["ask_again"]) == ("skipped", "skipped")
    assert (states["draw"], states["decide"], states["decide_again"]) == ("success", "success", "success")
    assert review.reviewer.asked == []
    assert review.seen["corpus"] == review.source
    assert review.seen["verdict"] == {"outcome": "unreviewed"}
    assert [entry.name for entry in review.folder.iterdir()] == ["label"]


def test_answers_outside_the_form_count_as_none(review: Review) -> None:
    strange = iter([["fox"], 3, "cat", {"label": "fox"}, "", None] * 20)
    review.settings |= {"on_no_answer": "pass", "min_answered": 0.1}
    review.reviewer.says = lambda shown: next(strange)
    states = review.run()
    assert states["ask"] == states["decide"] == "success"
    assert (review.seen["verdict"]["outcome"], review.seen["verdict"]["answered"]) == ("unreviewed", 0)
    assert {row["label_source"] for row in review.rows} == {"auto"}


@pytest.fixture
def form(tmp_path: Path) -> Form:
    """A form of a draw, with no task around it."""
    source = write_labelled(f"{tmp_path}/label")
    drawn = draw(source, f"{tmp_path}/draw", ReviewSettings.parse(ASK), LabelSettings.parse(LABELS))
    return open_form(forms_of(drawn.uri)[0])


def kept(form: Form, event: Mapping[str, Any]) -> Answers:
    """What the task keeps when Airflow resumes it with ``event``."""
    with DAG("own_form", schedule=None):
        asking = AskReviewersOperator(task_id="ask", form=form.uri, settings=ASK, label_settings=LABELS)
    return read_answers(asking.execute_complete({}, event), Storage.local())


def answer_of(form: Form, label: str | None, **more: Any) -> dict[str, Any]:
    given = {row.field: label for row in form.rows}
    return {"chosen_options": [option_of(form)], "params_input": {"about_form": form.uri, **given}, **more}


def test_who_has_answered_is_kept_with_the_answers(form: Form) -> None:
    answers = kept(form, answer_of(form, "dog", responded_by_user={"id": "7", "name": "Ada"}))
    assert answers.answered_by == "Ada"
    assert {answer.label for answer in answers.answers} == {"dog"}
    assert answers.unknown_fields == ()


def test_a_task_that_was_killed_after_it_kept_the_answers_keeps_the_first(form: Form) -> None:
    first = kept(form, answer_of(form, "dog"))
    assert kept(form, answer_of(form, "fox")) == first


def test_nobodys_answer_in_time_is_kept_until_somebody_answers(form: Form) -> None:
    nobody = kept(form, {"error": "no response in time", "error_type": "timeout"})
    assert not nobody.is_given
    assert kept(form, answer_of(form, "fox")).is_given


def test_an_answer_to_the_form_of_an_earlier_draw_counts_for_nothing(form: Form, tmp_path: Path) -> None:
    more = write_labelled(f"{tmp_path}/more", ROWS + 20)
    drawn = draw(more, form.draw_uri, ReviewSettings.parse(ASK), LabelSettings.parse(LABELS))
    newer = open_form(forms_of(drawn.uri)[0])
    assert newer.uri == form.uri
    assert not kept(newer, answer_of(form, "fox")).is_given
    assert kept(newer, answer_of(newer, "fox")).is_given
