from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from airflow_provider_autoglm.exceptions import ModelNotFoundError
from airflow_provider_autoglm.labeling.network.device import Placement
from airflow_provider_autoglm.labeling.network.placed import placed
from tests.labeling.tiny_models import write_classifier, write_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_encoder(str(tmp_path_factory.mktemp("placed") / "model"))


def test_a_model_in_use_is_not_loaded_again_by_any_thread(folder: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: placed(folder, "encoder", Placement()), range(8)))
    assert all(one is found[0] for one in found)


def test_a_model_that_nobody_uses_any_more_leaves_the_memory(folder: str) -> None:
    found = placed(folder, "encoder", Placement())
    network = weakref.ref(found.model.encoder)
    del found
    gc.collect()
    assert network() is None


def test_heads_and_precisions_are_models_of_their_own(tmp_path: Path) -> None:
    folder = write_classifier(str(tmp_path / "model"))
    kinds = [("encoder", Placement()), ("classifier", Placement()), ("classifier", Placement("cpu", "bf16"))]
    found = [placed(folder, head, placement) for head, placement in kinds]  # type: ignore[arg-type]
    assert len({id(one.model.encoder) for one in found}) == 3
    assert [next(one.model.encoder.parameters()).dtype for one in found] == [
        torch.float32,
        torch.float32,
        torch.bfloat16,
    ]


def test_eight_bits_are_made_from_the_model_that_is_in_use(folder: str) -> None:
    exact = placed(folder, "encoder", Placement())
    reduced = placed(folder, "encoder", Placement("cpu", "int8"))
    words, same_words = (one.model.encoder.get_input_embeddings().weight for one in (exact, reduced))
    assert words.data_ptr() == same_words.data_ptr()
    assert placed(folder, "encoder", Placement("cpu", "int8")) is reduced


def test_a_model_that_cannot_be_loaded_is_looked_for_again() -> None:
    for _ in range(2):
        with pytest.raises(ModelNotFoundError):
            placed("/no/such/folder", "encoder", Placement())
