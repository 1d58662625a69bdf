"""Training text classifiers: fitted to a dataset version, packaged, registered, and compared with the champion.

May import ``exceptions``, ``settings``, ``tracking``, ``state``, ``corpus`` and ``labeling``; never Airflow. torch and
transformers are loaded only when there is something to train. What is packaged needs none of this.
"""

from airflow_provider_autoglm.training.train import TrainedModel, TrainingRun, train

__all__ = ["TrainedModel", "TrainingRun", "train"]
