from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from airflow_provider_autoglm.exceptions import ModelNotFoundError, UnusableModelError
from airflow_provider_autoglm.labeling import models
from tests.labeling.tiny_models import write_classifier


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
        timeout=300,
    )
    return done.stdout.strip()


def test_the_default_model_is_read_from_the_installed_bundle() -> None:
    folder = models.locate(models.BUNDLED_MODEL)
    assert os.path.exists(os.path.join(folder, "model.safetensors"))


def test_a_folder_may_be_given_as_path_or_file_uri(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert models.locate(str(tmp_path)) == models.locate(tmp_path.as_uri()) == str(tmp_path)


@pytest.mark.parametrize("model", ["/no/such/folder", "./no-such-folder", "~/no-such-folder", "a/b/c", "two words"])
def test_a_folder_that_is_not_there_is_named(model: str) -> None:
    with pytest.raises(ModelNotFoundError, match="no such folder") as caught:
        models.load(model)
    assert caught.value.model == model
    assert not caught.value.retry_can_help


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no config\.json"):
        models.load(str(tmp_path))


def test_a_folder_with_damaged_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{ this is not JSON")
    with pytest.raises(ModelNotFoundError, match="cannot load the model"):
        models.load(str(tmp_path))


def test_weights_that_would_have_to_be_unpickled_are_refused(tmp_path: Path) -> None:
    bundled = Path(models.locate(models.BUNDLED_MODEL))
    for file in bundled.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ModelNotFoundError, match="safetensors"):
        models.load(str(tmp_path))


def test_an_unreachable_hub_is_reported_with_the_setting_to_change() -> None:
    code = """
from airflow_provider_autoglm.exceptions import ModelNotFoundError
from airflow_provider_autoglm.labeling import models
import torch, transformers
try:
    models.load("no-such-organisation/no-such-model")
except ModelNotFoundError as error:
    print(error.model, "label.model" in str(error))
"""
    # Port 9 (discard) of the loopback address: refused, or nobody answers.
    assert run_python(code, HF_ENDPOINT="http://127.0.0.1:9") == "no-such-organisation/no-such-model True"


def test_without_torch_the_extra_to_install_is_named() -> None:
    code = """
import sys
sys.modules["torch"] = None  # what an import finds where torch is not installed
from airflow_provider_autoglm.exceptions import MissingExtraError
from airflow_provider_autoglm.labeling import models
try:
    models.load("any/model")
except MissingExtraError as error:
    print(error)
"""
    assert "pip install 'airflow-provider-autoglm[train]'" in run_python(code)


def test_the_room_is_imported_without_torch_and_transformers() -> None:
    code = """
import sys
import airflow_provider_autoglm.labeling
from airflow_provider_autoglm.labeling import labelers
print(sorted({"torch", "transformers", "airflow"} & set(sys.modules)))
"""
    assert run_python(code) == "[]"


def test_a_package_of_ours_is_read_from_its_artifacts(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "config.json").write_text("{}")
    assert models.locate(str(tmp_path)) == str(tmp_path / "artifacts")


def test_a_classifier_whose_tokenizer_cannot_pad_is_refused(tmp_path: Path) -> None:
    folder = write_classifier(str(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(UnusableModelError, match="no padding token"):
        models.load(folder, head="classifier")
