"""How good the labels of a version are, as far as it is known: what each run brought, and who has looked at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from airflow_provider_autoglm.corpus.manifest import Input, Manifest, ReviewRecord, find_manifest
from airflow_provider_autoglm.corpus.publish.composition import Confidence
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import AutoGLMError

MOST_EARLIER_BATCHES = 50
"""Card and report list the newest 20. At half a kilobyte each, records of every run ever would soon be most of the
manifest; earlier versions keep their own."""

_CALIBRATION = "calibration/"
_STAGES_BACK = 3


class Batch(BaseModel):
    """What one corpus brought into a version, when it was published; later versions carry the record on.

    Of its ``rows``, ``automatic`` were labelled by a machine; ``mean_score`` is the labeler's own confidence in these,
    which is an estimate of their accuracy only if it ``is_calibrated``, and checked by nobody. ``review`` is what
    people found in a random sample of the corpus. ``source`` is empty for rows of a version that kept no such record.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int
    source: str = ""
    digest: str = ""
    settings_digest: str = ""
    rows: int
    automatic: int
    mean_score: float | None = None
    is_calibrated: bool = False
    review: ReviewRecord | None = None

    @property
    def outcome(self) -> str:
        """``passed``, ``failed`` or ``unreviewed``."""
        return "unreviewed" if self.review is None else self.review.outcome

    @property
    def is_reviewed(self) -> bool:
        """Whether people have passed its labels, or given all of them."""
        return self.outcome == "passed" or self.automatic == 0

    @property
    def standing(self) -> tuple[str, bool, bool | None]:
        """All that it adds to what is said of a whole version: outcome, is reviewed, its scores are calibrated."""
        return self.outcome, self.is_reviewed, None if self.mean_score is None else self.is_calibrated


def batch_of(corpus: Corpus, version: int, rows: int, confidence: Confidence) -> Batch:
    """The record of ``rows`` rows that ``corpus`` brings into ``version``."""
    manifest = corpus.manifest
    return Batch(
        version=version,
        source=corpus.uri,
        digest=corpus.digest,
        settings_digest=manifest.settings_digest,
        rows=rows,
        automatic=confidence.rows,
        mean_score=confidence.mean_score,
        is_calibrated=_is_calibrated(manifest, corpus.storage),
        review=manifest.review,
    )


def earlier_batches(manifest: Manifest) -> list[Batch]:
    """What a version says of where its labels come from; of one that says nothing, that nobody has looked.

    Of many the newest ``MOST_EARLIER_BATCHES`` are left, and before them the newest of each standing: so what is said
    of all of them, or of some, stays as true as it was.
    """
    record: Mapping[str, Any] = manifest.dataset or {}
    if "reviews" not in record:
        return [Batch(version=int(record["version"]), rows=manifest.rows, automatic=manifest.rows)]
    batches = [Batch.model_validate(batch) for batch in record["reviews"]]
    newest_of_standing = {batch.standing: number for number, batch in enumerate(batches[:-MOST_EARLIER_BATCHES])}
    return [*(batches[number] for number in sorted(newest_of_standing.values())), *batches[-MOST_EARLIER_BATCHES:]]


def is_reviewed(batches: Sequence[Batch]) -> bool:
    """Whether people have looked at all that a version is made of, and passed it."""
    return bool(batches) and all(batch.is_reviewed for batch in batches)


def _is_calibrated(manifest: Manifest, storage: Storage, stages_back: int = _STAGES_BACK) -> bool:
    """Whether the stage that gave the scores, or one it came from, has measured them on labelled texts."""
    if any(name.startswith(_CALIBRATION) for name in manifest.metrics):
        return True
    return stages_back > 0 and any(_was_calibrated(origin, storage, stages_back) for origin in manifest.origins)


def _was_calibrated(origin: Input, storage: Storage, stages_back: int) -> bool:
    try:
        found, _ = find_manifest(origin.uri, storage)
    except AutoGLMError:  # a web site, another storage, or damaged: then it is not known
        return False
    return found is not None and found.digest == origin.digest and _is_calibrated(found, storage, stages_back - 1)
