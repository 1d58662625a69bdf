"""Which labeler a row goes to: the one for its language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_autoglm.settings.label import ANY_LANGUAGE, LabelSettings


def routes(settings: LabelSettings) -> tuple[str, ...]:
    """The languages with a model of their own, and ``*`` for all others."""
    return tuple(dict.fromkeys([*settings.models, ANY_LANGUAGE]))


def route_of(language: str | None, models: Mapping[str, str | None]) -> str:
    """The route of a language; ``zh-CN`` goes where ``zh`` goes unless it has a model of its own."""
    if language in models:
        return language or ANY_LANGUAGE
    family = (language or "").partition("-")[0].lower()
    return family if family in models else ANY_LANGUAGE


def rows_by_route(table: pa.Table, settings: LabelSettings) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each route that occurs in ``table``, with the rows that take it."""
    if not set(settings.models) - {ANY_LANGUAGE} or "lang" not in table.column_names:
        yield ANY_LANGUAGE, np.ones(table.num_rows, np.bool_)
        return
    taken = np.array([route_of(language, settings.models) for language in table["lang"].to_pylist()], np.str_)
    for route in routes(settings):
        if (rows := taken == route).any():
            yield route, rows
