"""Training all weights with ``transformers.Trainer``: checkpoints, and smaller batches when memory is out."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from transformers import (
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from airflow_provider_autoglm.corpus.result import Progress, ProgressCallback
from airflow_provider_autoglm.exceptions import TrainingDivergedError, TrainingMemoryError
from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.settings import TrainSettings
from airflow_provider_autoglm.training.data import Examples
from airflow_provider_autoglm.training.network import parameters_are_finite, tokenised, tokens_read
from airflow_provider_autoglm.training.scores import Confusion

log = logging.getLogger(__name__)

_Rows = list[dict[str, Any]]
LogMetrics = Callable[[Mapping[str, float], int], None]

_LOGGED_TIMES = 20
_MOST_STEPS_BETWEEN_LOGS = 50
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_ONEDNN_WITHOUT_MEMORY = "could not create a primitive"  # what is left of an allocation that failed inside oneDNN
_METRIC_NAMES = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/gradient_norm",
    "eval_loss": "validation/loss",
    "eval_accuracy": "validation/accuracy",
    "eval_macro_f1": "validation/macro_f1",
}


def finetune(
    load: Callable[[], models.LoadedModel],
    training: Examples,
    validation: Examples,
    settings: TrainSettings,
    *,
    checkpoints: str,
    log_metrics: LogMetrics,
    progress: ProgressCallback | None = None,
) -> models.LoadedModel:
    """Train the model that ``load`` gives, from the last whole checkpoint below ``checkpoints`` if there is any.

    When memory is out, the texts of one pass are halved and their gradients added up, so that an optimizer step still
    sees ``batch_size`` texts.

    :raises TrainingDivergedError: if the loss or a weight is no finite number.
    :raises TrainingMemoryError: if memory is out with a single text.
    """
    watch = _Watch(settings, len(training), log_metrics, progress)
    training_rows: _Rows = []
    validation_rows: _Rows = []
    batch_size = settings.batch_size
    while True:
        model = load()
        training_rows = training_rows or _rows(model, training, settings)
        validation_rows = validation_rows or _rows(model, validation, settings)
        trainer = _trainer(model, training_rows, validation_rows, settings, batch_size, checkpoints, watch)
        try:
            _run(trainer, settings, last_checkpoint(checkpoints))
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if batch_size == 1:
                raise TrainingMemoryError(error, settings.max_tokens) from error
            problem = str(error).partition("\n")[0]
        else:
            model.encoder.to("cpu").eval()
            return model
        # Out of the handler, whose traceback holds on to what filled the memory.
        del model, trainer
        clear_device_cache(garbage_collection=True)
        batch_size = _smaller(batch_size, settings.batch_size)
        log.warning(
            "memory is out (%s), going on with %d texts of %d at a time", problem, batch_size, settings.batch_size
        )


def last_checkpoint(folder: str) -> str | None:
    """The newest whole checkpoint below ``folder``: the trainer writes its state last."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    steps = sorted((int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))), reverse=True)
    paths = (os.path.join(folder, f"checkpoint-{step}") for step in steps)
    return next((path for path in paths if _is_whole(path)), None)


def _is_whole(checkpoint: str) -> bool:
    try:
        with open(os.path.join(checkpoint, "trainer_state.json"), encoding="utf-8") as file:
            json.load(file)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _is_out_of_memory(error: RuntimeError | MemoryError) -> bool:
    return isinstance(error, MemoryError) or should_reduce_batch_size(error) or _ONEDNN_WITHOUT_MEMORY in str(error)


def _smaller(batch_size: int, effective: int) -> int:
    """The largest divisor of ``effective`` that is no more than half of ``batch_size``."""
    return next(size for size in range(batch_size // 2, 0, -1) if effective % size == 0)


def _rows(model: models.LoadedModel, examples: Examples, settings: TrainSettings) -> _Rows:
    tokens = tokenised(model, examples.texts, tokens_read(model, settings))
    return [{"input_ids": ids, "labels": int(label)} for ids, label in zip(tokens, examples.classes, strict=True)]


def _run(trainer: Trainer, settings: TrainSettings, checkpoint: str | None) -> None:
    if checkpoint is not None:
        log.info("training goes on from %s", os.path.basename(checkpoint))
    result = trainer.train(resume_from_checkpoint=checkpoint)
    step = trainer.state.global_step
    if not math.isfinite(result.training_loss) or not parameters_are_finite(trainer.model):
        raise TrainingDivergedError(step, settings.learning_rate)
    is_evaluated = any("eval_loss" in entry and entry["step"] == step for entry in trainer.state.log_history)
    if trainer.eval_dataset and not is_evaluated:
        trainer.evaluate()


def _trainer(
    model: models.LoadedModel,
    training: _Rows,
    validation: _Rows,
    settings: TrainSettings,
    batch_size: int,
    checkpoints: str,
    watch: TrainerCallback,
) -> Trainer:
    steps = math.ceil(math.ceil(len(training) / settings.batch_size) * settings.epochs)
    trainer = Trainer(
        model=model.encoder,
        args=TrainingArguments(
            output_dir=checkpoints,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=math.ceil(steps * settings.warmup_fraction),
            per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=batch_size,
            gradient_accumulation_steps=settings.batch_size // batch_size,
            eval_strategy="epoch" if validation else "no",
            save_strategy="steps",
            save_steps=settings.checkpoint_steps,
            save_total_limit=2,  # a kill while the newest is written leaves the one before it
            logging_steps=max(1, min(steps // _LOGGED_TIMES, _MOST_STEPS_BETWEEN_LOGS)),
            logging_nan_inf_filter=False,
            seed=settings.seed,
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            label_names=["labels"],
        ),
        train_dataset=training,
        eval_dataset=validation or None,
        data_collator=DataCollatorWithPadding(model.tokenizer),
        compute_metrics=_scores,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _scores(prediction: Any) -> dict[str, float]:
    logits, classes = prediction.predictions, prediction.label_ids
    confusion = Confusion.of(classes, logits.argmax(axis=1), logits.shape[1])
    return {"accuracy": confusion.accuracy, "macro_f1": confusion.macro_f1}


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Sends the trainer's figures on, and stops a training that has left the finite numbers."""

    def __init__(
        self, settings: TrainSettings, rows: int, log_metrics: LogMetrics, progress: ProgressCallback | None
    ) -> None:
        self.settings = settings
        self.rows = rows
        self.log_metrics = log_metrics
        self.progress = progress
        self.started = time.monotonic()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
    ) -> None:
        if not math.isfinite(float(logs.get("loss", 0.0))):
            raise TrainingDivergedError(state.global_step, self.settings.learning_rate)
        values = {name: float(logs[key]) for key, name in _METRIC_NAMES.items() if key in logs}
        if not values:
            return
        self.log_metrics(values, state.global_step)
        total = math.ceil(self.rows * self.settings.epochs)
        done = min(state.global_step * self.settings.batch_size, total)
        so_far = Progress("train", done, total, time.monotonic() - self.started)
        log.info("%s, %s", so_far, ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
        if self.progress is not None:
            self.progress(so_far)
