"""Near-duplicate removal: SimHash finds candidates, Jaccard similarity decides, the kept document anchors.

The compiled kernels are imported when :func:`deduplicate` runs, so that ``compile_cache`` can be set up before.
"""

from airflow_provider_autoglm.corpus.dedupe.removal import deduplicate

__all__ = ["deduplicate"]
