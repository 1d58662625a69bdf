from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling.conventions import Conventions, conventions_of
from airflow_provider_autoglm.labeling.models import BUNDLED_MODEL

TRANSFORMER = {"path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
MODULES = [TRANSFORMER, POOLING, NORMALIZE]
OF_E5 = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": None}
OF_GEMMA = {"prompts": {"Classification": "task: classification | query: ", "query": "task: search result | query: "}}


def write_model(
    folder: Path,
    *,
    modules: list[dict[str, str]] | None = None,
    pooling: dict[str, Any] | None = None,
    prompts: dict[str, Any] | None = None,
) -> str:
    (folder / "1_Pooling").mkdir(parents=True)
    files = {
        "config.json": {},
        "modules.json": modules,
        "1_Pooling/config.json": pooling,
        "config_sentence_transformers.json": prompts,
    }
    for name, content in files.items():
        if content is not None:
            (folder / name).write_text(json.dumps(content))
    return str(folder)


def test_the_default_model_takes_the_mean_and_no_prefix() -> None:
    assert conventions_of(BUNDLED_MODEL) == Conventions(prefix="", pooling="mean")


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["lasttoken"]}, "lasttoken"),
        ({}, "mean"),
        (None, "mean"),
    ],
)
def test_pooling_is_read_in_the_old_and_in_the_new_way_of_writing_it(
    tmp_path: Path, config: dict[str, Any] | None, pooling: str
) -> None:
    model = write_model(tmp_path / "any", modules=MODULES, pooling=config)
    assert conventions_of(model).pooling == pooling


def test_a_model_of_a_network_alone_takes_the_mean(tmp_path: Path) -> None:
    assert conventions_of(write_model(tmp_path / "any", modules=[TRANSFORMER])).pooling == "mean"


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"pooling_mode_max_tokens": True}, "'max'"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, r"'cls\+mean'"),
    ],
)
def test_pooling_that_cannot_be_done_is_refused(tmp_path: Path, config: dict[str, Any], named: str) -> None:
    model = write_model(tmp_path / "any", modules=MODULES, pooling=config)
    with pytest.raises(UnusableModelError, match=f"{named}, not one of mean, cls, lasttoken"):
        conventions_of(model)


def test_a_layer_after_the_pooling_is_refused(tmp_path: Path) -> None:
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    with pytest.raises(UnusableModelError, match="layer 'Dense'"):
        conventions_of(write_model(tmp_path / "any", modules=[TRANSFORMER, POOLING, dense]))


@pytest.mark.parametrize(
    ("prompts", "prefix"),
    [
        (OF_GEMMA, "task: classification | query: "),
        ({**OF_E5, "default_prompt_name": "passage"}, "passage: "),
        ({"prompts": {}, "default_prompt_name": None}, ""),
        ({"__version__": {"transformers": "4.6.1"}}, ""),
        (None, ""),
    ],
)
def test_the_prompt_for_classification_else_the_default_one_stands_before_a_text(
    tmp_path: Path, prompts: dict[str, Any] | None, prefix: str
) -> None:
    assert conventions_of(write_model(tmp_path / "any", modules=MODULES, prompts=prompts)).prefix == prefix


@pytest.mark.parametrize("name", ["e5-base-v2", "multilingual-e5-base", "E5-small", "models--intfloat--e5-large-v2"])
@pytest.mark.parametrize("prompts", [None, OF_E5])
def test_e5_takes_both_sides_as_queries(tmp_path: Path, name: str, prompts: dict[str, Any] | None) -> None:
    assert conventions_of(write_model(tmp_path / name, modules=MODULES, prompts=prompts)).prefix == "query: "


@pytest.mark.parametrize("name", ["e5-base-v2-distilled-by-us", "my-e5", "multilingual-e5-large-instruct"])
def test_a_name_that_only_resembles_e5_means_nothing(tmp_path: Path, name: str) -> None:
    assert conventions_of(write_model(tmp_path / name, modules=MODULES)).prefix == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("e5-base-v2", Conventions("query: ", "mean")),
        ("bge-base-en-v1.5", Conventions("", "cls")),
        ("gte-modernbert-base", Conventions("", "cls")),
        ("gte-large-en-v1.5", Conventions("", "cls")),
        ("gte-base", Conventions("", "mean")),
        ("nomic-embed-text-v1.5", Conventions("classification: ", "mean")),
        ("some-other-model", Conventions("", "mean")),
    ],
)
def test_a_known_model_without_files_for_sentence_transformers_is_told_by_its_name(
    tmp_path: Path, name: str, expected: Conventions
) -> None:
    assert conventions_of(write_model(tmp_path / name)) == expected


def conventions_in_a_child(cache: Path, model: str) -> str:
    """Ask a process whose hub is out of reach and whose cache is ``cache``."""
    code = "import sys; from airflow_provider_autoglm.labeling.conventions import *; print(conventions_of(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, model],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        # Port 9 (discard) of the loopback address: refused.
        env={**os.environ, "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": "http://127.0.0.1:9"},
    )
    return done.stdout.strip()


def test_a_model_of_the_hub_is_read_from_the_cache(tmp_path: Path) -> None:
    of_model = tmp_path / "models--somebody--some-encoder"
    write_model(of_model / "snapshots" / "abc", modules=MODULES, pooling={"pooling_mode_cls_token": True})
    (of_model / ".no_exist" / "abc").mkdir(parents=True)
    (of_model / ".no_exist" / "abc" / "config_sentence_transformers.json").touch()
    (of_model / "refs").mkdir()
    (of_model / "refs" / "main").write_text("abc")
    assert conventions_in_a_child(tmp_path, "somebody/some-encoder") == repr(Conventions(pooling="cls"))


def test_a_model_of_the_hub_that_is_not_cached_is_told_by_its_name_while_the_hub_is_away(tmp_path: Path) -> None:
    assert conventions_in_a_child(tmp_path, "intfloat/e5-base-v2") == repr(Conventions(prefix="query: "))
