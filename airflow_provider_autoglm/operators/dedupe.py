"""Remove exact and near duplicates from a corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.operators.base import CorpusOperator
from airflow_provider_autoglm.operators.kernels import keep_kernels
from airflow_provider_autoglm.settings import DedupeSettings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.result import StageResult
    from airflow_provider_autoglm.operators.stage_run import StageRun


class SimHashDedupeOperator(CorpusOperator):
    """Remove documents that are equal or similar to one that is kept.

    Removed rows lie in ``removed/`` with ``kept_id``, ``hamming`` and ``jaccard``; the task fails when more than
    ``max_removed_fraction`` would go. The task's MLflow run shows what went in `dedupe.html`: histograms, and twenty
    pairs of a removed and a kept text with the differing words marked.

    With ``run`` (and ``settings.across_runs``) documents are compared with those of earlier runs too, as far as the
    dataset holds them. Earlier is by logical date, so a backfill does not see runs that came after its date.

    :param prints: what the tasks of :class:`~airflow_provider_autoglm.operators.dedupe_search.FingerprintOperator` made
        of the parts of ``source``, in order; default: this task looks at every document itself. Templated.
    :param found: what the tasks of :class:`~airflow_provider_autoglm.operators.dedupe_search.CandidateSearchOperator`
        found in them; goes with ``prints``. Templated.
    """

    stage = "dedupe"
    settings_model = DedupeSettings
    template_fields: Sequence[str] = ("prints", "found", *CorpusOperator.template_fields)

    def __init__(
        self, *, prints: Sequence[str] | None = None, found: Sequence[str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.prints = prints
        self.found = found

    def write(self, settings: DedupeSettings, destination: str, stage_run: StageRun) -> StageResult:
        """Call :func:`airflow_provider_autoglm.corpus.dedupe.deduplicate`, or what is left of it."""
        keep_kernels()
        from airflow_provider_autoglm.corpus.publish.versions import version_before

        run = stage_run.run
        state_uri = published = None
        if run is not None:
            version = version_before(run.datasets, run.folder, stage_run.storage)
            state_uri, published = run.kept_documents, [] if version is None else [version.uri]
        return self._remove()(
            self.source,
            destination,
            settings,
            state_uri=state_uri,
            as_of=stage_run.as_of,
            published=published,
            storage=stage_run.storage,
            provenance=stage_run.provenance,
        )

    def _remove(self) -> Callable[..., StageResult]:
        """What does the work: all of it, or what is left after a search by other tasks.

        :raises SettingsError: if one of ``prints`` and ``found`` is given without the other.
        """
        from airflow_provider_autoglm.corpus.dedupe import deduplicate
        from airflow_provider_autoglm.corpus.dedupe.sharded import resolve

        if self.prints is None and self.found is None:
            return deduplicate
        if self.prints is None or self.found is None:
            raise SettingsError([f"{self.stage}: prints= and found= go together; give both, or none"])
        # One request each; iterating asks for every part.
        return partial(resolve, prints=list(self.prints[:]), found=list(self.found[:]))
