"""Where tasks keep compiled kernels."""

from __future__ import annotations

from airflow_provider_autoglm.configuration import option


def keep_kernels() -> None:
    """Have compiled kernels kept in `[autoglm] cache_dir`; they are loaded when they are first needed."""
    from airflow_provider_autoglm.corpus.compile_cache import set_cache_directory

    if cache_dir := option("cache_dir"):
        set_cache_directory(cache_dir)
