"""What a labeler takes from the texts it is to label, decided once for all tasks and retries of a stage."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_autoglm.corpus.manifest import digest_of
from airflow_provider_autoglm.corpus.parts import stage_folder, whole_corpus
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError, SettingsError, StorageError
from airflow_provider_autoglm.labeling.calibration import CalibratedLabeler, Calibration, calibrate
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.known_labels import read_known_labels
from airflow_provider_autoglm.labeling.labelers import build
from airflow_provider_autoglm.labeling.labels import Labeler
from airflow_provider_autoglm.labeling.llm.spending import spending_metrics
from airflow_provider_autoglm.labeling.predictions import predict_each
from airflow_provider_autoglm.labeling.refinement import refined, sample_vectors
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.labeling.routing import routes
from airflow_provider_autoglm.labeling.sample import TextSample
from airflow_provider_autoglm.settings.label import ANY_LANGUAGE, LabelSettings

log = logging.getLogger(__name__)

_REGISTRY = "models:/"


class Fitted(BaseModel):
    """What the tasks of a stage share of the labeler of one route.

    ``model`` is the version that an alias stood for, ``texts`` how many were looked at; ``prototypes`` and ``center``
    are vectors of the encoder; ``precision`` is what the check of INT8 has left of the settings'.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    texts: int = 0
    prototypes: tuple[tuple[float, ...], ...] | None = None
    center: tuple[float, ...] | None = None
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto"
    int8_agreement: float | None = None
    calibration: Calibration | None = None

    def metrics(self) -> dict[str, float]:
        """What MLflow is told."""
        found = {} if self.calibration is None else self.calibration.metrics()
        return found if self.int8_agreement is None else {**found, "int8/agreement": self.int8_agreement}


