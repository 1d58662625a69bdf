"""The stage: one pass to fingerprint, one to compare candidates, one to write."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.corpus.manifest import Input
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import TooManyRemovedError
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

if TYPE_CHECKING:
    from airflow_provider_autoglm.corpus.dedupe.prints import Prints
    from airflow_provider_autoglm.corpus.dedupe.store import DocumentStore

log = logging.getLogger(__name__)

STAGE = "dedupe"


def deduplicate(
    source: str | Sequence[str],
    destination: str,
    settings: DedupeSettings,
    *,
    state_uri: str | None = None,
    as_of: datetime | None = None,
    published: str | Sequence[str] | None = None,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Remove exact and near duplicates of ``source``, a corpus URI or several, and commit what stays in its order.

    A document goes only for one that is kept and that it is similar to; removed rows lie under ``removed/`` with
    ``kept_id``, ``hamming``, ``jaccard`` and ``reason``. Rows without ``doc_id`` or ``text`` are rejected.

    With ``state_uri`` what this run keeps is stored there and, with ``settings.across_runs``, documents are compared
    with those that earlier runs kept: as of ``as_of``, so that a run never sees a later one. ``published`` is the
    dataset version that the stored documents must be in to count, or a list of them: of an empty one none counts.

    :raises MissingColumnsError: if a corpus lacks ``doc_id``, ``text`` or a column that ``settings.keep`` needs.
    :raises UnusableColumnError: if ``doc_id`` or ``text`` holds no strings.
    :raises SettingsError: if ``settings.keep_column`` is neither a number nor a time, ``as_of`` has no time zone, or
        ``destination`` is a source.
    :raises TooManyRemovedError: if more than ``settings.max_removed_fraction`` of the rows would go for others of them.
    """
    # The compiled kernels behind this are loaded when there is work, after compile_cache has been set up.
    from airflow_provider_autoglm.corpus.compile_cache import compile_time_told
    from airflow_provider_autoglm.corpus.dedupe.prints import ScratchPrints, iter_prints, prints_schema

    removal = Removal.begin(
        source,
        destination,
        settings,
        state_uri=state_uri,
        as_of=as_of,
        published=published,
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    if removal.attempt.committed is not None:
        return removal.attempt.reused_result()
    with compile_time_told():
        started = time.monotonic()
        prints = ScratchPrints(iter_prints(removal.sources, settings), prints_schema(settings))
        return removal.finish(prints, metrics={"seconds/fingerprint": round(time.monotonic() - started, 3)})


@dataclass(frozen=True)
class Removal:
    """A de-duplication that is under way: what it reads, compares with and writes."""

    sources: tuple[Corpus, ...]
    settings: DedupeSettings
    attempt: StageAttempt
    store: DocumentStore | None
    published: tuple[Corpus, ...] | None

    @classmethod
    def begin(
        cls,
        source: str | Sequence[str],
        destination: str,
        settings: DedupeSettings,
        *,
        state_uri: str | None,
        as_of: datetime | None,
        published: str | Sequence[str] | None,
        storage: Storage | None,
        progress: ProgressCallback | None,
        provenance: Provenance | None,
        further_inputs: Sequence[Input] = (),
    ) -> Removal:
        """Open everything; see :func:`deduplicate`. ``attempt.committed`` says that there is nothing left to do."""
        from airflow_provider_autoglm.corpus.dedupe.facts import check_columns
        from airflow_provider_autoglm.corpus.dedupe.store import DocumentStore

        sources = open_sources(source, storage=storage)
        inputs = [corpus.as_input() for corpus in sources]
        store = versions = None
        if state_uri is not None:
            store = DocumentStore.open(state_uri, destination, settings, as_of=as_of, storage=storage)
            inputs.append(store.as_input())
            if published is not None and settings.across_runs:
                uris = [published] if isinstance(published, str) else published
                versions = tuple(Corpus.open(uri, storage=storage, verify=False) for uri in uris)
                inputs.extend(version.as_input() for version in versions)
        attempt = StageAttempt(
            STAGE,
            [*inputs, *further_inputs],
            destination,
            settings.model_dump(mode="json"),
            rows_total=sum(corpus.rows for corpus in sources),
            storage=storage,
            progress=progress,
            provenance=provenance,
        )
        if attempt.committed is None:
            check_columns(sources, settings)
        return cls(sources, settings, attempt, store, versions)

    def finish(
        self, prints: Prints, *, metrics: Mapping[str, float], is_compared: NDArray[np.bool_] | None = None
    ) -> StageResult:
        """Decide and write. The store is written before the corpus is committed, so that a retry misses neither."""
        from airflow_provider_autoglm.corpus.dedupe.output import write_rows
        from airflow_provider_autoglm.corpus.dedupe.plan import plan_removal

        plan = plan_removal(
            self.sources, prints, self.settings, store=self.store, published=self.published, is_compared=is_compared
        )
        rows = sum(corpus.rows for corpus in self.sources)
        removed = plan.removed - plan.removed_for_earlier
        if removed > self.settings.max_removed_fraction * rows:
            raise TooManyRemovedError(removed, rows, self.settings.max_removed_fraction, plan.sample())
        if plan.removed > self.settings.max_removed_fraction * rows:
            earlier = plan.removed_for_earlier
            log.warning(
                "dedupe: %d of %d rows go, %d of these for documents of earlier runs", plan.removed, rows, earlier
            )
        started = time.monotonic()
        part = None if self.store is None else self.store.begin_part(self.attempt)
        write_rows(self.attempt, self.sources, plan, prints, self.settings, part)
        if part is not None:
            part.commit()
        return self.attempt.commit(
            metrics={
                **metrics,
                **plan.metrics,
                "removed_fraction": plan.removed / max(rows, 1),
                "removed_for_earlier_runs": plan.removed_for_earlier,
                "seconds/write": round(time.monotonic() - started, 3),
            }
        )
