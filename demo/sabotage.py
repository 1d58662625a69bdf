"""A challenger that answers NaN: a copy of a version with a broken last layer, registered like any other version."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_provider_autoglm.tracking.registry import (
    RegisteredVersion,
    Registry,
    download_model,
    model_digest,
)

_NETWORK = "model.onnx"
_LOGITS = "logits"
_ARTIFACT_PATH = "model"


class NotSabotagedError(RuntimeError):
    """The network's logits come from no weights that could be broken."""


def register_saboteur(registry: Registry, version: str, work_dir: Path) -> RegisteredVersion:
    """Register a copy of ``version`` whose logits are all NaN; nobody evaluates it, as if a check had been forgotten.

    :raises NotSabotagedError: if its network has no weights before the logits.
    """
    original = registry.version(version)
    folder = work_dir / "model"
    download_model(original.model_uri, original.digest, str(folder), registry.client)
    (network,) = folder.rglob(_NETWORK)
    break_logits(network)
    client = registry.client
    experiment = client.get_run(original.run_id).info.experiment_id
    run = client.create_run(experiment, run_name="sabotage", tags={"demo.sabotaged_version": version})
    client.log_artifacts(run.info.run_id, str(folder), _ARTIFACT_PATH)
    client.set_terminated(run.info.run_id)
    return registry.register(run.info.run_id, _ARTIFACT_PATH, model_digest(str(folder)), {"demo.sabotaged": "true"})


def break_logits(network: Path) -> None:
    """Put NaN into the weights nearest to the output ``logits`` of an ONNX file, in place.

    :raises NotSabotagedError: if there are none.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(network))
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in _inputs_nearest_first(model.graph, _LOGITS):
        if name in weights and weights[name].data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(weights[name]).copy()
            values.fill(math.nan)
            weights[name].CopyFrom(numpy_helper.from_array(values, name))
            onnx.save(model, str(network))
            return
    raise NotSabotagedError(f"{network}: no weights lead to its output {_LOGITS}")


def _inputs_nearest_first(graph: Any, output: str) -> Iterator[str]:
    made_by = {name: node for node in graph.node for name in node.output}
    waiting, seen = [output], {output}
    while waiting:
        node = made_by.get(waiting.pop(0))
        for name in [] if node is None else node.input:
            if name not in seen:
                seen.add(name)
                waiting.append(name)
                yield name