@dataclass(frozen=True)
class Fitting:
    """Fits labelers to the whole corpus, also where ``source`` is a part.

    What was found is kept in the stage's folder: the first task to finish decides for all parts and retries.
    """

    settings: LabelSettings
    source: str | Sequence[str]
    destination: str
    resources: Resources
    _whole: list[tuple[Corpus, ...]] = field(default_factory=list, repr=False)

    def labeler(self, route: str) -> Labeler | None:
        """The labeler of a route, refined, checked and calibrated; None if its texts stay without label.

        :raises MissingColumnsError: if a corpus lacks ``doc_id`` or ``text``.
        :raises SettingsError: if there is no corpus ``settings.calibration``.
        :raises StorageError: if what an earlier task has found cannot be read.
        """
        if not self.settings.has_model_for(_language(route)):
            return None
        fitted = self._fitted(route)
        labeler = self._built(route, fitted)
        return labeler if fitted.calibration is None else CalibratedLabeler(labeler, fitted.calibration.temperature)

    def exact_labeler(self, route: str) -> Labeler | None:
        """The same labeler 32-bit, without dropout and calibration: with gradients, to explain what it did."""
        if not self.settings.has_model_for(_language(route)):
            return None
        return replace(self, settings=self.settings.model_copy(update={"mc_dropout": 0}))._built(
            route, self._fitted(route).model_copy(update={"precision": "fp32"})
        )

    def metrics(self) -> dict[str, float]:
        """What was found out for each route; the names of those of one language begin with it."""
        found: dict[str, float] = {}
        for route in routes(self.settings):
            fitted = _read(self._uri(route), self._storage)
            for name, value in (fitted.metrics() if fitted else {}).items():
                kind, _, measure = name.partition("/")
                found[name if route == ANY_LANGUAGE else f"{kind}/{route}/{measure}"] = value
        return found | spending_metrics(self.settings, self._own_resources)

    @property
    def _own_resources(self) -> Resources:
        return replace(self.resources, work=stage_folder(self.destination))

    @property
    def _storage(self) -> Storage:
        return self.resources.storage

    def _fitted(self, route: str) -> Fitted:
        """What the first task has found; else found now and kept."""
        uri = self._uri(route)
        fitted = _read(uri, self._storage)
        if fitted is None:
            fitted = self._fit(route)
            try:
                self._storage.create(uri, fitted.model_dump_json().encode())
            except FileExistsError:
                fitted = _read(uri, self._storage) or fitted
        return fitted

    def _corpora(self) -> tuple[Corpus, ...]:
        if not self._whole:
            sources = [self.source] if isinstance(self.source, str) else self.source
            uris = list(dict.fromkeys(map(whole_corpus, sources)))
            # The task verifies the shards of its own part; the sampled texts of the whole are only read.
            self._whole.append(open_sources(uris, storage=self._storage, verify=False))
        return self._whole[0]

    def _uri(self, route: str) -> str:
        digests = [corpus.digest for corpus in self._corpora()]
        work = digest_of(digests, self.settings.model_dump(mode="json"), self.resources.known, route)
        return f"{stage_folder(self.destination)}/_fitted/{work}.json"

    def _fit(self, route: str) -> Fitted:
        model, pin = self.settings.model_for(_language(route)), self.resources.pin_model
        pinned = pin(model) if pin is not None and model.startswith(_REGISTRY) else model
        fitted = Fitted(model=pinned, precision=self.settings.precision)
        sample = TextSample(self._corpora(), self.settings, route)
        if self.settings.kind == "embedding" and (self.settings.refine or self.settings.center):
            fitted = self._refined(route, fitted, sample)
        if self.settings.precision == "int8":
            fitted = self._checked_int8(route, fitted, sample)
        return self._calibrated(route, fitted)

    def _built(self, route: str, fitted: Fitted) -> Labeler:
        settings = self.settings.model_copy(update={"precision": fitted.precision})
        if fitted.model != settings.model_for(_language(route)):
            settings = settings.model_copy(update={"model": fitted.model, "models": {}})
        labeler = build(settings, language=_language(route), resources=self._own_resources)
        if isinstance(labeler, EmbeddingLabeler) and fitted.prototypes is not None:
            center = None if fitted.center is None else np.asarray(fitted.center, np.float32)
            return labeler.with_prototypes(np.asarray(fitted.prototypes, np.float32), center)
        return labeler

    def _refined(self, route: str, fitted: Fitted, sample: TextSample) -> Fitted:
        labeler = self._built(route, fitted.model_copy(update={"precision": _without_int8(fitted.precision)}))
        assert isinstance(labeler, EmbeddingLabeler)
        vectors = sample_vectors(labeler, sample)
        center = vectors.mean(axis=0) if self.settings.center and len(vectors) else None
        labeler = labeler.with_prototypes(labeler.prototypes, center)
        prototypes = refined(labeler, vectors) if self.settings.refine else labeler.prototypes
        log.info("label: %d prototypes fitted on %d texts", len(prototypes), len(vectors))
        return fitted.model_copy(
            update={
                "texts": len(vectors),
                "prototypes": tuple(map(tuple, prototypes.tolist())),
                "center": None if center is None else tuple(center.tolist()),
            }
        )

    def _checked_int8(self, route: str, fitted: Fitted, sample: TextSample) -> Fitted:
        exact = self._built(route, fitted.model_copy(update={"precision": "fp32"}))
        fast = self._built(route, fitted)
        agreement = _agreement(exact, fast, sample, len(self.settings.labels))
        is_kept = agreement >= self.settings.int8_min_agreement
        verdict = "used" if is_kept else "not used, see label.int8_min_agreement"
        level = logging.INFO if is_kept else logging.WARNING
        log.log(level, "label: INT8 gives %.1f %% of sampled texts the label of fp32: %s", 100 * agreement, verdict)
        return fitted.model_copy(
            update={"int8_agreement": agreement, "precision": "int8" if is_kept else "fp32"},
        )

    def _calibrated(self, route: str, fitted: Fitted) -> Fitted:
        uri = self.settings.calibration or self.resources.known
        if not uri:
            return fitted
        try:
            known = read_known_labels(uri, self.settings, route, self._storage)
        except CorpusNotCommittedError as error:
            if not self.settings.calibration:
                raise
            raise SettingsError([f"label.calibration = {uri!r}: {error}"]) from None
        if len(known.texts) < self.settings.calibration_min_rows:
            self._tell_too_few(uri, route, len(known.texts))
            return fitted
        found = predict_each(self._built(route, fitted), known.texts, len(self.settings.labels))
        usable = found.is_usable
        if usable.sum() < self.settings.calibration_min_rows:
            self._tell_too_few(uri, route, int(usable.sum()))
            return fitted
        calibration = calibrate(found.probabilities[usable], known.truth[usable])
        log.info(
            "label: temperature %.2f on %d texts of known label, calibration error %.3f before and %.3f after",
            calibration.temperature,
            calibration.rows,
            calibration.ece_before,
            calibration.ece_after,
        )
        return fitted.model_copy(update={"calibration": calibration})

    def _tell_too_few(self, uri: str, route: str, texts: int) -> None:
        """Say that scores stay uncalibrated: loudly where calibration was asked for."""
        log.log(
            logging.WARNING if self.settings.calibration else logging.INFO,
            "label: scores of language %s stay uncalibrated: %s has %d texts with one of the labels that the model can"
            " read, label.calibration_min_rows asks for %d",
            route,
            uri,
            texts,
            self.settings.calibration_min_rows,
        )


def _language(route: str) -> str | None:
    return None if route == ANY_LANGUAGE else route


def _without_int8(precision: str) -> str:
    return "fp32" if precision == "int8" else precision


def _agreement(exact: Labeler, fast: Labeler, sample: TextSample, classes: int) -> float:
    """Share of the texts that both label where they give the same one; 1 without such texts."""
    same = both = 0
    for texts in sample.batches():
        one, other = predict_each(exact, texts, classes), predict_each(fast, texts, classes)
        usable = one.is_usable & other.is_usable
        both += int(usable.sum())
        same += int((one.probabilities.argmax(axis=1) == other.probabilities.argmax(axis=1))[usable].sum())
    return same / both if both else 1.0


def _read(uri: str, storage: Storage) -> Fitted | None:
    try:
        return Fitted.model_validate_json(storage.read(uri))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        cause = f"{error.errors()[0]['msg']}; delete the file and run the stage again"
        raise StorageError("read what was fitted to the corpus", uri, cause) from None
