"""What a request leaves behind: rows of the prediction log and feedback, and their lines in the spool."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from airflow_provider_autoglm.serving.protocol import FeedbackRequest, predictions_in
from airflow_provider_autoglm.serving.route_table import share_of
from airflow_provider_autoglm.serving.router import Outcome
from airflow_provider_autoglm.settings.serving import ServingSettings
from airflow_provider_autoglm.state.predictions import Feedback, Prediction

Record = Prediction | Feedback

_ROW_BYTES = 400


def predictions_of(
    outcome: Outcome, *, request_id: str, texts: Sequence[str], at: float, settings: ServingSettings
) -> list[Prediction]:
    """One row a text of an answered or failed request; ``settings`` decide what is kept of the texts."""
    keeps_text = _keeps_text(request_id, settings)
    return [
        Prediction(
            pipeline=settings.pipeline,
            request_id=request_id if position == 0 else f"{request_id}.{position}",
            position=position,
            assigned_version=outcome.assigned_version,
            assigned_status=outcome.assigned_status,
            assigned_ms=round(outcome.assigned_ms, 3),
            gateway_id=settings.gateway_id,
            at=at,
            rollout_id=outcome.rollout_id,
            served_version=outcome.served_version,
            label=answered.label,
            score=answered.score,
            embedding=answered.embedding,
            text=text if keeps_text else None,
            text_sha256=hashlib.sha256(text.encode()).hexdigest() if settings.log_text == "hash" else None,
        )
        for position, (text, answered) in enumerate(zip(texts, _answers(outcome, len(texts)), strict=True))
    ]


def feedback_of(request: FeedbackRequest, *, pipeline: str, at: float) -> Feedback:
    """The row of a feedback; its text is kept, since it was sent to be learned from."""
    return Feedback(pipeline, request.request_id, at, request.label, request.is_correct, request.text)


def size_of(record: Record) -> int:
    """About how many bytes of memory a record holds."""
    embedding = record.embedding if isinstance(record, Prediction) else None
    return _ROW_BYTES + 4 * len(record.text or "") + len(embedding or b"")


def to_line(record: Record) -> bytes:
    """A record as a line of JSON."""
    values = asdict(record)
    if isinstance(record, Prediction) and record.embedding is not None:
        values["embedding"] = base64.b64encode(record.embedding).decode()
    return json.dumps({"kind": type(record).__name__.lower(), **values}, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> Record:
    """The record of :func:`to_line`.

    :raises ValueError: if the line is none.
    """
    try:
        values: dict[str, Any] = json.loads(line)
        kind = values.pop("kind")
        if kind == "feedback":
            return Feedback(**values)
        if values["embedding"] is not None:
            values["embedding"] = base64.b64decode(values["embedding"], validate=True)
        return Prediction(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no record: {type(error).__name__}") from None


@dataclass(frozen=True)
class _Answered:
    label: str | None = None
    score: float | None = None
    embedding: bytes | None = None


def _answers(outcome: Outcome, texts: int) -> list[_Answered]:
    if outcome.answer is None:
        return [_Answered()] * texts
    embeddings = outcome.answer.embedding.astype("<f2")
    return [
        # What is finite in float32 may be too large for float16, and no number is no embedding.
        _Answered(label, score, embedding.tobytes() if np.isfinite(embedding).all() else None)
        for (label, score), embedding in zip(predictions_in(outcome.answer), embeddings, strict=True)
    ]


def _keeps_text(request_id: str, settings: ServingSettings) -> bool:
    if settings.log_text == "sample":
        return share_of(request_id, purpose="log_text") < settings.log_sample_fraction
    return settings.log_text == "full"
