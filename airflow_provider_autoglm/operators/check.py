"""What drift and feedback checks share: measured and recorded once a run, told only when confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_autoglm.assets import create_asset
from airflow_provider_autoglm.links import MlflowRunLink
from airflow_provider_autoglm.operators.base import airflow_errors
from airflow_provider_autoglm.operators.events import tell_once
from airflow_provider_autoglm.settings import RunReference, Settings

if TYPE_CHECKING:
    from airflow_provider_autoglm.operators.stage_run import StageRun
    from airflow_provider_autoglm.state.checks import Check


class CheckOperator(BaseOperator):
    """Measure once, record, and tell a confirmed check through its asset.

    A subclass names its ``kind`` and ``settings_model`` and implements :meth:`check`. A run makes one check, however
    often its task is retried or cleared. Without a confirmation the task is skipped and sends no event; the report is
    in the XCom, in the state and in MLflow all the same.

    :param pipeline: name of the pipeline; it decides which asset the task updates.
    :param settings: settings of the check, as a model or a dict. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    """

    kind: ClassVar[str]
    settings_model: ClassVar[type[Settings]]
    template_fields: Sequence[str] = ("settings", "run")
    operator_extra_links = (MlflowRunLink(),)

    def __init__(
        self, *, pipeline: str, settings: Settings | Mapping[str, Any], run: Mapping[str, Any], **kwargs: Any
    ) -> None:
        self.asset = create_asset(pipeline=pipeline, kind=self.kind)
        super().__init__(**{"outlets": [self.asset], "inlets": [self.asset], **kwargs})
        self.pipeline = pipeline
        self.settings: Any = settings  # a model of the subclass's own, or its dict
        self.run = run
        self.mlflow_run_url: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Check, log, and fill the asset event if the check is confirmed and nobody has answered it."""
        from airflow_provider_autoglm.operators.stage_run import StageRun

        with airflow_errors():
            run = RunReference.parse(self.run, path="run")
            settings = self.settings_model.parse(self.settings, path=f"autoglm_{self.pipeline}.{self.kind}")
            with StageRun(self, context, run, self.kind, settings.model_dump(mode="json")) as stage_run:
                check = self.check(run, settings, stage_run)
                stage_run.log_record(_record(check))
                stage_run.log_report(f"{self.kind}.json", check.report)
        result = as_result(check)
        self.log.info("%s", summary(check))
        if check.is_confirmed and not result["learnable"]:
            self.log.warning(
                "learnable = false: no text of the requests was kept (log_text none or hash), so the dataset that "
                "follows holds nothing of what has drifted; set log_text to full or sample at the gateways"
            )
        context["ti"].xcom_push("return_value", result)
        if not check.is_confirmed:
            raise AirflowSkipException(f"not confirmed, no event is sent: {summary(check)}")
        if check.answered_by is not None:
            raise AirflowSkipException(f"check {check.id} has been answered by {check.answered_by}")
        tell_once(
            context,
            self.asset,
            {name: value for name, value in result.items() if name not in ("report", "answered_by")}
            | {"reasons": [self.kind], "key": f"{self.pipeline}/{self.kind}/{check.id}"},
        )
        return result

    def check(self, run: RunReference, settings: Any, stage_run: StageRun) -> Check:
        """Call the library. ``settings`` is an instance of ``settings_model``."""
        raise NotImplementedError


def as_result(check: Check) -> dict[str, Any]:
    """A check as JSON types: what operators and sensors return."""
    return {
        "check": check.id,
        "kind": check.kind,
        "version": check.version,
        "state": check.state,
        "is_confirmed": check.is_confirmed,
        "score": check.score,
        "p_value": check.p_value,
        "new_rows": check.new_rows,
        "learnable": bool(check.report.get("learnable", False)),
        "answered_by": check.answered_by,
        "report": dict(check.report),
    }


def summary(check: Check) -> str:
    """A check in one line."""
    numbers = "" if check.score is None else f", score {check.score:.3f} (p = {check.p_value:.2g})"
    why = " ".join(str(check.report[name]) for name in ("reason", "confirmation") if check.report.get(name))
    return f"check {check.id} of version {check.version or '-'}: {check.state}{numbers}; {why}"


def _record(check: Check) -> Any:
    from airflow_provider_autoglm.corpus.manifest import digest_of
    from airflow_provider_autoglm.tracking import LoggedInput, StageRecord

    numbers = {
        "score": check.score,
        "p_value": check.p_value,
        "new_rows": float(check.new_rows),
        "is_confirmed": float(check.is_confirmed),
        "learnable": float(bool(check.report.get("learnable", False))),
        **{name: check.report.get(name) for name in ("separation", "label_shift", "mean_confidence")},
    }
    reference = check.report.get("reference")
    return StageRecord(
        check.kind,
        f"autoglm://{check.pipeline}/{check.kind}/{check.id}",
        digest_of(check.report),
        inputs=(LoggedInput(f"references/{check.version}", reference["uri"], reference["digest"]),)
        if reference
        else (),
        metrics={name: value for name, value in numbers.items() if value is not None},
    )
