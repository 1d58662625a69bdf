"""The settings reference ``docs/reference/settings.md``, generated from the models.

``python -m airflow_provider_autoglm.settings.reference`` writes it, ``--check`` says whether it is up to date.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from airflow_provider_autoglm.get_provider_info import CONFIG_SECTION, get_provider_info
from airflow_provider_autoglm.settings import (
    DropLinesRule,
    LabelDefinition,
    PipelineSettings,
    RejectRule,
    ReplaceRule,
    RolloutStep,
    ServingSettings,
    Source,
)

_TARGET = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
_BOUNDS = {
    "ge": "≥ {}",
    "gt": "> {}",
    "le": "≤ {}",
    "lt": "< {}",
    "min_length": "length ≥ {}",
    "max_length": "length ≤ {}",
}
_ITEMS: tuple[type[BaseModel], ...] = (Source, LabelDefinition, ReplaceRule, DropLinesRule, RejectRule, RolloutStep)
_INTRO = """\
# Settings

Generated from the models in `airflow_provider_autoglm.settings`; do not edit.

A pipeline is configured by the Airflow Variable `autoglm_<pipeline>`, a JSON object with the keys below. The same
settings are the `settings=` argument of the operators, and numbers, switches and words can be overridden for one run in
the trigger form. Only `sources` and `labels` have no default.
"""
_GATEWAY = """\
Not in the Variable, since the gateway has no Airflow: keys of the TOML file of `--config`, or environment variables
`AUTOGLM_SERVING__<KEY>`, which win."""


def render(pipeline: type[BaseModel] = PipelineSettings) -> str:
    """The page as Markdown."""
    lines = [_INTRO, "## The Variable", "", *_table(pipeline, "")]
    lines += _sections(pipeline, "")
    lines += ["", "## Items of lists"]
    for item in _ITEMS:
        lines += ["", f"### {item.__name__}", "", _summary(item), "", *_table(item, "")]
    lines += ["", "## The gateway", "", _GATEWAY, "", *_table(ServingSettings, "")]
    lines += ["", f"## `[{CONFIG_SECTION}]` in airflow.cfg", "", *_configuration()]
    return "\n".join(lines) + "\n"


def main(arguments: list[str], target: Path = _TARGET) -> int:
    """Write the page, or compare it with ``--check``; returns the exit status."""
    page = render()
    if "--check" not in arguments:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")
        return 0
    if target.exists() and target.read_text(encoding="utf-8") == page:
        return 0
    sys.stderr.write("docs/reference/settings.md is out of date; run: make docs\n")
    return 1


def _sections(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            key = f"{prefix}{name}"
            yield from ("", f"## `{key}`", "", _summary(inner), "", *_table(inner, f"{key}."))
            yield from _sections(inner, f"{key}.")


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _table(model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield "| key | type | default | allowed | what it does |"
    yield "|---|---|---|---|---|"
    for name, field in model.model_fields.items():
        row = [f"`{prefix}{name}`", _type(field.annotation), _default(field), _allowed(field), field.description or ""]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _configuration() -> Iterator[str]:
    yield "| option | environment variable | type | default | what it does |"
    yield "|---|---|---|---|---|"
    for name, option in get_provider_info()["config"][CONFIG_SECTION]["options"].items():
        variable = f"AIRFLOW__{CONFIG_SECTION}__{name}".upper()
        default = f"`{option['default']}`" if option["default"] else ""
        yield f"| `{name}` | `{variable}` | {option['type']} | {default} | {option['description']} |"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if argument is type(None) else _type(argument) for argument in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"object of {_type(arguments[1])}"
    return str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    return f"`{json.dumps(to_jsonable_python(field.default))}`"


def _allowed(field: FieldInfo) -> str:
    bounds = [
        text.format(f"{getattr(constraint, attribute):,}".replace(",", " "))
        for constraint in field.metadata
        for attribute, text in _BOUNDS.items()
        if getattr(constraint, attribute, None) is not None
    ]
    return ", ".join(bounds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
