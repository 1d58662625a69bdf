"""The models on a gateway's disk: fetched by uri, checked by digest, kept for the day MLflow is away."""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import re
import shutil
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import DamagedModelError
from airflow_provider_autoglm.settings.serving import ServingSettings
from airflow_provider_autoglm.state.routes import Model
from airflow_provider_autoglm.tracking.registry import download_model, model_digest
from airflow_provider_autoglm.tracking.server import set_client_defaults

log = logging.getLogger(__name__)

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_IN_USE = ".use"
_WRITING = ".lock"


def cache_root(settings: ServingSettings) -> str:
    """``settings.cache_dir``, or the user's cache folder. Models are in its folder ``models``."""
    if settings.cache_dir:
        return os.path.abspath(settings.cache_dir)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "airflow-provider-autoglm")


def open_cache(settings: ServingSettings) -> ModelCache:
    """The cache of a gateway. Its MLflow client takes credentials where MLflow does, such as from the environment."""
    client = None
    if settings.tracking_uri:
        set_client_defaults()
        client = MlflowClient(tracking_uri=settings.tracking_uri, registry_uri=settings.tracking_uri)
    return ModelCache(os.path.join(cache_root(settings), "models"), client, keep=settings.cache_versions)


class ModelCache:
    """Packaged models in folders named by their digest. Gateways of one machine may share it; threads too.

    Beside each folder are two empty files: the lock of its writer, and one that every user holds shared, so that no
    gateway evicts what another serves. Locks end with the process that holds them.

    :param client: None if there is no MLflow server to fetch from.
    :param keep: models that stay; those used last do, and those in use.
    """

    def __init__(self, folder: str, client: MlflowClient | None, *, keep: int) -> None:
        self._folder = folder
        self._client = client
        self._keep = keep
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def want(self, digests: Collection[str]) -> None:
        """Let others evict what is in use here and not among ``digests``."""
        with self._lock:
            for digest in self._held.keys() - set(digests):
                os.close(self._held.pop(digest))

    def fetch(self, model: Model) -> str:
        """The folder with the model's files, checked; in use from now until :meth:`want` leaves it out. Blocks.

        :raises DamagedModelError: if what is at its uri is not of its digest.
        :raises TrackingUnavailableError: if it is not in the cache, and MLflow cannot be used.
        :raises OSError: if the disk refuses.
        """
        found = _DIGEST.fullmatch(model.digest)
        if found is None:
            raise DamagedModelError(model.model_uri, f"{model.digest!r} is no digest")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        destination = os.path.join(self._folder, found[1])
        self._hold(model.digest, destination)
        with _locked(destination + _WRITING):
            if not self._is_whole(model, destination):
                self._download(model, destination)
        os.utime(destination + _IN_USE)
        self._evict()
        return destination

    def close(self) -> None:
        """Let others evict everything."""
        self.want(())

    def _hold(self, digest: str, destination: str) -> None:
        descriptor = _open(destination + _IN_USE)
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for an eviction that has just begun, so not within the lock
        with self._lock:
            before = self._held.get(digest)
            self._held[digest] = descriptor
        if before is not None:
            os.close(before)

    def _is_whole(self, model: Model, destination: str) -> bool:
        if not os.path.isdir(destination):
            return False
        if model_digest(destination) == model.digest:
            return True
        log.warning("version %s is damaged in the cache and is fetched again (%s)", model.version, destination)
        shutil.rmtree(destination)
        return False

    def _download(self, model: Model, destination: str) -> None:
        for unfinished in glob.glob(f"{glob.escape(destination)}.*.part"):  # of a process that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        log.info("fetching version %s from %s", model.version, model.model_uri)
        download_model(model.model_uri, model.digest, destination, self._client)

    def _evict(self) -> None:
        """Delete what was used longest ago, down to ``keep``; what any gateway uses stays."""
        entries = [entry.path for entry in os.scandir(self._folder) if entry.is_dir() and "." not in entry.name]
        spare = len(entries) - self._keep
        for path in sorted(entries, key=_last_used):
            if spare <= 0:
                return
            with suppress(BlockingIOError), _locked(path + _IN_USE, is_patient=False):
                shutil.rmtree(path, ignore_errors=True)
                spare -= 1


def _last_used(path: str) -> float:
    try:
        return os.stat(path + _IN_USE).st_mtime
    except FileNotFoundError:
        return 0.0


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@contextmanager
def _locked(path: str, *, is_patient: bool = True) -> Iterator[None]:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if is_patient else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
