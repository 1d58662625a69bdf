"""De-duplication over workers: prints of parts, then shares of the search, then one task that decides and writes.

The result is that of :func:`removal.deduplicate`, row for row. Workers hand corpora on: a part's prints, and the
numbers of the documents that a share of the search found a candidate for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from airflow_provider_autoglm.corpus.dedupe.removal import Removal
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import SettingsError
from airflow_provider_autoglm.settings.dedupe import DedupeSettings

FINGERPRINT = "fingerprint"
SEARCH = "search"


def fingerprint(
    source: str | Sequence[str],
    destination: str,
    settings: DedupeSettings,
    *,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Commit the prints of ``source``, a part of a corpus or a whole one: ``prints.prints_schema``, one row a document.

    :raises MissingColumnsError: if a corpus lacks ``doc_id``, ``text`` or a column that ``settings.keep`` needs.
    :raises SettingsError: if ``settings.keep_column`` is neither a number nor a time.
    """
    from airflow_provider_autoglm.corpus.compile_cache import compile_time_told
    from airflow_provider_autoglm.corpus.dedupe.facts import check_columns
    from airflow_provider_autoglm.corpus.dedupe.prints import iter_prints

    sources = open_sources(source, storage=storage)
    attempt = StageAttempt(
        FINGERPRINT,
        [corpus.as_input() for corpus in sources],
        destination,
        settings.model_dump(mode="json"),
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    if attempt.committed is not None:
        return attempt.reused_result()
    check_columns(sources, settings)
    with compile_time_told():
        for table in iter_prints(sources, settings):
            attempt.count_in(table.num_rows)
            attempt.write(table)
    attempt.report()
    return attempt.commit()


def search(
    prints: Sequence[str],
    destination: str,
    settings: DedupeSettings,
    share: tuple[int, int],
    *,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Commit the numbers of the documents that one share of the search finds a candidate for.

    ``prints`` are those of all parts in order; ``share`` is (number, count) and takes its part of the buckets of all
    blocks of SimHash, and of the bands of MinHash. A document is found by one share at least if it has a candidate.

    :raises SettingsError: if there is no such share.
    """
    from airflow_provider_autoglm.corpus.compile_cache import compile_time_told
    from airflow_provider_autoglm.corpus.dedupe.candidates import fingerprints_of, has_candidate

    if not 0 <= share[0] < share[1]:
        raise SettingsError([f"share = {share}: the number must be from 0 to below the count"])
    sources = open_sources(prints, storage=storage)
    attempt = StageAttempt(
        SEARCH,
        [corpus.as_input() for corpus in sources],
        destination,
        {**settings.model_dump(mode="json"), "share": list(share)},
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    if attempt.committed is not None:
        return attempt.reused_result()
    every = _Together(sources)
    with compile_time_told():
        found = np.flatnonzero(has_candidate(every, fingerprints_of(every), settings, share))
    attempt.count_in(found.size)
    attempt.write(pa.table({"document": found}))
    attempt.report()
    return attempt.commit()


def resolve(
    source: str | Sequence[str],
    destination: str,
    settings: DedupeSettings,
    *,
    prints: Sequence[str],
    found: Sequence[str],
    state_uri: str | None = None,
    as_of: datetime | None = None,
    published: str | Sequence[str] | None = None,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """As :func:`removal.deduplicate`, given the ``prints`` of all parts of ``source`` in order and what was found.

    :raises SettingsError: if ``prints`` are not those of all of ``source`` in order, or ``found`` not every share of
        one search in them, or made with other settings.
    """
    from airflow_provider_autoglm.corpus.compile_cache import compile_time_told

    printed = open_sources(prints, storage=storage)
    shares = open_sources(found, storage=storage)
    _refuse_other_work(open_sources(source, storage=storage, verify=False), printed, shares, settings)
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
        further_inputs=[corpus.as_input() for corpus in (*printed, *shares)],
    )
    if removal.attempt.committed is not None:
        return removal.attempt.reused_result()
    is_compared = np.zeros(sum(corpus.rows for corpus in printed), np.bool_)
    for corpus in shares:
        for table in corpus.iter_tables():
            is_compared[table["document"].to_numpy()] = True
    with compile_time_told():
        return removal.finish(_Together(printed), metrics={}, is_compared=is_compared)


def _refuse_other_work(
    sources: Sequence[Corpus], printed: Sequence[Corpus], shares: Sequence[Corpus], settings: DedupeSettings
) -> None:
    """What is missing from a search is not seen in its result, so it is looked for here."""
    expected = settings.model_dump(mode="json")
    numbers = [tuple(corpus.manifest.settings.get("share", ())) for corpus in shares]
    problems = []
    looked_at = [
        stored
        for corpus in printed
        for item in corpus.manifest.inputs
        for stored in Corpus.open(item.uri, storage=corpus.storage, verify=False).shards
    ]
    if looked_at != [stored for corpus in sources for stored in corpus.shards]:
        problems.append("prints: they are not those of all shards of source, in order")
    if sorted(numbers) != [(number, len(shares)) for number in range(len(shares))]:
        problems.append(f"found: shares {numbers} are not all of one search")
    searched = {tuple(item.digest for item in corpus.manifest.inputs) for corpus in shares}
    if searched != {tuple(corpus.digest for corpus in printed)}:
        problems.append("found: the search was in other prints than these, or in another order")
    done = [{**corpus.manifest.settings, "share": None} for corpus in (*printed, *shares)]
    if any(made_with != {**expected, "share": None} for made_with in done):
        problems.append("prints, found: made with other settings")
    if problems:
        raise SettingsError(problems)


@dataclass(frozen=True)
class _Together:
    """The prints of several corpora as one."""

    corpora: tuple[Corpus, ...]

    def iter_tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        for corpus in self.corpora:
            yield from corpus.iter_tables(columns)
