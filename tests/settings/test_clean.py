from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import CleanSettings
from airflow_provider_autoglm.settings.clean_rules import rule_names


def refused(value: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as raised:
        CleanSettings.parse(value, path="here")
    return str(raised.value)


def test_lengths_must_be_in_order() -> None:
    assert "max_chars (10) must be at least min_chars (100)" in refused({"min_chars": 100, "max_chars": 10})


@pytest.mark.parametrize("pattern", ["(open", "*", "[[:alpha:]](?=x)", r"\p{Greek}(?=x)"])
@pytest.mark.parametrize("rules", ["reject", "replace", "drop_lines"])
def test_a_pattern_that_nobody_can_read_is_refused_with_its_rule(rules: str, pattern: str) -> None:
    message = refused({rules: [{"name": "fine", "pattern": "x"}, {"name": "odd", "pattern": pattern}]})

    assert f"here.{rules}.1" in message
    assert f"rule 'odd': {pattern!r} is no pattern of RE2 or of Python's re" in message


@pytest.mark.parametrize(
    "pattern", ["(?=ahead)", "(?<!behind)x", r"\u00e9", r"(a)\1", r"\p{Greek}", "(?i)x", "a{1001}", r"\d+\b"]
)
def test_a_pattern_that_re2_or_python_can_read_is_taken(pattern: str) -> None:
    rules = [{"name": "own", "pattern": pattern}]
    settings = CleanSettings.parse({"reject": rules, "drop_lines": rules, "replace": rules})

    assert {rule.pattern for rule in (*settings.reject, *settings.drop_lines, *settings.replace)} == {pattern}


@pytest.mark.parametrize("replacement", [r"\2", r"\x", "\\"])
@pytest.mark.parametrize("pattern", ["(a)", "(a)(?=b)"])
def test_a_replacement_that_does_not_fit_its_pattern_is_refused(replacement: str, pattern: str) -> None:
    message = refused({"replace": [{"name": "odd", "pattern": pattern, "replacement": replacement}]})

    assert f"rule 'odd': the replacement {replacement!r} does not fit" in message


@pytest.mark.parametrize("pattern", ["(a)", "(a)(?=b)"])
def test_a_replacement_may_name_groups_the_match_and_a_backslash(pattern: str) -> None:
    rule = {"name": "own", "pattern": pattern, "replacement": r"\1\0\\"}

    assert CleanSettings.parse({"replace": [rule]}).replace[0].replacement == r"\1\0\\"


def test_an_unknown_rule_cannot_be_switched_off_and_the_nearest_known_one_is_named() -> None:
    message = refused({"disable": ["read_more", "cookie_notices"]})

    assert "disable: cookie_notices: unknown key; did you mean 'cookie_notice'?" in message
    assert CleanSettings.parse({"disable": rule_names()}).disable == tuple(rule_names())


def test_an_unknown_set_of_rules_or_kind_of_data_is_refused_with_the_known_ones() -> None:
    assert "'web', 'news', 'forum' or 'zh'" in refused({"rules": ["blog"]})
    assert "'email', 'phone', 'ip', 'card' or 'national_id'" in refused({"mask": ["name"]})


def test_settings_without_patterns_load_neither_arrow_nor_the_rules() -> None:
    code = (
        "import sys; from airflow_provider_autoglm.settings import CleanSettings, clean_rules; CleanSettings();"
        "assert 'pyarrow' not in sys.modules; assert clean_rules.rules_of.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
