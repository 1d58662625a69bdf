"""Packaged models without machine learning, which load in a moment and misbehave on request."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Answer = Literal["keyword", "first", "last", "nan", "wrong_shape", "error", "crash", "slow", "unloadable", "slow_load"]


def write_tiny_model(
    folder: Path | str,
    *,
    labels: Sequence[str] = ("web", "tables"),
    answer: Answer = "keyword",
    when: str = "",
    seconds: float = 1.0,
) -> str:
    """Write a packaged model to ``folder``, which must not exist yet; returns its path.

    ``keyword`` gives a text the first label whose name occurs in it (else the first), ``first`` and ``last`` always
    that label. The others answer like ``keyword``, but for texts that hold the word ``when`` (the empty one is in all):
    ``nan`` gives logits that are no numbers, ``wrong_shape`` a column too few, ``error`` raises, ``crash`` ends the
    process (139), ``slow`` waits ``seconds`` for each call; ``unloadable`` fails and ``slow_load`` waits when loaded.
    """
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, DataType, Schema

    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that there is no input example
        save_model(
            path=str(folder),
            python_model=str(Path(__file__).with_name("tiny_model.py")),
            pip_requirements=["mlflow-skinny", "numpy", "pandas"],
            signature=ModelSignature(inputs=Schema([ColSpec(DataType.string)])),
            model_config={"labels": list(labels), "answer": answer, "when": when, "seconds": seconds},
            metadata={
                "autoglm": {
                    "format_version": 1,
                    "labels": list(labels),
                    "max_tokens": 128,
                    "base_model": f"tiny/{answer}",
                }
            },
        )
    return str(folder)
