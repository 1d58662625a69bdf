"""Splitting corpora into parts for mapped tasks, and joining what they made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from airflow_provider_autoglm.corpus.manifest import Part
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.corpus.store import Corpus, open_sources
from airflow_provider_autoglm.exceptions import SettingsError

_COUNTED = ("rejected/", "removed/", "changed/", "masked/", "not_visited/", "bytes", "unlinked")
"""Metrics that add up over the parts."""
_SHARED = ("calibration/", "int8/", "llm/")
"""Metrics that tell of all parts together, as far as they were known when a part was finished: the last are largest."""

MAX_PARTS = 64
PART_FOLDER = "/part="


def split_corpus(
    source: str | Sequence[str], destination: str, *, max_parts: int = MAX_PARTS, storage: Storage | None = None
) -> list[dict[str, str]]:
    """``source`` and ``destination`` of each part, as even as whole shards allow; nothing is written.

    ``source`` is a corpus URI or a list of them; a part lies in one corpus. The list depends on the manifests alone,
    so a retry maps the same. An empty corpus is no part; if all are empty, the first is the only part.

    :raises SettingsError: if no corpus is given, or more than ``max_parts`` that are not empty.
    """
    corpora = open_sources(source, storage=storage, verify=False)
    filled = [corpus for corpus in corpora if corpus.shards]
    if len(filled) > max_parts:
        raise SettingsError([f"max_parts = {max_parts}: {len(filled)} corpora need at least one part each"])
    shares = _shares([len(corpus.shards) for corpus in filled], max_parts)
    parts = [part for corpus, share in zip(filled, shares, strict=True) for part in _parts(corpus, share)]
    folder = as_uri(destination)
    return [
        {"source": part, "destination": f"{folder}{PART_FOLDER}{number:03d}"}
        for number, part in enumerate(parts or [corpora[0].uri])
    ]


def join_corpora(
    sources: Sequence[str],
    destination: str,
    *,
    stage: str,
    storage: Storage | None = None,
    progress: ProgressCallback | None = None,
    provenance: Provenance | None = None,
) -> StageResult:
    """Commit one manifest that names the corpora ``sources`` as its parts; their rows are not copied.

    ``duration_s`` and ``rows_per_s`` are those of the parts together, as if one task had worked through them; so is
    what they rejected, since one source may have more of that than all of them.

    :raises TooManyRejectedError: if more rows are rejected than the stage's ``max_rejected_fraction`` allows.
    """
    corpora = open_sources(sources, storage=storage, verify=False)
    settings = corpora[0].manifest.settings
    attempt = StageAttempt(
        stage,
        [corpus.as_input() for corpus in corpora],
        destination,
        settings,
        storage=storage,
        progress=progress,
        provenance=provenance,
    )
    if attempt.committed is not None:
        return attempt.reused_result()
    attempt.origins = tuple(dict.fromkeys(item for corpus in corpora for item in corpus.manifest.origins))
    for corpus in corpora:
        relative = corpus.uri.removeprefix(f"{attempt.uri}/")
        part = Part(uri=relative, rows=corpus.manifest.rows, digest=corpus.manifest.digest)
        manifest = corpus.manifest
        reasons = {key: value for key, value in manifest.metrics.items() if key.startswith(_COUNTED)}
        attempt.add_part(part, manifest.counters, reasons)
        attempt.report()
    attempt.check_rejected(float(settings.get("max_rejected_fraction", 1.0)))
    seconds = sum(corpus.manifest.metrics.get("duration_s", 0.0) for corpus in corpora)
    rows = sum(corpus.manifest.counters.rows_in for corpus in corpora)
    shared: dict[str, float] = {}
    for corpus in corpora:
        for name, value in corpus.manifest.metrics.items():
            if name.startswith(_SHARED):
                shared[name] = max(value, shared.get(name, value))
    rate = rows / seconds if seconds else 0.0
    return attempt.commit(metrics={**shared, "duration_s": seconds, "rows_per_s": rate})


def _shares(shards: Sequence[int], max_parts: int) -> list[int]:
    """Parts of each corpus: one each, then always one more where a part has the most shards."""
    parts = [1] * len(shards)
    for _ in range(min(sum(shards), max_parts) - len(shards)):
        heaviest = max(range(len(shards)), key=lambda corpus: shards[corpus] / parts[corpus])
        parts[heaviest] += 1
    return parts


def _parts(corpus: Corpus, parts: int) -> Iterator[str]:
    shards = len(corpus.shards)
    bounds = [shards * part // parts for part in range(parts + 1)]
    yield from (f"{corpus.uri}#shards={first}-{last - 1}" for first, last in pairwise(bounds))


def is_part(destination: str) -> bool:
    """Whether the destination is that of a part, which a join makes a stage of."""
    return PART_FOLDER in as_uri(destination)


def stage_folder(destination: str) -> str:
    """The folder of the whole stage, also for the destination of a part."""
    return as_uri(destination).partition(PART_FOLDER)[0]


def whole_corpus(source: str) -> str:
    """The corpus that a part was split from."""
    return as_uri(source).partition("#")[0]
