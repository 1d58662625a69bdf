"""What a DAG file reads when it is parsed: the `[autoglm]` section, and the settings as fields of the trigger form."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from airflow.configuration import AIRFLOW_HOME
from airflow.sdk import DAG, AssetOrTimeSchedule, MultipleCronTriggerTimetable, Param
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.asset import BaseAsset
from airflow.sdk.definitions.param import ParamsDict
from pydantic.fields import FieldInfo

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.get_provider_info import CONFIG_SECTION, config_default
from airflow_provider_autoglm.settings import PipelineSettings, Settings
from airflow_provider_autoglm.settings.run import PIPELINE_NAME

_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_QUARTERLY = {"@quarterly": "0 0 1 */3 *"}  # the one preset of Airflow that croniter does not know
_PIPELINE = re.compile(PIPELINE_NAME)
_RECOMPUTED_STAGES = ("crawl", "collect_traffic", "clean", "dedupe", "label")


def option(name: str) -> str:
    """The value of an option of `[autoglm]`, from airflow.cfg or `AIRFLOW__AUTOGLM__<NAME>`, else its default."""
    return str(conf.get(CONFIG_SECTION, name, fallback=config_default(name)))


def pipelines() -> list[str]:
    """The names of the pipelines; each DAG file builds one DAG for each.

    :raises SettingsError: if one cannot be part of a DAG's id and of a path.
    """
    names = [name.strip() for name in option("pipelines").split(",") if name.strip()]
    for name in names:
        if not _PIPELINE.match(name):
            raise SettingsError(
                [f"[autoglm] pipelines: {name!r} is no name; letters, digits, '_', '-' and, not in front, '.' are"]
            )
    return names


def root() -> str:
    """The folder URI of all corpora where the Variable sets none."""
    return option("root") or f"file://{os.path.join(AIRFLOW_HOME, 'autoglm')}"


def schedule(stage: str) -> str | None:
    """The cron schedule of a stage's DAGs, or None to start them by hand or by asset only."""
    return option(f"{stage}_schedule") or None


def wake_up(asset: BaseAsset, *stages: str) -> AssetOrTimeSchedule | BaseAsset:
    """Start DAGs by events of ``asset``, and by the clock on the schedules of ``stages``, since events may be lost."""
    crons = [cron for cron in map(schedule, stages) if cron is not None]
    if not crons:
        return asset
    return AssetOrTimeSchedule(timetable=MultipleCronTriggerTimetable(*crons, timezone="UTC"), assets=asset)


def is_due(stage: str, moment: datetime) -> bool:
    """Whether the schedule of a stage names ``moment``: a DAG may be started by other schedules too."""
    from croniter import croniter

    cron = schedule(stage)
    return cron is not None and bool(croniter.match(_QUARTERLY.get(cron, cron), moment))


def optional_param(name: str, kind: str, description: str) -> Param:
    """A trigger-form field of one run that stands for no setting; null leaves the choice to the first task."""
    return Param(default=None, type=["null", kind], title=name, description=description, section="Run")


def retries() -> int:
    """How often a task is tried again."""
    return int(option("retries"))


def pool() -> str:
    """The pool that tasks run in."""
    return option("pool")


def with_form(dag: DAG, fields: Mapping[str, Param]) -> DAG:
    """Give a DAG that has its tasks the fields of its trigger form.

    Airflow copies those that a DAG has before its tasks into each task: the serialised dataset DAG is ten times as long
    with them, and takes ten times as long to write at each parse.
    """
    dag.params = ParamsDict(fields)
    return dag


def override_params(*stages: str) -> dict[str, Param]:
    """One optional trigger-form field for each number, switch, word and choice of ``stages``: null leaves it as set."""
    return {
        f"{stage}.{name}": _param(stage, name, field)
        for stage in stages
        for name, field in _fields_of(_model_of(stage))
        if _json_type(field) is not None and not name.endswith("conn_id")
    }


def _fields_of(model: type[Settings], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a model and of those within it, by dotted name."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from _fields_of(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def force_stages_param() -> Param:
    """The trigger-form field that recomputes stages although their corpus is committed."""
    return Param(
        default=None,
        type=["null", "array"],
        items={"type": "string", "enum": list(_RECOMPUTED_STAGES)},
        title="force_stages",
        description=f"Stages that recompute although their corpus is committed, one a line: "
        f"{', '.join(_RECOMPUTED_STAGES)}.",
        section="Run",
    )


def _model_of(stage: str) -> type[Settings]:
    model = PipelineSettings.model_fields[stage].annotation
    assert isinstance(model, type)
    assert issubclass(model, Settings)
    return model


def _json_type(field: FieldInfo) -> str | None:
    if _choices(field):
        return "string"
    is_optional = get_origin(field.annotation) in {Union, UnionType}
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType] if is_optional else [field.annotation]
    return _JSON_TYPES.get(kinds[0]) if len(kinds) == 1 and isinstance(kinds[0], type) else None


def _choices(field: FieldInfo) -> list[str]:
    """The words among which the field chooses; none if it is free, or there is no choice."""
    words = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return list(words) if len(words) > 1 else []


def _param(stage: str, name: str, field: FieldInfo) -> Param:
    keywords: dict[str, Any] = {
        keyword: getattr(constraint, attribute)
        for constraint in field.metadata
        for attribute, keyword in _BOUNDS.items()
        if hasattr(constraint, attribute)
    }
    if choices := _choices(field):
        keywords["enum"] = [None, *choices]
    return Param(
        default=None,
        type=["null", _json_type(field)],
        title=f"{stage}.{name}",
        description=f"{field.description} Empty: as set in the Variable.",
        section=stage.capitalize(),
        **keywords,
    )
