"""What a labelling did, read again from its corpus: labels, how sure they are, and the words that carried some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_autoglm.corpus.manifest import Counters
from airflow_provider_autoglm.corpus.report.aside import SetAside, set_aside
from airflow_provider_autoglm.corpus.report.manifests import settings_of
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.labeling.labelers import build
from airflow_provider_autoglm.labeling.labels import Labeler
from airflow_provider_autoglm.labeling.report_tally import COLUMNS, Tally
from airflow_provider_autoglm.labeling.report_texts import LabelerOf, Shown, shown_texts
from airflow_provider_autoglm.labeling.resources import Resources
from airflow_provider_autoglm.labeling.routing import routes
from airflow_provider_autoglm.settings.label import ANY_LANGUAGE, LabelSettings

_CALIBRATION = "calibration"
_CALIBRATED = {"temperature", "rows", "ece_before", "ece_after"}
_INT8 = "int8"


@dataclass(frozen=True)
class Report:
    """All of it.

    ``calibration`` holds ``temperature``, ``rows``, ``ece_before`` and ``ece_after`` by route: a language with a model
    of its own, or ``*``; a route is missing where scores are not calibrated. ``int8_agreement`` is the share of sampled
    texts with the same label as with fp32, by route, where it was measured. ``is_fitted``: explained is the labeler as
    it was after what it took from the texts, such as a refinement.
    """

    uri: str
    pipeline: str
    created_at: str
    settings: LabelSettings
    counters: Counters
    seconds: float
    tally: Tally
    calibration: Mapping[str, Mapping[str, float]]
    int8_agreement: Mapping[str, float]
    rejected: tuple[SetAside, ...]
    texts: Shown
    is_fitted: bool

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types; no text of a document."""
        return {
            "uri": self.uri,
            "created_at": self.created_at,
            "settings": self.settings.model_dump(mode="json", exclude={"labels": {"__all__": {"examples"}}}),
            "rows_in": self.counters.rows_in,
            "rows_out": self.counters.rows_out,
            "rejected": self.counters.rejected,
            "seconds": round(self.seconds, 3),
            "rejected_by_reason": {entry.reason: entry.rows for entry in self.rejected},
            **self.tally.to_dict(),
            "calibration": {route: dict(found) for route, found in self.calibration.items()},
            "int8_agreement": dict(self.int8_agreement),
            "explained": sum(bool(text.words) for text in self.texts.explained),
        }


def report_of(corpus: Corpus, *, labeler_of: LabelerOf | None = None) -> Report:
    """Read the report from a corpus that :func:`~airflow_provider_autoglm.labeling.label` committed, or a join.

    In memory are the counts, a few rows of each label, and one row group. The labels of ``explain_texts`` texts are
    explained: that loads the labeler once more, 32-bit.

    :param labeler_of: gives the labeler of a route as it was when it labelled; default is to build it from the corpus'
        settings, which is the labeler before any refinement on texts.
    """
    manifest, metrics = corpus.manifest, corpus.manifest.metrics
    settings = settings_of(manifest, LabelSettings)
    tally = Tally()
    for table in corpus.iter_tables(COLUMNS):
        tally.add(table)
    calibration = {route: _measures(metrics, _CALIBRATION, route) for route in routes(settings)}
    int8 = {route: _measures(metrics, _INT8, route) for route in routes(settings)}
    return Report(
        uri=corpus.uri,
        pipeline=manifest.pipeline,
        created_at=manifest.created_at,
        settings=settings,
        counters=manifest.counters,
        seconds=metrics.get("duration_s", 0.0),
        tally=tally,
        calibration={route: found for route, found in calibration.items() if found.keys() >= _CALIBRATED},
        int8_agreement={route: found["agreement"] for route, found in int8.items() if "agreement" in found},
        rejected=set_aside(corpus, "rejected"),
        texts=shown_texts(corpus, settings, labeler_of or _labelers(corpus, settings)),
        is_fitted=labeler_of is not None,
    )


def _measures(metrics: Mapping[str, float], kind: str, route: str) -> dict[str, float]:
    """The metrics ``<kind>/<measure>``, of a language ``<kind>/<language>/<measure>``."""
    prefix = f"{kind}/" if route == ANY_LANGUAGE else f"{kind}/{route}/"
    found = {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}
    return {name: value for name, value in found.items() if "/" not in name}


def _labelers(corpus: Corpus, settings: LabelSettings) -> LabelerOf:
    exact = settings.model_copy(update={"precision": "fp32", "mc_dropout": 0})
    resources = Resources(storage=corpus.storage)

    def labeler_of(route: str) -> Labeler:
        return build(exact, language=None if route == ANY_LANGUAGE else route, resources=resources)

    return labeler_of
