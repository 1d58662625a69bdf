"""A training in a process of its own, to be killed or to run out of memory: ``python -m … '<arguments as JSON>'``."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from airflow_provider_autoglm.exceptions import TrainingMemoryError
from airflow_provider_autoglm.labeling.models import LoadedModel
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.tracking.registry import Registry
from airflow_provider_autoglm.training import TrainingRun, train
from airflow_provider_autoglm.training.data import Dataset
from airflow_provider_autoglm.training.finetune import finetune
from airflow_provider_autoglm.training.network import configured_threads, load_classifier


def run_train(settings: TrainSettings, arguments: dict[str, Any]) -> None:
    client = MlflowClient(tracking_uri=arguments["mlflow"], registry_uri=arguments["mlflow"])
    run = TrainingRun(client, arguments["run_id"], Registry(client, arguments["name"]))
    train(arguments["dataset"], settings, tracking=run, work_dir=arguments["work_dir"])


def run_finetune_in_little_memory(settings: TrainSettings, arguments: dict[str, Any]) -> None:
    """Fine-tune one text at a time in 5 MB, then as set in ``free_bytes``."""
    for batch_size, free_bytes in ((1, 5_000_000), (settings.batch_size, arguments["free_bytes"])):
        changed = settings.model_copy(update={"batch_size": batch_size})
        try:
            print(json.dumps({"steps": finetune_in_little_memory(changed, arguments, free_bytes)}))
        except TrainingMemoryError as error:
            print(json.dumps({"error": str(error)}))


def finetune_in_little_memory(settings: TrainSettings, arguments: dict[str, Any], free_bytes: int) -> int:
    """Fine-tune with ``free_bytes`` beyond what the process has once the model is loaded; the optimizer's steps."""
    dataset = Dataset.open(arguments["dataset"])
    steps: list[int] = []

    def load() -> LoadedModel:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        model = load_classifier(settings, dataset.labels)
        limit = _address_space() + free_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        return model

    try:
        finetune(
            load,
            dataset.read("train", settings.max_texts),
            dataset.read("validation", 4),
            settings,
            checkpoints=f"{arguments['work_dir']}/{settings.batch_size}",
            log_metrics=lambda values, step: steps.append(step),
        )
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return steps[-1]


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    work = run_finetune_in_little_memory if "free_bytes" in given else run_train
    with configured_threads():
        work(TrainSettings.parse(given["settings"]), given)
