"""The assets that wake the next DAG: ``autoglm://<pipeline>/<kind>``."""

from __future__ import annotations

from urllib.parse import SplitResult

from airflow.sdk import Asset

_KINDS = ("dataset", "model", "drift", "feedback")


def dataset_asset(pipeline: str) -> Asset:
    """The pipeline's datasets; an event says that a new version is there."""
    return create_asset(pipeline=pipeline, kind="dataset")


def model_asset(pipeline: str) -> Asset:
    """The pipeline's challengers; an event says that one is ready to be rolled out."""
    return create_asset(pipeline=pipeline, kind="model")


def drift_asset(pipeline: str) -> Asset:
    """The pipeline's confirmed drifts; an event says that a dataset is owed."""
    return create_asset(pipeline=pipeline, kind="drift")


def feedback_asset(pipeline: str) -> Asset:
    """The pipeline's confirmed feedback checks; an event says that a dataset is owed."""
    return create_asset(pipeline=pipeline, kind="feedback")


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check an ``autoglm://`` URI.

    :raises ValueError: if it does not name a pipeline and a kind of asset.
    """
    if not uri.netloc or uri.path.strip("/") not in _KINDS:
        raise ValueError(f"autoglm:// URIs name a pipeline and one of {', '.join(_KINDS)}; got {uri.geturl()!r}")
    return uri._replace(path=uri.path.rstrip("/"))


def create_asset(*, pipeline: str, kind: str) -> Asset:
    """Build an asset of this provider from keyword arguments."""
    return Asset(name=f"autoglm_{pipeline}_{kind}", uri=f"autoglm://{pipeline}/{kind}")
