"""Publishing: a whole, versioned dataset in the layout that Hugging Face ``datasets`` opens."""

from airflow_provider_autoglm.corpus.publish.stage import PublishedDataset, publish

__all__ = ["PublishedDataset", "publish"]
