"""De-duplication over workers: fingerprints of parts, and shares of the search for candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_autoglm.operators.base import CorpusOperator, StageOperator
from airflow_provider_autoglm.operators.dedupe import SimHashDedupeOperator
from airflow_provider_autoglm.operators.kernels import keep_kernels
from airflow_provider_autoglm.settings import DedupeSettings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.corpus.stage import Provenance
    from airflow_provider_autoglm.operators.stage_run import StageRun


def shares(count: int) -> list[list[int]]:
    """The ``count`` shares of a search, each as number and count, to expand :class:`CandidateSearchOperator` over."""
    return [[number, count] for number in range(count)]


class FingerprintOperator(CorpusOperator):
    """Fingerprint a part of a corpus, for :class:`~airflow_provider_autoglm.operators.dedupe.SimHashDedupeOperator`.

    A mapped stage: expand it over what
    :class:`~airflow_provider_autoglm.operators.corpus.SplitCorpusOperator` returns for ``stage="fingerprint"``.
    """

    stage = "fingerprint"
    settings_key = SimHashDedupeOperator.stage
    settings_model = DedupeSettings

    def write(self, settings: DedupeSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Call :func:`airflow_provider_autoglm.corpus.dedupe.sharded.fingerprint`."""
        keep_kernels()
        from airflow_provider_autoglm.corpus.dedupe.sharded import fingerprint

        return fingerprint(
            self.source, destination, settings, storage=stage_run.storage, provenance=_provenance(stage_run)
        )


class CandidateSearchOperator(StageOperator):
    """Find, in one share of the search, the documents that have a candidate to be their near duplicate.

    A mapped stage: ``CandidateSearchOperator.partial(prints=fingerprint.output, …).expand(share=shares(8))`` runs eight
    tasks, each with an eighth of the buckets that fingerprints are compared in. Every task reads all ``prints``.

    :param prints: what the tasks of :class:`FingerprintOperator` made of all parts, in order. Templated.
    :param share: number of the share, from 0, and how many there are; see :func:`shares`.
    :param destination: URI the shares are written below; default ``<run folder>/search``. Templated.
    """

    stage = "search"
    settings_key = SimHashDedupeOperator.stage
    settings_model = DedupeSettings
    template_fields: Sequence[str] = ("prints", *StageOperator.template_fields)

    def __init__(self, *, prints: Sequence[str], share: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prints = prints
        self.share = share

    def write(self, settings: DedupeSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Call :func:`airflow_provider_autoglm.corpus.dedupe.sharded.search`."""
        keep_kernels()
        from airflow_provider_autoglm.corpus.dedupe.sharded import search

        number, count = self.share
        return search(
            list(self.prints[:]),  # one request; iterating asks for each part
            f"{destination}/share={number:03d}",
            settings,
            (number, count),
            storage=stage_run.storage,
            provenance=_provenance(stage_run),
        )


def _provenance(stage_run: StageRun) -> Provenance:
    """Computed again with the stage that this is a part of."""
    return replace(stage_run.provenance, force=stage_run.is_forced(SimHashDedupeOperator.stage))
