"""One dataset version: crawl and collect traffic, clean, remove near duplicates, label, review, publish.

Woken by the assets drift and feedback, and by the clock for events that were lost; such a run is skipped at its first
task when no confirmed check waits for a dataset. Configure with the Variable ``autoglm_<pipeline>`` (JSON) and the
connections ``mlflow_default`` and ``autoglm_state`` (``autoglm_llm`` where a language model labels); see docs/.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, dag

from airflow_provider_autoglm import configuration
from airflow_provider_autoglm.assets import drift_asset, feedback_asset
from airflow_provider_autoglm.operators.clean import CleanOperator
from airflow_provider_autoglm.operators.corpus import JoinCorpusOperator, SplitCorpusOperator
from airflow_provider_autoglm.operators.crawl import CrawlOperator
from airflow_provider_autoglm.operators.dataset import load_dataset_settings
from airflow_provider_autoglm.operators.dedupe import SimHashDedupeOperator
from airflow_provider_autoglm.operators.label import AutoLabelOperator
from airflow_provider_autoglm.operators.publish import PublishDatasetOperator
from airflow_provider_autoglm.operators.review import AskReviewersOperator, DecideReviewOperator, DrawReviewOperator
from airflow_provider_autoglm.operators.run import finish_run
from airflow_provider_autoglm.operators.traffic import CollectTrafficOperator

# Parse-time constants; [autoglm] in airflow.cfg sets those that are read from there.
RETRIES = configuration.retries()
POOL = configuration.pool()
STAGES = ("crawl", "traffic", "clean", "dedupe", "label", "review", "publish")
RETRY_DELAY = timedelta(seconds=30)
AFTER_SKIPPED = "none_failed_min_one_success"  # mapped tasks of which there are none are skipped, not the run


def build(pipeline: str) -> DAG:
    """The dataset DAG of one pipeline."""

    @dag(
        dag_id=f"autoglm_dataset_{pipeline}",
        schedule=configuration.wake_up(drift_asset(pipeline) | feedback_asset(pipeline), "dataset", "dataset_sweep"),
        catchup=False,
        max_active_runs=1,
        default_args={"retries": RETRIES, "retry_delay": RETRY_DELAY, "pool": POOL},
        tags=["autoglm", pipeline],
        doc_md=__doc__,
    )
    def dataset() -> None:
        settings: Any = load_dataset_settings(pipeline)
        run = settings["run"]

        crawl = CrawlOperator(task_id="crawl", sources=settings["sources"], settings=settings["crawl"], run=run)
        traffic = CollectTrafficOperator(task_id="collect_traffic", settings=settings["traffic"], run=run)

        split_clean = SplitCorpusOperator(
            task_id="split_clean", stage="clean", source=[crawl.output, traffic.output], run=run
        )
        clean = CleanOperator.partial(task_id="clean", settings=settings["clean"], run=run).expand_kwargs(
            split_clean.output
        )
        join_clean = JoinCorpusOperator(task_id="join_clean", stage="clean", sources=clean.output, run=run)

        dedupe = SimHashDedupeOperator(task_id="dedupe", source=join_clean.output, settings=settings["dedupe"], run=run)

        split_label = SplitCorpusOperator(task_id="split_label", stage="label", source=dedupe.output, run=run)
        label = AutoLabelOperator.partial(task_id="label", settings=settings["label"], run=run).expand_kwargs(
            split_label.output
        )
        join_label = JoinCorpusOperator(task_id="join_label", stage="label", sources=label.output, run=run)

        # Settings of the four review tasks. Without `review.mode` ask they pass the corpus on, and nobody is asked.
        review: Any = {"settings": settings["review"], "label_settings": settings["label"], "run": run}
        draw_review = DrawReviewOperator(task_id="draw_review", source=join_label.output, **review)
        ask = AskReviewersOperator.partial(task_id="review", **review).expand(form=draw_review.output)
        decide = DecideReviewOperator(
            task_id="decide_review",
            source=join_label.output,
            draws=[draw_review.output["draw"]],
            answers=ask.output,
            trigger_rule=AFTER_SKIPPED,
            **review,
        )
        ask_again = AskReviewersOperator.partial(task_id="review_again", **review).expand(form=decide.output)
        decide_again = DecideReviewOperator(
            task_id="decide_review_again",
            source=join_label.output,
            draws=[draw_review.output["draw"], decide.output["draw"]],
            answers=[ask.output, ask_again.output],
            earlier={"corpus": decide.output["corpus"], "verdict": decide.output["verdict"]},
            trigger_rule=AFTER_SKIPPED,
            **review,
        )

        publish = PublishDatasetOperator(
            task_id="publish",
            pipeline=pipeline,
            sources=decide_again.output["corpus"],
            settings=settings["publish"],
            run=run,
        )

        stages = [crawl, traffic, join_clean, dedupe, join_label, publish]
        (
            publish
            >> finish_run(
                settings,
                {stage.task_id: stage.output for stage in stages},
                {each.task_id: each.folders for each in (draw_review, decide, decide_again)},
            ).as_teardown()
        )

    form = {"force_stages": configuration.force_stages_param(), **configuration.override_params(*STAGES)}
    return configuration.with_form(dataset(), form)


for name in configuration.pipelines():
    globals()[f"autoglm_dataset_{name}"] = build(name)
