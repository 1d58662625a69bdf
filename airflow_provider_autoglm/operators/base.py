"""What the stage operators share: errors in Airflow's terms, and one stage written, logged and returned as a URI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_autoglm.exceptions import AutoGLMError
from airflow_provider_autoglm.links import MlflowModelLink, MlflowRunLink
from airflow_provider_autoglm.settings import RunReference, Settings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.operators.stage_run import StageRun


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Let errors that no retry can help fail the task at once."""
    try:
        yield
    except AutoGLMError as error:
        if error.retry_can_help:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error


class StageOperator(BaseOperator):
    """Write the corpus of one stage and return its URI.

    Base of the operators of the dataset pipeline. A subclass names its ``stage`` and ``settings_model`` and implements
    :meth:`write`.

    :param settings: settings of the stage, as a model or a dict. Templated.
    :param run: what ``load_settings`` returned under ``run``: where the run writes and logs. Without it nothing is
        logged and ``destination`` is required. Templated.
    :param destination: URI of the corpus; default ``<run folder>/<stage>``. Templated.
    """

    stage: ClassVar[str]
    settings_key: ClassVar[str] = ""
    """Key of the stage's settings in the Variable, where it is not the stage's name."""
    settings_model: ClassVar[type[Settings]]
    template_fields: Sequence[str] = ("settings", "run", "destination")
    operator_extra_links = (MlflowRunLink(),)

    def __init__(
        self,
        *,
        settings: Settings | Mapping[str, Any],
        run: Mapping[str, Any] | None = None,
        destination: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.run = run
        self.destination = destination
        self.mlflow_run_url: str | None = None

    def execute(self, context: Context) -> Any:
        """Write the corpus, inside a child run of the DAG run's parent in MLflow."""
        from airflow_provider_autoglm.operators.stage_report import log_stage_report
        from airflow_provider_autoglm.operators.stage_run import StageRun

        with airflow_errors():
            run = None if self.run is None else RunReference.parse(self.run, path="run")
            key = self.settings_key or self.stage
            path = key if run is None else f"autoglm_{run.pipeline}.{key}"
            settings = self.settings_model.parse(self.settings, path=path)
            with StageRun(self, context, run, self.stage, settings.model_dump(mode="json")) as stage_run:
                result = self.write(settings, stage_run.destination(self.destination), stage_run)
                stage_run.log_corpus(result.uri)
                log_stage_report(self.stage, result.uri, stage_run)
            return result.uri

    def write(self, settings: Any, destination: str, stage_run: StageRun) -> StageResult:
        """Call the library. ``settings`` is an instance of ``settings_model``."""
        raise NotImplementedError


class ModelOperator(BaseOperator):
    """Do something with a version of the registered model.

    Base of the operators that train, judge and roll out. An operator leaves its links in ``mlflow_run_url`` and
    ``mlflow_model_url``.

    :param settings: settings of the stage, as a model or a dict. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    """

    template_fields: Sequence[str] = ("settings", "run")
    operator_extra_links = (MlflowRunLink(), MlflowModelLink())

    def __init__(self, *, settings: Settings | Mapping[str, Any], run: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings: Any = settings  # a model of the subclass's own, or its dict
        self.run = run
        self.mlflow_run_url: str | None = None
        self.mlflow_model_url: str | None = None


class CorpusOperator(StageOperator):
    """Turn one corpus into the next.

    :param source: URI of a corpus, or a list of them. Templated.
    """

    template_fields: Sequence[str] = ("source", *StageOperator.template_fields)

    def __init__(self, *, source: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
