from __future__ import annotations

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import PipelineSettings, TrainSettings
from demo.circle import CONFIRMATIONS, DRIFTED, SAME_AREAS
from demo.docstrings import AREAS
from demo.outcome import MIN_JUDGED_REQUESTS
from demo.variable import BASELINE_ROWS, SECOND_MODEL, WINDOW_ROWS, demo_variable

LONGEST_DEMO_S = 25 * 60


def test_the_labels_are_the_areas_of_the_truth() -> None:
    settings = PipelineSettings.parse(demo_variable("http://127.0.0.1:1/", is_own_site=True))
    assert [label.name for label in settings.labels] == list(AREAS)
    assert all(len(label.phrases) >= 4 for label in settings.labels)


def test_another_site_is_crawled_politely_and_neither_has_pages_on_every_label() -> None:
    own = PipelineSettings.parse(demo_variable("http://127.0.0.1:1/", is_own_site=True))
    other = PipelineSettings.parse(demo_variable("https://example.org/", is_own_site=False))
    assert own.crawl.delay_s == 0
    assert other.crawl.delay_s > 0
    assert own.publish.min_class_rows == other.publish.min_class_rows == 0
    assert other.labels == own.labels


def test_an_address_that_is_none_is_refused_before_anything_starts() -> None:
    with pytest.raises(SettingsError, match=r"sources\.0"):
        demo_variable("ftp://example.org", is_own_site=False)


def test_the_policy_asks_for_the_requests_that_the_demo_checks_and_its_second_training_differs_from_the_first() -> None:
    settings = PipelineSettings.parse(demo_variable("http://127.0.0.1:1/", is_own_site=True))
    assert [step.weight_percent for step in settings.rollout.steps] == [50]
    assert settings.rollout.min_requests == MIN_JUDGED_REQUESTS
    assert settings.rollout.tick_s < settings.rollout.lease_s
    second = {name.removeprefix("train."): value for name, value in SECOND_MODEL.items()}
    assert settings.train.method == "head"
    assert TrainSettings.parse({**settings.train.model_dump(), **second}, path="train").method == "finetune"


def test_the_policy_confirms_a_drift_with_the_rows_and_checks_that_the_demo_waits_for_and_no_feedback_before() -> None:
    settings = PipelineSettings.parse(demo_variable("http://127.0.0.1:1/", is_own_site=True))
    assert (settings.drift.baseline_rows, settings.drift.window_rows) == (BASELINE_ROWS, WINDOW_ROWS)
    assert settings.drift.min_new_rows <= WINDOW_ROWS
    assert settings.drift.confirmations == CONFIRMATIONS
    assert settings.drift.warning <= SAME_AREAS < settings.drift.threshold <= DRIFTED
    assert "drift" in settings.retrain.on
    assert settings.feedback.deadline_s > LONGEST_DEMO_S
