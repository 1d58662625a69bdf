"""A drift check: the newest traffic of the champion against its reference, measured once a run and written down."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.monitoring.confirmation import confirm_drift
from airflow_provider_autoglm.monitoring.drift import DriftReport, measure
from airflow_provider_autoglm.monitoring.references import (
    Packed,
    Reference,
    find_reference,
    freeze_baseline,
    freeze_training,
)
from airflow_provider_autoglm.monitoring.sample import sample_of
from airflow_provider_autoglm.settings.drift import DriftSettings
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.checks import Check, find_check, record_check
from airflow_provider_autoglm.state.rollouts import latest_rollout
from airflow_provider_autoglm.state.routes import Model, read_routes
from airflow_provider_autoglm.state.served import Served, first_served, newest_served

log = logging.getLogger(__name__)


def check_drift(
    database: Database,
    pipeline: str,
    settings: DriftSettings,
    *,
    run: str,
    references: str,
    packed: Packed,
    storage: Storage | None = None,
) -> Check:
    """Compare what the champion answered lately with its reference, and record whether it is a confirmed drift.

    The check that ``run`` has made before is returned as it is. The reference is frozen by the first check that can.

    :param references: folder URI of all references.
    :param packed: fetches the reference that is packed with the champion; called only while none is frozen.
    :raises CorpusError: if the frozen reference is damaged; the message names it.
    :raises TrackingUnavailableError: if the training data are the reference, not frozen yet, and MLflow is away.
    :raises MissingExtraError: if scikit-learn or scipy is not installed.
    """
    found = find_check(database, pipeline, "drift", run)
    if found is not None:
        return found
    champion = read_routes(database, pipeline).champion
    if champion is None:
        comparison = _Comparison.impossible(f"{pipeline} has no champion, so there is no traffic to compare.")
    else:
        log_of = _Log(database, pipeline, champion)
        comparison = log_of.compared(settings, references=references, packed=packed, storage=storage)
    measured = Check(
        pipeline=pipeline,
        kind="drift",
        run=run,
        state=comparison.drift.state,
        score=comparison.drift.score,
        p_value=comparison.drift.p_value,
        version=None if champion is None else champion.version,
        last_prediction_id=comparison.window[-1].id if comparison.window else None,
        report=comparison.report(),
    )
    ids = [row.id for row in comparison.window]
    check = record_check(database, measured, partial(confirm_drift, settings=settings, window=ids))
    log.info(
        "drift of %s, version %s: %s, %d rows against %d of the reference; %s",
        pipeline,
        check.version,
        check.state,
        comparison.drift.current_rows,
        comparison.drift.reference_rows,
        check.report["confirmation"],
    )
    return check


@dataclass(frozen=True)
class _Comparison:
    """What was compared and found; ``reason`` says why there was too little to compare."""

    drift: DriftReport
    window: Sequence[Served] = ()
    reference: Reference | None = None
    reason: str | None = None

    @classmethod
    def impossible(cls, reason: str) -> _Comparison:
        return cls(DriftReport("insufficient_data", 0, 0), reason=reason)

    def report(self) -> dict[str, Any]:
        """All that is known, as JSON types; times are seconds since the epoch."""
        texts = sum(row.has_text for row in self.window)
        gap = self.reference.domain_gap if self.reference else None
        return {
            "reference": _named(self.reference) if self.reference else None,
            "window": _extent(self.window),
            "separation": self.drift.separation,
            "label_shift": self.drift.label_shift,
            "label_shares": {"reference": self.drift.reference_shares, "window": self.drift.current_shares},
            "mean_confidence": _mean([row.score for row in self.window]),
            "realised_accuracy": _realised(self.window),
            "learnable": texts > 0,
            "texts_kept": texts,
            "most_novel": [
                {
                    "request_id": self.window[position].request_id,
                    "label": self.window[position].label,
                    "novelty": novelty,
                }
                for position, novelty in zip(self.drift.most_novel, self.drift.most_novel_scores, strict=True)
            ],
            "domain_gap": asdict(gap) if gap else None,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class _Log:
    """The prediction log of a champion."""

    database: Database
    pipeline: str
    champion: Model

    def compared(
        self, settings: DriftSettings, *, references: str, packed: Packed, storage: Storage | None
    ) -> _Comparison:
        """The window against the reference, which is frozen if it was not and can be."""
        reference = find_reference(references, self.champion, settings.reference, storage=storage)
        if reference is None and settings.reference == "training":
            reference = freeze_training(
                references, self.champion, pipeline=self.pipeline, packed=packed, storage=storage
            )
        if reference is None:
            served = first_served(
                self.database,
                self.pipeline,
                self.champion.version,
                limit=settings.baseline_rows,
                since=self._rolled_out_at(),
            )
            reference = freeze_baseline(
                references, self.champion, served, settings, pipeline=self.pipeline, packed=packed, storage=storage
            )
            if reference is None:
                return _Comparison.impossible(
                    f"{len(served)} of {settings.baseline_rows} rows of the traffic baseline of version "
                    f"{self.champion.version} are there."
                )
        return self._against(reference, settings)

    def _against(self, reference: Reference, settings: DriftSettings) -> _Comparison:
        version = self.champion.version
        window = newest_served(
            self.database,
            self.pipeline,
            version,
            limit=settings.window_rows,
            after_id=reference.last_prediction_id,
            since=self._rolled_out_at(),
        )
        drift = measure(reference.sample, sample_of(window), settings)
        reason = None
        if len(window) < settings.min_rows:
            reason = f"{len(window)} of {settings.min_rows} rows that the window of version {version} needs are there."
        elif drift.state == "insufficient_data":
            reason = (
                f"The {reference.kind} reference of version {version} has {len(reference.sample)} rows, "
                f"too few to compare {len(window)} with."
            )
        return _Comparison(drift, window, reference, reason)

    def _rolled_out_at(self) -> float:
        """When the rollout of the champion began; rows of its version before are of an earlier registry's model."""
        rollout = latest_rollout(self.database, self.pipeline, self.champion.version)
        return rollout.created_at if rollout is not None and rollout.model == self.champion else 0.0


def _named(reference: Reference) -> dict[str, Any]:
    return {
        "kind": reference.kind,
        "uri": reference.uri,
        "digest": reference.digest,
        "rows": len(reference.sample),
    }


def _extent(window: Sequence[Served]) -> dict[str, Any]:
    times = [row.at for row in window]
    return {
        "rows": len(window),
        "first_prediction_id": window[0].id if window else None,
        "last_prediction_id": window[-1].id if window else None,
        "from": min(times, default=None),
        "until": max(times, default=None),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _realised(window: Sequence[Served]) -> dict[str, Any] | None:
    """How often people say that the answer was right, where they said anything."""
    judged = [row for row in window if row.is_judged]
    accuracy = _mean([float(row.given_label == row.label) for row in judged])
    return None if accuracy is None else {"rows": len(judged), "accuracy": accuracy}
