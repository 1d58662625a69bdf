"""The circle: from the check that found the drift to the model that knows what is new, each named by the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Self

from airflow_provider_autoglm.corpus.schema import LABELLED_BY_PEOPLE
from airflow_provider_autoglm.corpus.store import Corpus
from demo.checks import CheckFigures
from demo.docstrings import NEW_AREA
from demo.held_out import Comparison
from demo.rollouts import RolloutFigures
from demo.texts import TRAFFIC

SAME_AREAS = 0.15
DRIFTED = 0.3
"""G of a check: below the first before the new area comes, above the second after it."""

CONFIRMATIONS = 2
MIN_ROWS_FROM_TRAFFIC = 50
MIN_HELD_OUT = 200
MAX_P_VALUE = 0.01
_COLUMNS = ["doc_id", "source", "label", "label_source"]


@dataclass(frozen=True)
class TrafficVersion:
    """A dataset version with what came from traffic: ``of_the_new_area`` rows by their true area.

    Of these ``told`` carry a label that a client told, and ``right`` the true one. ``labels_told`` are all rows of the
    version with a label of a client's.
    """

    version: int
    uri: str
    reasons: Sequence[str]
    checks: Sequence[int]
    rows: int
    from_traffic: int
    labels_told: int
    of_the_new_area: int
    told: int
    right: int

    @classmethod
    def read(cls, uri: str, area_by_document: Mapping[str, str]) -> Self:
        """Read a committed version.

        :param area_by_document: the true area of what clients asked, by ``doc_id``.
        """
        corpus = Corpus.open(uri)
        record: Mapping[str, Any] = corpus.manifest.dataset or {}
        rows = corpus.to_table(_COLUMNS).to_pylist()
        collected = [row for row in rows if row["source"] == TRAFFIC]
        new = [row for row in collected if area_by_document.get(row["doc_id"]) == NEW_AREA]
        return cls(
            version=int(record["version"]),
            uri=corpus.uri,
            reasons=list(record["reasons"]),
            checks=list(record["checks"]),
            rows=len(rows),
            from_traffic=len(collected),
            labels_told=sum(row["label_source"] in LABELLED_BY_PEOPLE for row in rows),
            of_the_new_area=len(new),
            told=sum(row["label_source"] in LABELLED_BY_PEOPLE for row in new),
            right=sum(row["label"] == NEW_AREA for row in new),
        )


@dataclass(frozen=True)
class ModelLink:
    """The version that was trained on it: ``tags`` are those that name where it comes from."""

    version: str
    url: str
    method: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Circle:
    """All of it. ``rollout_started_by`` is the key of the rollout, ``champion`` the version of the routes at the end.

    ``dataset_run`` is the DAG run that the asset woke, as checks name it. ``new_area`` and ``known_areas`` compare the
    champion before with the one after.
    """

    checks: Sequence[CheckFigures]
    dataset_run: str
    dataset: TrafficVersion
    model: ModelLink
    rollout: RolloutFigures
    rollout_started_by: str
    champion: str | None
    new_area: Comparison
    known_areas: Comparison

    def problems(self) -> list[str]:
        """Every expectation that was not met, in words; empty if all were."""
        return [
            *self._problems_of_checks(),
            *self._problems_of_the_dataset(),
            *self._problems_of_the_chain(),
            *self._problems_of_the_model(),
        ]

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON types, with the chain of references from the check to the champion."""
        comparisons = {"new_area": self.new_area, "known_areas": self.known_areas}
        return {
            **asdict(self),
            "rollout": {**asdict(self.rollout), "seconds": self.rollout.seconds},
            **{
                name: {
                    **asdict(comparison),
                    "accuracy_before": round(comparison.accuracy_before, 4),
                    "accuracy_after": round(comparison.accuracy_after, 4),
                }
                for name, comparison in comparisons.items()
            },
            "chain": self.chain(),
        }

    def chain(self) -> dict[str, Any]:
        """What names what, from the confirmed check to the champion."""
        confirmed = self.confirmed
        return {
            "check": confirmed.id if confirmed else None,
            "answered_by": confirmed.answered_by if confirmed else None,
            "dataset_version": self.dataset.version,
            "dataset_reasons": list(self.dataset.reasons),
            "dataset_checks": list(self.dataset.checks),
            "model_version": self.model.version,
            "model_tags": dict(self.model.tags),
            "rollout": self.rollout.id,
            "rollout_started_by": self.rollout_started_by,
            "rollout_state": self.rollout.state,
            "champion": self.champion,
        }

    @property
    def confirmed(self) -> CheckFigures | None:
        """The check that started the circle; None without one."""
        return next((check for check in self.checks if check.is_confirmed), None)

    def _problems_of_checks(self) -> Iterator[str]:
        before, *after = self.checks
        if before.separation is None or before.separation >= SAME_AREAS or before.is_confirmed:
            yield f"before the new area check {before.id} is {before.state}, G {before.separation}"
        for check in after:
            if check.separation is None or check.separation <= DRIFTED or check.state != "drifted":
                yield f"after the new area check {check.id} is {check.state}, G {check.separation}"
        for earlier, later in pairwise(self.checks):
            last = earlier.last_prediction_id or 0
            if (later.last_prediction_id or 0) <= last:
                yield f"check {later.id} saw no row after row {last}, the last of check {earlier.id}"
        ids = [check.id for check in self.checks]
        confirmed = [check.id for check in self.checks if check.is_confirmed]
        if len(after) < CONFIRMATIONS or confirmed != ids[-1:]:
            yield f"of the checks {ids} are confirmed {confirmed}, expected the last of {1 + CONFIRMATIONS}"

    def _problems_of_the_dataset(self) -> Iterator[str]:
        if self.dataset.of_the_new_area < MIN_ROWS_FROM_TRAFFIC:
            yield (
                f"dataset version {self.dataset.version} has {self.dataset.of_the_new_area} rows of {NEW_AREA} from "
                f"traffic, expected {MIN_ROWS_FROM_TRAFFIC}"
            )
        if not self.dataset.labels_told:
            yield f"dataset version {self.dataset.version} has no label of the clients'"

    def _problems_of_the_chain(self) -> Iterator[str]:
        chain = self.chain()
        tags = {"autoglm.dataset_version": str(self.dataset.version), "autoglm.reasons": "drift"}
        expected = {
            "answered_by": self.dataset_run,
            "dataset_reasons": ["drift"],
            "dataset_checks": [chain["check"]],
            "model_tags": tags,
            "rollout_state": "done",
            "champion": self.model.version,
        }
        for link, value in expected.items():
            if chain[link] != value:
                yield f"the chain breaks at {link}: {chain[link]}, expected {value}"
        if self.rollout.version != self.model.version:
            yield f"rollout {self.rollout.id} is of version {self.rollout.version}, expected {self.model.version}"

    def _problems_of_the_model(self) -> Iterator[str]:
        compared = self.new_area
        if compared.rows < MIN_HELD_OUT:
            yield f"the models are compared on {compared.rows} texts of {NEW_AREA}, expected {MIN_HELD_OUT}"
        if compared.after <= compared.before or compared.p_value >= MAX_P_VALUE:
            yield (
                f"version {self.model.version} has {compared.after} of {compared.rows} texts of {NEW_AREA} right, the "
                f"champion before {compared.before} (p = {compared.p_value:.2g}), expected more (p < {MAX_P_VALUE})"
            )
