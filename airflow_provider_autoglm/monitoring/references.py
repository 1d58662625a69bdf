"""What drift checks compare with: the first traffic of a champion, or its training data, frozen once as a corpus."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from airflow_provider_autoglm.corpus.manifest import Manifest, find_manifest
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import AutoGLMError, MissingExtraError, UnusableSampleError
from airflow_provider_autoglm.monitoring.drift import measure
from airflow_provider_autoglm.monitoring.sample import Sample, sample_of
from airflow_provider_autoglm.settings.drift import DriftSettings
from airflow_provider_autoglm.state.routes import Model
from airflow_provider_autoglm.state.served import Served

log = logging.getLogger(__name__)

ReferenceKind = Literal["traffic_baseline", "training"]

Packed = Callable[[Model], pa.Table]
"""Fetches what :func:`training.reference.read_reference` reads from a model's package."""

_STAGE = "reference"
_LAST_PREDICTION_ID = "last_prediction_id"
_DOMAIN_GAP = "domain_gap/"


@dataclass(frozen=True)
class DomainGap:
    """How far the first traffic of a model is from its training data, as :class:`DriftReport` measures it."""

    score: float
    separation: float
    label_shift: float
    p_value: float


@dataclass(frozen=True)
class Reference:
    """A frozen reference of one version.

    :param uri: the corpus; ``digest`` is of its rows.
    :param last_prediction_id: the newest row of the prediction log in it; 0 for training data.
    :param domain_gap: None for training data, and where that could not be had when the baseline was frozen.
    """

    kind: ReferenceKind
    uri: str
    digest: str
    sample: Sample
    last_prediction_id: int
    domain_gap: DomainGap | None


def find_reference(
    references: str, model: Model, kind: ReferenceKind, *, storage: Storage | None = None
) -> Reference | None:
    """The frozen reference of ``model``, or None. One of another model with the same version is not of this one.

    :param references: folder URI of all references.
    :raises CorpusError: if it is damaged; the message names the corpus.
    """
    return _Place.of(references, model, kind, storage).find()[0]


def freeze_baseline(
    references: str,
    model: Model,
    served: Sequence[Served],
    settings: DriftSettings,
    *,
    pipeline: str,
    packed: Packed,
    storage: Storage | None = None,
) -> Reference | None:
    """Freeze the first ``settings.baseline_rows`` rows that ``model`` has served, or return what is frozen already.

    They are compared with its training data once; without MLflow they are frozen all the same. Of two that freeze at
    once one wins, and the other gets the winner's.

    :param served: what the model answered outside any rollout, oldest first.
    :returns: None while there are fewer rows than that.
    :raises CorpusError: if what is frozen is damaged.
    """
    place = _Place.of(references, model, "traffic_baseline", storage)
    found, generation = place.find()
    if found is not None or len(served) < settings.baseline_rows:
        return found
    first = served[: settings.baseline_rows]
    sample = sample_of(first)
    gap = _domain_gap(model, sample, settings, packed)
    table = pa.table(
        {
            "request_id": pa.array([row.request_id for row in first], pa.string()),
            "label": pa.array(sample.labels, pa.string()),
            "embedding": _as_column(sample),
            "at": pa.array([round(row.at * 1_000_000) for row in first], pa.timestamp("us", tz="UTC")),
        }
    )
    metrics = {_LAST_PREDICTION_ID: float(first[-1].id)}
    if gap is not None:
        metrics |= {f"{_DOMAIN_GAP}{name}": value for name, value in asdict(gap).items()}
    return place.commit(table, metrics, generation + 1, pipeline)


def freeze_training(
    references: str, model: Model, *, pipeline: str, packed: Packed, storage: Storage | None = None
) -> Reference:
    """Freeze the training data that are packed with ``model``, or return what is frozen already.

    :raises CorpusError: if what is frozen is damaged.
    :raises TrackingUnavailableError: or whatever else ``packed`` raises.
    """
    place = _Place.of(references, model, "training", storage)
    found, generation = place.find()
    return found or place.commit(packed(model), {}, generation + 1, pipeline)


@dataclass(frozen=True)
class _Place:
    """Where the reference of one model and kind lies, and what its manifest says of it."""

    uri: str
    kind: ReferenceKind
    settings: Mapping[str, str]
    storage: Storage

    @classmethod
    def of(cls, references: str, model: Model, kind: ReferenceKind, storage: Storage | None) -> _Place:
        name = model.version if kind == "traffic_baseline" else f"{model.version}-{kind}"
        settings = {"version": model.version, "digest": model.digest, "kind": kind}
        return cls(f"{as_uri(references)}/{name}", kind, settings, storage or Storage.local())

    def find(self) -> tuple[Reference | None, int]:
        """The reference, and the newest generation that is committed here, be it of this model or of another."""
        manifest, generation = find_manifest(self.uri, self.storage)
        if manifest is None or manifest.settings != self.settings:
            return None, generation
        corpus = Corpus.open(self.uri, storage=self.storage)
        table = corpus.to_table(["label", "embedding"])
        return Reference(
            kind=self.kind,
            uri=self.uri,
            digest=corpus.digest,
            sample=_as_sample(table),
            last_prediction_id=int(manifest.metrics.get(_LAST_PREDICTION_ID, 0)),
            domain_gap=_gap_of(manifest),
        ), generation

    def commit(self, table: pa.Table, metrics: Mapping[str, float], generation: int, pipeline: str) -> Reference:
        """Commit, or find that somebody else has committed first; what is there then."""
        provenance = Provenance(pipeline=pipeline)
        attempt = StageAttempt(_STAGE, [], self.uri, self.settings, storage=self.storage, provenance=provenance)
        # The one after what was looked at: whoever has frozen since then took it, and is found by the commit.
        attempt.generation = generation
        attempt.count_in(table.num_rows)
        attempt.write(table)
        attempt.commit(metrics=metrics)
        frozen, _ = self.find()
        assert frozen is not None
        return frozen


def _domain_gap(model: Model, sample: Sample, settings: DriftSettings, packed: Packed) -> DomainGap | None:
    try:
        found = measure(_as_sample(packed(model)), sample, settings)
    except AutoGLMError as error:  # whatever is wrong with the package: the baseline does not wait for it
        if isinstance(error, MissingExtraError) or (isinstance(error, UnusableSampleError) and error.side == "current"):
            raise
        log.warning("the first traffic of version %s is not compared with its training data: %s", model.version, error)
        return None
    if found.score is None or found.separation is None or found.label_shift is None or found.p_value is None:
        log.warning(
            "the first traffic of version %s is not compared with its training data: %d and %d rows are too few",
            model.version,
            found.current_rows,
            found.reference_rows,
        )
        return None
    return DomainGap(found.score, found.separation, found.label_shift, found.p_value)


def _gap_of(manifest: Manifest) -> DomainGap | None:
    found = {
        name.removeprefix(_DOMAIN_GAP): value
        for name, value in manifest.metrics.items()
        if name.startswith(_DOMAIN_GAP)
    }
    return DomainGap(**found) if found else None


def _as_column(sample: Sample) -> pa.Array:
    flat = pa.array(sample.embeddings.reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, sample.embeddings.shape[1])


def _as_sample(table: pa.Table) -> Sample:
    column = table["embedding"].combine_chunks()
    embeddings = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    return Sample(np.asarray(embeddings, np.float32), table["label"].to_pylist())
