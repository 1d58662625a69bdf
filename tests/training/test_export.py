"""ONNX files, compared with torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.training.export import LogitsAndEmbedding, export_onnx
from airflow_provider_autoglm.training.network import load_classifier
from tests.training.published import LABELS, settings_with


def test_onnx_gives_the_logits_and_embeddings_of_torch_for_any_shape(
    base_model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_with(base_model=base_model)
    model = load_classifier(settings, LABELS)
    path = str(tmp_path / "model.onnx")
    export_onnx(model, path, settings, max_tokens=32)
    assert capfd.readouterr() == ("", ""), "the exporter is not silent"
    session = onnxruntime.InferenceSession(path)
    assert [put.name for put in session.get_inputs()] == ["input_ids", "attention_mask"]
    assert [put.name for put in session.get_outputs()] == ["logits", "embedding"]
    network = LogitsAndEmbedding(model.encoder).eval()
    random = torch.Generator().manual_seed(1)
    for rows, length in ((1, 1), (1, 32), (7, 5), (33, 17)):
        ids = torch.randint(1000, 2000, (rows, length), generator=random)
        mask = (torch.arange(length) < torch.randint(1, length + 1, (rows, 1), generator=random)).long()
        found = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        with torch.inference_mode():
            expected = network(ids, mask)
        for one, other in zip(found, expected, strict=True):
            assert np.allclose(one, other.numpy(), atol=1e-4)


class Noisy(torch.nn.Module):
    """A head that answers differently each time."""

    def __init__(self, head: torch.nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.head(hidden) + torch.rand_like(hidden)[:, :3]


def test_a_network_that_onnx_runtime_computes_differently_is_refused(base_model: str, tmp_path: Path) -> None:
    settings = settings_with(base_model=base_model)
    model = load_classifier(settings, LABELS)
    model.encoder.classifier = Noisy(model.encoder.classifier)
    with pytest.raises(UnusableModelError, match=r"the logits of its ONNX file differ by 0\.\d+ from torch"):
        export_onnx(model, str(tmp_path / "model.onnx"), settings, max_tokens=32)


def test_the_number_of_threads_of_the_process_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_autoglm.training.network import configured_threads

    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)
    try:
        with configured_threads():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        with configured_threads():
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
