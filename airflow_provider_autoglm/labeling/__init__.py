"""Automatic labels for documents: labelers, their models, batching, and the stage that applies them to a corpus.

May import ``exceptions``, ``settings``, ``tracking`` and ``corpus``; never Airflow. torch and transformers are loaded
only when there is a text to label.
"""

from airflow_provider_autoglm.labeling.stage import label

__all__ = ["label"]
