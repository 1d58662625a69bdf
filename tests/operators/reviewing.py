"""The review operators in a DAG of a user's own, with a reviewer beside it who answers what waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pyarrow as pa
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

from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.operators.review import AskReviewersOperator, DecideReviewOperator, DrawReviewOperator
from airflow_provider_autoglm.operators.run import finish_run
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
    """A DAG of the review tasks over ``source`` alone, and what they pushed; ``in_run`` is its run of a pipeline."""

    source: str
    folder: Path
    reviewer: Reviewer
    settings: dict[str, Any] = field(default_factory=lambda: dict(ASK))
    in_run: dict[str, Any] | None = None
    seen: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, str]:
        """Run it to its end; the state of each task."""

        @task
        def look(**pushed: Any) -> None:
            self.seen.update(pushed)

        common: dict[str, Any] = {"settings": self.settings, "label_settings": LABELS, "run": self.in_run}
        after: dict[str, Any] = {**common, "source": self.source, "trigger_rule": AFTER_SKIPPED}
        with DAG("own_review", schedule=None, default_args={"retries": 2}) as dag:
            draw: Any = DrawReviewOperator(task_id="draw", source=self.source, **self._place("draw"), **common)
            drawn = draw.output
            first = AskReviewersOperator.partial(task_id="ask", **common).expand(form=drawn).output
            decide: Any = DecideReviewOperator(
                task_id="decide", draws=[drawn["draw"]], answers=first, **self._place("review"), **after
            )
            decided = decide.output
            second = AskReviewersOperator.partial(task_id="ask_again", **common).expand(form=decided).output
            decide_again: Any = DecideReviewOperator(
                task_id="decide_again",
                draws=[drawn["draw"], decided["draw"]],
                answers=[first, second],
                earlier={"corpus": decided["corpus"], "verdict": decided["verdict"]},
                **self._place("review_again"),
                **after,
            )
            pushed = decide_again.output
            looked = look(corpus=pushed["corpus"], verdict=pushed["verdict"], first=decided["verdict"])
            if self.in_run is not None:
                stages = {each.task_id: each.folders for each in (draw, decide, decide_again)}
                looked >> finish_run({"run": self.in_run}, {}, stages).as_teardown()
        with self.reviewer.at_work():
            return states_after(dag)

    def _place(self, name: str) -> dict[str, Any]:
        return {"destination": f"{self.folder}/{name}"} if self.in_run is None else {}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is to be published."""
        return list(Corpus.open(self.seen["corpus"]).to_table().to_pylist())
