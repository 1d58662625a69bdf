"""Let people check labels: draw texts, ask people for their classes, decide whether the labels are good enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context

from airflow_provider_autoglm.operators.base import CorpusOperator, airflow_errors
from airflow_provider_autoglm.settings import LabelSettings, ReviewSettings, RunReference

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.storage import Storage
    from airflow_provider_autoglm.labeling.review import Form, ReviewResult
    from airflow_provider_autoglm.operators.stage_run import StageRun

CORPUS = "corpus"
VERDICT = "verdict"
DRAW = "draw"
_SUBMIT = "Submit"
_AGAIN = "_again"


class DrawReviewOperator(CorpusOperator):
    """Draw the texts that people are to label: a random sample, and labels that look wrong.

    Returns the URIs of the forms, to map :class:`AskReviewersOperator` over; none if ``review.mode`` is off. Pushes the
    URI of the draw as XCom ``draw``, empty if nothing was drawn.

    :param label_settings: :class:`~airflow_provider_autoglm.settings.LabelSettings` or its dict: the classes.
        Templated.
    """

    stage = "review_draw"
    settings_key = "review"
    settings_model = ReviewSettings
    template_fields: Sequence[str] = ("label_settings", *CorpusOperator.template_fields)

    def __init__(self, *, label_settings: LabelSettings | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_settings = label_settings

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the run in which the task may commit a corpus, for ``finish_run``."""
        return (self.stage,)

    def execute(self, context: Context) -> list[str]:
        """Draw, unless nobody is to be asked, and log."""
        with airflow_errors():
            run = _run_of(self.run)
            settings = _settings_of(self.settings, run)
            if settings.mode == "off":
                context["ti"].xcom_push(DRAW, "")
                return []

            from airflow_provider_autoglm.corpus.manifest import read_manifest
            from airflow_provider_autoglm.labeling.review import draw, forms_of
            from airflow_provider_autoglm.operators.stage_run import StageRun

            place = StageRun(self, context, run, self.stage, {})
            drawn = draw(
                self.source,
                place.destination(self.destination),
                settings,
                _labels_of(self.label_settings, run),
                storage=place.storage,
                provenance=place.provenance,
            )
            # Logged under what decided the draw, by which a catch-up finds the child run again.
            record = read_manifest(drawn.uri, place.storage).settings
            with StageRun(self, context, run, self.stage, record) as stage_run:
                stage_run.log_corpus(drawn.uri)
            context["ti"].xcom_push(DRAW, drawn.uri)
            return forms_of(drawn.uri, storage=place.storage)


