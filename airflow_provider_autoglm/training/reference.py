"""The reference that is packed with a model: some texts it was trained on, as it sees them."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_autoglm.exceptions import DamagedModelError
from airflow_provider_autoglm.training.data import Examples
from airflow_provider_autoglm.training.packaged import PackagedModel

REFERENCE_FILE = "reference.parquet"
_COLUMNS = ["doc_id", "label", "embedding"]


def write_reference(model: PackagedModel, examples: Examples, labels: tuple[str, ...], folder: str) -> None:
    """Write ``doc_id``, ``label`` and ``embedding`` (float32, by ``model`` itself) of ``examples`` into ``folder``.

    :raises DamagedModelError: if the model cannot answer.
    """
    embedding = model.predict(examples.texts).embedding
    values = pa.array(embedding.reshape(-1), pa.float32())
    table = pa.table(
        {
            "doc_id": pa.array(examples.doc_ids, pa.string()),
            "label": pa.array([labels[number] for number in examples.classes], pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(values, embedding.shape[1]),
        }
    )
    pq.write_table(table, os.path.join(folder, REFERENCE_FILE), compression="zstd")


def read_reference(folder: str) -> pa.Table:
    """``doc_id``, ``label`` and ``embedding`` (fixed size list of float32) of the packaged model in ``folder``.

    :raises DamagedModelError: if the package has no reference, or not a readable one.
    """
    try:
        return pq.read_table(os.path.join(folder, "artifacts", REFERENCE_FILE), columns=_COLUMNS).select(_COLUMNS)
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise DamagedModelError(folder, f"its reference cannot be read: {error}") from error
