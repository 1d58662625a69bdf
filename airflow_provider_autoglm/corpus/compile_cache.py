"""Where numba keeps compiled kernels: a directory that can be set, and none at all rather than an error."""

from __future__ import annotations

import functools
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
import numba.core.event

log = logging.getLogger(__name__)

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])
_APPLICATION = "airflow-provider-autoglm"
_chosen: list[str] = []


def set_cache_directory(path: str | os.PathLike[str]) -> None:
    """Keep kernels under ``path``; takes effect for the kernels that are imported afterwards."""
    _chosen[:] = [os.fspath(path)]


def cache_directory() -> str:
    """The directory that was set, else the user's cache: ``$XDG_CACHE_HOME`` or ``~/.cache``.

    :raises RuntimeError: if none was set and the user has no home.
    """
    if _chosen:
        return _chosen[0]
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return os.path.join(user_cache, _APPLICATION)


@contextmanager
def compile_time_told() -> Iterator[None]:
    """Log how long kernels were compiled inside, if any were: that is the first call on a machine, not the work."""
    listener = numba.core.event.TimingListener()
    with numba.core.event.install_listener("numba:compile", listener):
        yield
    if listener.done:
        directory = _usable_directory(tuple(_chosen)) or "no folder: set [autoglm] cache_dir"
        log.info("kernels compiled in %.1f s at their first use, kept in %s", listener.duration, directory)


class _ForgivingCache:
    """numba's cache of one kernel, of which a full disk or a damaged file costs a compilation and no error."""

    def __init__(self, cache: Any, directory: str) -> None:
        self._cache = cache
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return self._cache.load_overload(*arguments)
        except Exception as error:  # whatever unpickling a damaged file raises
            _warn(self._directory, error)
            with suppress(OSError):
                self._cache.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        try:
            self._cache.save_overload(*arguments)
        except Exception as error:  # a full disk, or an index that is damaged
            _warn(self._directory, error)


def kernel(function: _Kernel) -> _Kernel:
    """Compile ``function`` at its first call, to run without the GIL, and keep the machine code if that is possible."""
    directory = _usable_directory(tuple(_chosen))
    if directory is None:
        return numba.njit(function, nogil=True)  # type: ignore[no-any-return]
    # numba looks at this once, while it decorates; other users of numba in the process keep their own value.
    previous = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = directory
    try:
        compiled = numba.njit(function, nogil=True, cache=True)
        compiled._cache = _ForgivingCache(compiled._cache, directory)
        return compiled  # type: ignore[no-any-return]
    except RuntimeError as error:
        _warn(directory, error)
        return numba.njit(function, nogil=True)  # type: ignore[no-any-return]
    finally:
        numba.config.CACHE_DIR = previous


@functools.cache
def _usable_directory(_chosen_then: tuple[str, ...]) -> str | None:
    try:
        directory = cache_directory()
    except RuntimeError as error:
        _warn("a cache directory", error)
        return None
    try:
        # What lies there is executed: a folder that is made here nobody else may write to.
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError as error:
        _warn(directory, error)
        return None


@functools.cache
def _warn_once(directory: str) -> Callable[[object], None]:
    waiting = [True]

    def warn(error: object) -> None:
        if waiting:
            waiting.clear()
            log.warning(
                "cannot keep compiled kernels in %s (%s): each process compiles them again, up to 20 s; "
                "set [autoglm] cache_dir to a writable directory",
                directory,
                error,
            )

    return warn


def _warn(directory: str, error: object) -> None:
    _warn_once(directory)(error)
