"""Judge a challenger against the champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_autoglm.assets import model_asset
from airflow_provider_autoglm.operators.base import ModelOperator, airflow_errors
from airflow_provider_autoglm.operators.events import tell_once
from airflow_provider_autoglm.settings import EvaluateSettings, RunReference

if TYPE_CHECKING:
    from airflow_provider_autoglm.operators.stage_run import StageRun
    from airflow_provider_autoglm.tracking.registry import RegisteredVersion, Registry
    from airflow_provider_autoglm.training.evaluate import Verdict

STAGE = "evaluate"


class EvaluateModelOperator(ModelOperator):
    """Compare a challenger with the champion on the test split, and tell a pass through the model asset.

    A challenger that passes gets the alias ``challenger``. One that does not is refused: the verdict stays with its
    version and in the XCom, the task is skipped, no alias is set and no event sent. Without a champion it has to beat
    the majority class.

    :param pipeline: name of the pipeline; it decides which asset the task updates.
    :param dataset: what ``load_settings`` returned under ``dataset``. Templated.
    :param challenger: version of the registered model. Templated.
    :param settings: :class:`~airflow_provider_autoglm.settings.EvaluateSettings` or its dict. Templated.
    :param run: what ``load_settings`` returned under ``run``. Templated.
    :param champion: version to compare with; default the one that serves. Templated.
    """

    template_fields: Sequence[str] = ("dataset", "challenger", "champion", *ModelOperator.template_fields)

    def __init__(
        self,
        *,
        pipeline: str,
        dataset: Mapping[str, Any],
        challenger: str,
        champion: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.asset = model_asset(pipeline)
        super().__init__(**{"outlets": [self.asset], "inlets": [self.asset], **kwargs})
        self.pipeline = pipeline
        self.dataset = dataset
        self.challenger = challenger
        self.champion = champion

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare, keep the verdict, set the alias on a pass and fill the asset event."""
        from airflow_provider_autoglm.operators.serving_state import champion_of, registry_of
        from airflow_provider_autoglm.operators.stage_run import StageRun

        with airflow_errors():
            run = RunReference.parse(self.run, path="run")
            settings = EvaluateSettings.parse(self.settings, path=f"autoglm_{self.pipeline}.{STAGE}")
            registry = registry_of(run)
            challenger = registry.version(str(self.challenger))
            champion = champion_of(run, registry) if self.champion is None else registry.version(str(self.champion))
            _skip_if_settled(run, registry, challenger, champion)
            logged = {
                **settings.model_dump(mode="json"),
                "challenger": challenger.version,
                "champion": None if champion is None else champion.version,
            }
            with StageRun(self, context, run, STAGE, logged) as stage_run:
                verdict = self._judge(stage_run, registry, challenger, champion, settings)
                self.mlflow_model_url = registry.version_url(challenger.version)
                _point_alias(registry, challenger, verdict)
        return self._tell(context, challenger, champion, verdict)

    def _judge(
        self,
        stage_run: StageRun,
        registry: Registry,
        challenger: RegisteredVersion,
        champion: RegisteredVersion | None,
        settings: EvaluateSettings,
    ) -> Verdict:
        from airflow_provider_autoglm.operators.serving_state import fetched
        from airflow_provider_autoglm.rollout.aliases import VERDICT_TAG
        from airflow_provider_autoglm.tracking import LoggedInput, StageRecord
        from airflow_provider_autoglm.training.evaluate import compare

        number, uri, digest = (str(self.dataset[key]) for key in ("version", "uri", "digest"))
        with fetched(registry, challenger, champion) as (challenger_folder, champion_folder):
            verdict = compare(uri, challenger_folder, champion_folder, settings, storage=stage_run.storage)
        registry.client.log_dict(stage_run.mlflow_run_id, verdict.to_dict(), "verdict.json")
        registry.set_tag(challenger.version, VERDICT_TAG, "passed" if verdict.passed else "refused")
        lineage = (LoggedInput(f"datasets/v{number}", uri, digest),)
        stage_run.log_record(
            StageRecord(STAGE, challenger.model_uri, challenger.digest, inputs=lineage, metrics=verdict.metrics)
        )
        return verdict

    def _tell(
        self,
        context: Context,
        challenger: RegisteredVersion,
        champion: RegisteredVersion | None,
        verdict: Verdict,
    ) -> dict[str, Any]:
        result = {
            "challenger": challenger.version,
            "champion": None if champion is None else champion.version,
            **verdict.to_dict(),
        }
        context["ti"].xcom_push("return_value", result)
        if not verdict.passed:
            raise AirflowSkipException(f"version {challenger.version} is refused: {'; '.join(verdict.reasons)}")
        event = {
            "reference": challenger.model_uri,
            "version": challenger.version,
            "digest": challenger.digest,
            "dataset_version": self.dataset["version"],
            "reasons": list(self.dataset["reasons"]),
            "key": f"{self.pipeline}/model/{challenger.version}",
        }
        tell_once(context, self.asset, event)
        return result


def _point_alias(registry: Registry, challenger: RegisteredVersion, verdict: Verdict) -> None:
    """Let the alias ``challenger`` say what the verdict says.

    A version that has passed before may be refused when its task is cleared.
    """
    waiting = registry.find_alias("challenger")
    is_waiting = waiting is not None and waiting.version == challenger.version
    if verdict.passed and not is_waiting:
        registry.set_alias("challenger", challenger.version)
    elif is_waiting and not verdict.passed:
        registry.drop_alias("challenger")


def _skip_if_settled(
    run: RunReference, registry: Registry, challenger: RegisteredVersion, champion: RegisteredVersion | None
) -> None:
    """A cleared task must not send the event of a version a second time, nor push a newer one aside."""
    from airflow_provider_autoglm.operators.serving_state import state_of
    from airflow_provider_autoglm.state.rollouts import latest_rollout

    if champion is not None and champion.version == challenger.version:
        raise AirflowSkipException(f"version {challenger.version} is the champion, there is nothing to compare")
    database = state_of(run)
    earlier = None if database is None else latest_rollout(database, run.pipeline, challenger.version)
    if earlier is not None:
        raise AirflowSkipException(
            f"version {challenger.version} has had rollout {earlier.id}, which is {earlier.state}: its verdict stands"
        )
    waiting = registry.find_alias("challenger")
    if waiting is not None and int(waiting.version) > int(challenger.version):
        raise AirflowSkipException(
            f"version {waiting.version} has passed and waits, version {challenger.version} is older"
        )
