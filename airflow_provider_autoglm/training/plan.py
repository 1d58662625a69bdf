"""Which dataset version a retrain takes, so that each is considered once whatever wakes the DAG."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_autoglm.corpus.publish.reasons import added_reasons
from airflow_provider_autoglm.corpus.publish.versions import Version, committed_versions, version_uri
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import CorpusNotCommittedError
from airflow_provider_autoglm.settings import RetrainSettings

_CLAIM = re.compile(r"v(\d+)\.json$")
_UNSTATED = ("manual",)


@dataclass(frozen=True)
class RetrainPlan:
    """A dataset version to train on, with the reasons of all versions since the last one that was considered."""

    version: int
    uri: str
    digest: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class NothingToTrain:
    """Why no dataset version is trained on."""

    why: str


def plan_retrain(
    datasets: str,
    claims: str,
    settings: RetrainSettings,
    *,
    claimed_by: str,
    version: int | None = None,
    added: str | None = None,
    storage: Storage | None = None,
) -> RetrainPlan | NothingToTrain:
    """Choose the newest dataset version below ``datasets`` that nobody has considered, and claim it.

    The claim is a file below ``claims``, created if absent: of two runs one gets the version, and gets it again when
    it is retried. Reasons are those of all versions since the last claimed one, since events between may be lost.

    :param added: folder of the reasons that versions were given after they were published.
    :param version: train on this version whoever has considered it and whatever its reasons are.
    :raises CorpusNotCommittedError: if ``version`` is not published.
    """
    storage = storage or Storage.local()
    versions = list(committed_versions(datasets, storage))
    if version is not None:
        chosen = next((found for found in versions if found.number == version), None)
        if chosen is None:
            raise CorpusNotCommittedError(version_uri(datasets, version))
        _claim(claims, version, claimed_by, storage)
        return _plan(chosen, _reasons([chosen], added, storage))
    if not versions:
        return NothingToTrain("no dataset version is published yet")
    newest = versions[0]
    owner = _owner(claims, newest.number, storage)
    if owner not in (None, claimed_by):
        return NothingToTrain(f"dataset version {newest.number} was considered by {owner}")
    last = max((number for number in _claimed(claims, storage) if number < newest.number), default=0)
    reasons = _reasons([found for found in versions if found.number > last], added, storage)
    if not set(reasons) & set(settings.on):
        return NothingToTrain(
            f"dataset version {newest.number} was made for {', '.join(reasons)}; "
            f"retrain.on names {', '.join(settings.on)}"
        )
    owner = _claim(claims, newest.number, claimed_by, storage)
    if owner != claimed_by:
        return NothingToTrain(f"dataset version {newest.number} was considered by {owner}")
    return _plan(newest, reasons)


def _plan(version: Version, reasons: tuple[str, ...]) -> RetrainPlan:
    return RetrainPlan(version.number, version.uri, version.manifest.digest, reasons)


def _reasons(versions: Sequence[Version], added: str | None, storage: Storage) -> tuple[str, ...]:
    stated = [reason for found in versions for reason in (found.manifest.dataset or {}).get("reasons", _UNSTATED)]
    later = [reason for found in versions for reason in added_reasons(added, found.number, storage)] if added else []
    return tuple(dict.fromkeys([*stated, *later]))


def _claim(claims: str, version: int, claimed_by: str, storage: Storage) -> str:
    """Claim the version unless somebody has; returns who has it now."""
    try:
        storage.create(_claim_uri(claims, version), json.dumps({"claimed_by": claimed_by}).encode())
    except FileExistsError:
        return _owner(claims, version, storage) or claimed_by
    return claimed_by


def _owner(claims: str, version: int, storage: Storage) -> str | None:
    try:
        return str(json.loads(storage.read(_claim_uri(claims, version)))["claimed_by"])
    except FileNotFoundError:
        return None


def _claimed(claims: str, storage: Storage) -> list[int]:
    return [int(match[1]) for uri in storage.list(claims) if (match := _CLAIM.search(uri))]


def _claim_uri(claims: str, version: int) -> str:
    return f"{claims}/v{version}.json"
