"""The review operators in a DAG of a user's own, with a reviewer beside it who answers what waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pyarrow as pa
import pytest
from airflow.models import import_all_models
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import handle_event_submit
from airflow.sdk import DAG, task
from airflow.sdk.timezone import utcnow
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import configure_mappers

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError
from airflow_provider_autoglm.labeling.review import NONE_OF_THESE, Form, draw, forms_of, open_form
from airflow_provider_autoglm.labeling.review.answers import Answers, read_answers
from airflow_provider_autoglm.operators.review import AskReviewersOperator, DecideReviewOperator, DrawReviewOperator
from airflow_provider_autoglm.operators.review_form import option_of
from airflow_provider_autoglm.settings import LabelSettings, ReviewSettings
from tests.dags.running import states_after

LABELS: dict[str, Any] = {"kind": "nli", "labels": [{"name": "fox", "phrases": ["a fox"]}, {"name": "dog"}]}
ASK: dict[str, Any] = {
    "mode": "ask",
    "margin": 0.25,
    "expected_accuracy": 0.5,
    "target_accuracy": 0.5,
    "form_texts": 6,
    "suspicious_texts": 0,
}
ROWS = 60
WRONG = 12
AFTER_SKIPPED = "none_failed_min_one_success"

Says = Callable[[dict[str, Any]], Any]


def truth_of(text: str) -> str:
    return "fox" if "fox" in text else "dog"


def write_labelled(uri: str, rows: int = ROWS) -> str:
    """Texts of foxes and dogs, of which the first dozen are labelled wrongly."""
    texts = [f"Number {number} is about a {('fox', 'dog')[number % 2]}." for number in range(rows)]
    other = {"fox": "dog", "dog": "fox"}
    labels = [other[truth_of(text)] if number < WRONG else truth_of(text) for number, text in enumerate(texts)]
    columns = {
        "doc_id": [f"{number:032x}" for number in range(rows)],
        "text": texts,
        "title": [f"Page {number}" for number in range(rows)],
        "url": [f"https://example.com/{number}" for number in range(rows)],
        "label": labels,
        "label_score": pa.array([0.9] * rows, pa.float32()),
        "label_margin": pa.array([0.8] * rows, pa.float32()),
        "uncertainty": pa.array([0.1] * rows, pa.float32()),
        "labeler": ["nli"] * rows,
        "label_source": ["auto"] * rows,
    }
    write_corpus(uri, [pa.table(columns)], stage="label")
    return uri


@dataclass
class Reviewer:
    """Answers every form that waits, in the database as Airflow's API does; ``asked`` are the requests."""

    says: Says
    asked: list[HITLDetail] = field(default_factory=list)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        # Here, since two threads that import Airflow's models at once wait for each other.
        import_all_models()  # type: ignore[no-untyped-call]
        configure_mappers()
        over = Event()
        thread = Thread(target=self._answer_until, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def fields(self) -> list[dict[str, Any]]:
        """The fields of all forms that stand for a text."""
        return [shown for detail in self.asked for name, shown in detail.params.items() if name.startswith("row_")]

    def _answer_until(self, over: Event) -> None:
        waiting = select(TaskInstance).where(TaskInstance.state == "awaiting_input")
        while not over.wait(0.2):
            with create_session() as session:
                for instance in session.scalars(waiting).all():
                    detail = session.scalars(select(HITLDetail).where(HITLDetail.ti_id == instance.id)).one()
                    self._answer(detail)
                    answered = TriggerEvent(detail.as_resume_event_payload())  # type: ignore[no-untyped-call]
                    handle_event_submit(answered, task_instance=instance, session=session)

    def _answer(self, detail: HITLDetail) -> None:
        texts = {name: shown for name, shown in detail.params.items() if name.startswith("row_")}
        detail.responded_at, detail.chosen_options = utcnow(), list(detail.options)
        detail.params_input = {name: self.says(shown) for name, shown in texts.items()}
        self.asked.append(HITLDetail(subject=detail.subject, options=detail.options, params=detail.params))


def tells_the_truth(shown: dict[str, Any]) -> str:
    return truth_of(shown["schema"]["section"])


@dataclass
class Review:
    """A DAG of the review tasks over ``source`` alone, and what they pushed."""

    source: str
    folder: Path
    reviewer: Reviewer
    settings: dict[str, Any]
    seen: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, str]:
        """Run it to its end; the state of each task."""

        @task
        def look(**pushed: Any) -> None:
            self.seen.update(pushed)

        common: dict[str, Any] = {"settings": self.settings, "label_settings": LABELS}
        after: dict[str, Any] = {**common, "source": self.source, "trigger_rule": AFTER_SKIPPED}
        with DAG("own_review", schedule=None, default_args={"retries": 2}) as dag:
            drawn: Any = DrawReviewOperator(
                task_id="draw", source=self.source, destination=f"{self.folder}/draw", **common
            ).output
            first = AskReviewersOperator.partial(task_id="ask", **common).expand(form=drawn).output
            decided: Any = DecideReviewOperator(
                task_id="decide",
                draws=[drawn["draw"]],
                answers=first,
                destination=f"{self.folder}/review",
                **after,
            ).output
            second = AskReviewersOperator.partial(task_id="ask_again", **common).expand(form=decided).output
            decided_again: Any = DecideReviewOperator(
                task_id="decide_again",
                draws=[drawn["draw"], decided["draw"]],
                answers=[first, second],
                earlier={"corpus": decided["corpus"], "verdict": decided["verdict"]},
                destination=f"{self.folder}/review_again",
                **after,
            ).output
            look(corpus=decided_again["corpus"], verdict=decided_again["verdict"], first=decided["verdict"])
        with self.reviewer.at_work():
            return states_after(dag)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is to be published."""
        return list(Corpus.open(self.seen["corpus"]).to_table().to_pylist())


@pytest.fixture
def review(airflow_home: Path, tmp_path: Path) -> Review:
    return Review(write_labelled(f"{tmp_path}/label"), tmp_path, Reviewer(tells_the_truth), dict(ASK))


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