class AskReviewersOperator(HITLOperator):
    """Wait for a person who labels the texts of one form on the Required Actions page, or by REST.

    The form is built when the task runs. While it waits the task holds no worker and no triggerer. What is answered is
    validated and kept beside the draw; the first answer to a form is final. Nobody's answer in time is kept as such,
    and the task succeeds: the decision that follows judges it.

    :param form: URI of the form, from ``expand(form=draw.output)``. Templated.
    :param settings: :class:`~airflow_provider_autoglm.settings.ReviewSettings` or its dict. Templated.
    :param label_settings: :class:`~airflow_provider_autoglm.settings.LabelSettings` or its dict: the phrases of the
        classes. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    :param kwargs: further ones of ``HITLOperator``: ``assigned_users`` are those who may answer, ``notifiers`` tell
        them.
    """

    template_fields: Sequence[str] = ("form", "settings", "label_settings", "run")

    def __init__(
        self,
        *,
        form: str,
        settings: ReviewSettings | Mapping[str, Any],
        label_settings: LabelSettings | Mapping[str, Any],
        run: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"subject": "Label texts", "options": [_SUBMIT], **kwargs})
        self.form = form
        self.settings = settings
        self.label_settings = label_settings
        self.run = run

    def execute(self, context: Context) -> Any:
        """Put the form together and wait, also if its task was cleared; what was answered first stays."""
        from airflow_provider_autoglm.operators.review_form import fields_of, option_of, subject_of

        with airflow_errors():
            run, form = self._open()
            settings = _settings_of(self.settings, run)
            labels = _labels_of(self.label_settings, run).labels
        self.subject = subject_of(form, run.pipeline if run is not None else context["dag"].dag_id)
        self.options = [option_of(form)]
        self.params = fields_of(form, labels)
        if settings.on_no_answer != "wait":
            self.response_timeout = timedelta(hours=settings.timeout_hours)
        return super().execute(context)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> str:
        """Keep what was answered, or that nobody has; returns where."""
        from airflow_provider_autoglm.labeling.review import keep_answers

        with airflow_errors():
            run, form = self._open()
            user = event.get("responded_by_user") or {}
            return keep_answers(
                form, self._given(form, event), answered_by=str(user.get("name", "")), storage=_storage_of(run)
            )

    def _open(self) -> tuple[RunReference | None, Form]:
        from airflow_provider_autoglm.labeling.review import open_form

        run = _run_of(self.run)
        return run, open_form(self.form, storage=_storage_of(run))

    def _given(self, form: Form, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """What stands in the fields; None if nobody answered, or if other texts were shown than those of ``form``."""
        from airflow_provider_autoglm.operators.review_form import HIDDEN, option_of

        if "error" in event:
            self.log.warning("%s: nobody has answered in time", form.uri)
            return None
        if event.get("chosen_options") != [option_of(form)]:
            self.log.error(
                "%s: the answer is to a form of an earlier draw and counts for nothing; Airflow keeps the first form "
                "of a task, so have the texts of this draw labelled in another run",
                form.uri,
            )
            return None
        given = event.get("params_input") or {}
        return {name: value for name, value in given.items() if not name.startswith(HIDDEN)}


class DecideReviewOperator(CorpusOperator):
    """Decide by what people answered whether the labels are good enough, and put their corrections in.

    Returns the URIs of the forms of a second round, to ask once more; usually none. Pushes as XCom ``corpus`` the
    corpus to publish, ``verdict`` what was found, and ``draw`` the second draw, empty if there is none. With
    ``review.mode`` off the source is what is published, untouched.

    :param draws: URIs of the draws; empty ones are passed over. Templated.
    :param answers: what the tasks returned that asked, in lists of any depth. Templated.
    :param label_settings: :class:`~airflow_provider_autoglm.settings.LabelSettings` or its dict: the classes.
        Templated.
    :param earlier: ``corpus`` and ``verdict`` of the decision that this one follows: if that was final it is handed on.
        Templated.
    :raises ReviewFailedError: if the labels are not good enough; no retry can help.
    """

    stage = "review"
    settings_model = ReviewSettings
    template_fields: Sequence[str] = ("draws", "answers", "label_settings", "earlier", *CorpusOperator.template_fields)

    def __init__(
        self,
        *,
        draws: Sequence[str],
        answers: Any,
        label_settings: LabelSettings | Mapping[str, Any],
        earlier: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.draws = draws
        self.answers = answers
        self.label_settings = label_settings
        self.earlier = earlier

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the run in which the task may commit a corpus, for ``finish_run``."""
        if self.earlier is not None:
            return (f"{self.stage}{_AGAIN}",)
        return (self.stage, f"{DrawReviewOperator.stage}{_AGAIN}")

    def execute(self, context: Context) -> list[str]:
        """Judge, log, and ask for more where that decides."""
        with airflow_errors():
            earlier = self.earlier
            if earlier is not None and earlier[VERDICT]["outcome"] != "again":
                return _hand_on(context, earlier[CORPUS], earlier[VERDICT])
            run = _run_of(self.run)
            settings = _settings_of(self.settings, run)
            if settings.mode == "off":
                return _hand_on(context, self.source, {"outcome": "unreviewed"})
            return self._decide(context, run, settings)

    def _decide(self, context: Context, run: RunReference | None, settings: ReviewSettings) -> list[str]:
        from airflow_provider_autoglm.exceptions import ReviewFailedError
        from airflow_provider_autoglm.labeling.review import decide
        from airflow_provider_autoglm.operators.stage_report import log_stage_report
        from airflow_provider_autoglm.operators.stage_run import StageRun

        draws = [uri for uri in self.draws if uri]
        with StageRun(self, context, run, self.stage, settings.model_dump(mode="json")) as stage_run:
            result = decide(
                self.source,
                draws,
                list(_flat(self.answers)),
                self._destination(stage_run),
                settings,
                storage=stage_run.storage,
                provenance=stage_run.provenance,
            )
            stage_run.log_report("review.json", result.to_dict())
            if result.outcome == "again":
                return self._draw_again(context, result, draws[-1], settings, stage_run)
            if result.outcome == "failed":
                self.log.error("the answers are kept in %s", ", ".join(f"{uri}/_answers" for uri in draws))
                context["ti"].xcom_push(VERDICT, result.to_dict())
                raise ReviewFailedError(result)
            stage_run.log_corpus(result.uri)
            log_stage_report(self.stage, result.uri, stage_run)
            self.log.info("%s: %s", result.outcome, result.reason)
            return _hand_on(context, result.uri, result.to_dict())

    def _destination(self, stage_run: StageRun) -> str:
        """Of two decisions in a run each has a folder of its own, so that each is logged as its own task's."""
        return self.destination or stage_run.destination(None) + (_AGAIN if self.earlier is not None else "")

    def _draw_again(
        self, context: Context, result: ReviewResult, earlier: str, settings: ReviewSettings, stage_run: StageRun
    ) -> list[str]:
        from airflow_provider_autoglm.labeling.review import draw, forms_of

        more = draw(
            self.source,
            f"{earlier}{_AGAIN}",
            settings,
            _labels_of(self.label_settings, stage_run.run),
            earlier=earlier,
            storage=stage_run.storage,
            # The child run of this task is the decision's; the draw gets one of its own, after what decided it.
            provenance=replace(stage_run.provenance, mlflow_run_id=None),
        )
        stage_run.log_corpus_apart(more.uri)
        self.log.warning("asking for more: %s", result.reason)
        _hand_on(context, "", result.to_dict(), draw=more.uri)
        return forms_of(more.uri, storage=stage_run.storage)


def _hand_on(context: Context, corpus: Any, verdict: Mapping[str, Any], *, draw: str = "") -> list[str]:
    for key, value in ((CORPUS, corpus), (VERDICT, dict(verdict)), (DRAW, draw)):
        context["ti"].xcom_push(key, value)
    return []


def _flat(answers: Any) -> Iterator[str]:
    """The URIs in nested lists; mapped tasks of which there were none leave nothing."""
    if isinstance(answers, str):
        yield answers
    else:
        for each in () if answers is None else answers[:]:  # one request; iterating asks for each mapped task
            yield from _flat(each)


def _run_of(run: Mapping[str, Any] | None) -> RunReference | None:
    return None if run is None else RunReference.parse(run, path="run")


def _settings_of(settings: Any, run: RunReference | None) -> ReviewSettings:
    return ReviewSettings.parse(settings, path="review" if run is None else f"autoglm_{run.pipeline}.review")


def _labels_of(settings: Any, run: RunReference | None) -> LabelSettings:
    return LabelSettings.parse(settings, path="label" if run is None else f"autoglm_{run.pipeline}.label")


def _storage_of(run: RunReference | None) -> Storage:
    from airflow_provider_autoglm.corpus.storage import Storage
    from airflow_provider_autoglm.hooks.storage import storage_for

    return Storage.local() if run is None else storage_for(run.root, run.storage_conn_id)
