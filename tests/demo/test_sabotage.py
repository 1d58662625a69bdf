from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from mlflow.tracking import MlflowClient
from onnx import TensorProto, helper, numpy_helper

from airflow_provider_autoglm.tracking.registry import Registry, download_model, model_digest
from demo.sabotage import NotSabotagedError, break_logits, register_saboteur
from tests.mlflow_server import MlflowServer, running


def _network(file: Path, *, last: str = "Gemm") -> Path:
    """Two outputs from one hidden layer: ``embedding`` beside ``logits``, as a packaged model has them."""
    float_ = TensorProto.FLOAT
    weights = {"hidden": np.eye(3), "classifier": np.ones((3, 2)), "bias": np.zeros(2)}
    head = {
        "Gemm": [helper.make_node("Gemm", ["embedding", "classifier", "bias"], ["logits"])],
        "Add": [
            helper.make_node("MatMul", ["embedding", "classifier"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["sum"]),
            helper.make_node("Identity", ["sum"], ["logits"]),
        ],
        "Identity": [helper.make_node("Identity", ["x"], ["logits"])],
    }[last]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "hidden"], ["embedding"]), *head],
        "network",
        [helper.make_tensor_value_info("x", float_, ["n", 3])],
        [helper.make_tensor_value_info(name, float_, ["n", None]) for name in ("logits", "embedding")],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(file))
    return file


def _answer(network: Path) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    logits, embedding = session.run(["logits", "embedding"], {"x": np.ones((4, 3), np.float32)})
    return logits, embedding


@pytest.mark.parametrize("last", ["Gemm", "Add"])
def test_a_sabotaged_network_still_runs_and_answers_nothing_but_nan(tmp_path: Path, last: str) -> None:
    network = _network(tmp_path / "model.onnx", last=last)
    assert np.isfinite(_answer(network)[0]).all()
    break_logits(network)
    logits, embedding = _answer(network)
    assert logits.shape == (4, 2)
    assert np.isnan(logits).all()
    assert np.isfinite(embedding).all()


def test_a_network_without_weights_before_its_logits_cannot_be_sabotaged(tmp_path: Path) -> None:
    with pytest.raises(NotSabotagedError, match="no weights lead to its output logits"):
        break_logits(_network(tmp_path / "model.onnx", last="Identity"))


def test_the_saboteur_is_a_version_of_its_own_with_the_files_and_the_digest_it_was_registered_with(
    tmp_path: Path,
) -> None:
    package = _network(tmp_path / "package" / "artifacts" / "model.onnx").parent.parent
    (package / "MLmodel").write_text("flavors: {}\n")
    with running(MlflowServer(tmp_path / "mlflow")) as server:
        client = MlflowClient(tracking_uri=server.uri)
        registry = Registry(client, "docs")
        run = client.create_run(client.create_experiment("autoglm/docs"))
        client.log_artifacts(run.info.run_id, str(package), "model")
        good = registry.register(run.info.run_id, "model", model_digest(str(package)), {})

        saboteur = register_saboteur(registry, good.version, tmp_path / "sabotage")

        assert (good.version, saboteur.version) == ("1", "2")
        download_model(saboteur.model_uri, saboteur.digest, str(tmp_path / "fetched"), client)
        assert registry.find_alias("challenger") is None
        assert client.get_run(saboteur.run_id).info.status == "FINISHED"
        assert client.get_run(saboteur.run_id).info.experiment_id == run.info.experiment_id
    assert np.isnan(_answer(tmp_path / "fetched" / "artifacts" / "model.onnx")[0]).all()
    assert (tmp_path / "fetched" / "MLmodel").read_text() == "flavors: {}\n"
