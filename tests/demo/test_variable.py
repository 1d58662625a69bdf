from __future__ import annotations

import pytest

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings import PipelineSettings, TrainSettings
from demo.docstrings import AREAS
from demo.outcome import MIN_JUDGED_REQUESTS
from demo.variable import SECOND_MODEL, demo_variable


def test_the_labels_are_the_areas_of_the_truth() -> None:
    settings = PipelineSettings.parse(demo_variable("http://127.0.0.1:1/", is_own_site=True))
    assert [label.name for label in settings.labels] == list(AREAS)
    assert all(len(label.phrases) >= 4 for label in settings.labels)


def test_another_site_is_crawled_politely_and_need_not_have_pages_on_every_label() -> None:
    own = PipelineSettings.parse(demo_variable("http://127.0.0.1:1/", is_own_site=True))
    other = PipelineSettings.parse(demo_variable("https://example.org/", is_own_site=False))
    assert own.crawl.delay_s == 0
    assert other.crawl.delay_s > 0
    assert other.publish.min_class_rows == 0
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
