from __future__ import annotations

import pyarrow as pa
import pytest

from airflow_provider_autoglm.labeling.routing import route_of, routes, rows_by_route
from airflow_provider_autoglm.settings.label import LabelSettings
from tests.labeling.conftest import settings_with


def routed(settings: LabelSettings, languages: list[str | None]) -> dict[str, list[bool]]:
    table = pa.table({"lang": pa.array(languages, pa.string())})
    return {route: rows.tolist() for route, rows in rows_by_route(table, settings)}


@pytest.mark.parametrize(
    ("language", "route"),
    [("zh", "zh"), ("zh-CN", "zh"), ("ZH", "zh"), ("en", "en"), ("en-GB", "en"), ("de", "*"), ("", "*"), (None, "*")],
)
def test_a_language_goes_to_its_own_model_and_a_variety_with_its_family(language: str | None, route: str) -> None:
    assert route_of(language, {"zh": "one", "en": "another"}) == route


def test_a_variety_may_have_a_model_of_its_own() -> None:
    assert route_of("zh-TW", {"zh": "one", "zh-TW": "another"}) == "zh-TW"


def test_without_models_by_language_all_rows_take_one_route() -> None:
    assert routed(settings_with(), ["en", None]) == {"*": [True, True]}
    assert routed(settings_with(models={"*": "other"}), ["en", None]) == {"*": [True, True]}


def test_each_row_takes_one_route() -> None:
    settings = settings_with(models={"zh": "one", "en": "another"})
    assert routes(settings) == ("zh", "en", "*")
    assert routed(settings, ["en", "zh", "fr", None, "en"]) == {
        "en": [True, False, False, False, True],
        "zh": [False, True, False, False, False],
        "*": [False, False, True, True, False],
    }


def test_a_corpus_without_languages_takes_the_route_of_all_others() -> None:
    table = pa.table({"text": ["one"]})
    assert [route for route, _ in rows_by_route(table, settings_with(models={"zh": "one"}))] == ["*"]
