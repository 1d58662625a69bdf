"""Splitting a corpus into parts for mapped tasks, and joining what they made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from airflow_provider_autoglm.corpus.manifest import Part
from airflow_provider_autoglm.corpus.result import ProgressCallback, StageResult
from airflow_provider_autoglm.corpus.stage import Provenance, StageAttempt
from airflow_provider_autoglm.corpus.storage import Storage, as_uri
from airflow_provider_autoglm.corpus.store import Corpus, open_sources

MAX_PARTS = 64
_PART_FOLDER = "/part="


def split_corpus(
    source: str, destination: str, *, max_parts: int = MAX_PARTS, storage: Storage | None = None
) -> list[dict[str, str]]:
    """``source`` and ``destination`` of each part, as even as whole shards allow; nothing is written.

    The list depends on the manifest alone, so a retry maps the same. An empty corpus is one part.
    """
    corpus = Corpus.open(source, storage=storage, verify=False)
    uri, folder = as_uri(source), as_uri(destination)
    shards = len(corpus.shards)
    if shards == 0:
        return [{"source": uri, "destination": f"{folder}{_PART_FOLDER}000"}]
    parts = min(shards, max_parts)
    bounds = [shards * part // parts for part in range(parts + 1)]
    return [
        {
            "source": f"{uri}#shards={first}-{last - 1}",
            "destination": f"{folder}{_PART_FOLDER}{part:03d}",
        }
        for part, (first, last) in enumerate(pairwise(bounds))
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

    ``duration_s`` and ``rows_per_s`` are those of the parts together, as if one task had worked through them.
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
        reasons = {key: value for key, value in manifest.metrics.items() if key.startswith(("rejected/", "removed/"))}
        attempt.add_part(part, manifest.counters, reasons)
        attempt.report()
    seconds = sum(corpus.manifest.metrics.get("duration_s", 0.0) for corpus in corpora)
    rows = sum(corpus.manifest.counters.rows_in for corpus in corpora)
    return attempt.commit(metrics={"duration_s": seconds, "rows_per_s": rows / seconds if seconds else 0.0})


def stage_folder(destination: str) -> str:
    """The folder of the whole stage, also for the destination of a part."""
    return as_uri(destination).partition(_PART_FOLDER)[0]


def whole_corpus(source: str) -> str:
    """The corpus that a part was split from."""
    return as_uri(source).partition("#")[0]
