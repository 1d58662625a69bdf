"""The Airflow Variable of the demo: six areas of software, phrases that describe their texts, and a hurried policy."""

from __future__ import annotations

from typing import Any

from airflow_provider_autoglm.settings import PipelineSettings

PHRASES: dict[str, tuple[str, ...]] = {
    "web": (
        "HTTP request and response objects, headers and cookies",
        "Flask application, blueprints, views and templates",
        "a spider that crawls and downloads web pages",
        "parse a URL, its host, path and query string",
        "web server and client sockets, streams and timeouts",
        "middleware, routing rules and error handlers of a web application",
    ),
    "databases": (
        "SQL statements, tables, columns and constraints",
        "an object relational mapper: mapped classes, relationships and sessions",
        "database engines, connections, transactions and dialects",
        "schema migrations of a relational database",
        "parsing and compiling SQL queries",
    ),
    "tables": (
        "a DataFrame or Series with an index and columns",
        "group, merge, pivot and reshape tabular data",
        "reading and writing CSV, Excel and Parquet files",
        "time series indexes, periods, offsets and missing values",
        "columnar arrays and data types",
    ),
    "machine learning": (
        "a neural network layer, tensor operations and gradients",
        "a pretrained transformer model, its tokenizer and configuration",
        "an estimator with fit and predict, classification and clustering",
        "training a model on GPUs, optimizers and learning rate",
        "evaluation metrics, features and cross-validation",
    ),
    "workflows": (
        "an Airflow DAG of tasks, operators and sensors",
        "the scheduler runs task instances and DAG runs",
        "the Airflow executor, worker and triggerer",
        "connections, variables and XCom of a workflow",
        "timetables, assets and data intervals that schedule a DAG",
    ),
    "statistics and plots": (
        "draw a plot: figure, axes, lines, markers and colors",
        "probability density function of a random variable",
        "statistical hypothesis test, p-value and confidence interval",
        "artists, patches, transforms, ticks, legends and fonts",
        "bounding box coordinates in pixels, canvas and renderer",
        "quantiles, moments and sampling of a distribution",
    ),
}


BASELINE_ROWS = 400
WINDOW_ROWS = 400

# The policy of a demo, not of production: minutes instead of days, and a challenger may be worse than the champion by
# the noise of a test split that has a hundred texts, or thirty in a small run. The first model is a head on the frozen
# encoder, there in seconds; the second one is fine-tuned and reads more of a text, which takes minutes. Each part of a
# corpus reads the texts of the refinement again, so there are few.
# Labels that clients tell are due after an hour, which no demo lasts: the drift alone starts the second dataset, and
# the labels travel with it. Were they due at once, the feedback could be confirmed before the drift and start its own.
POLICY: dict[str, dict[str, Any]] = {
    "label": {"refine_texts": 250},
    "train": {"method": "head", "max_tokens": 64},
    "evaluate": {"min_gain": -0.2, "min_rows": 10},
    "rollout": {
        "steps": [{"weight_percent": 50, "bake_s": 20}],
        "min_requests": 200,
        "max_step_s": 180,
        "warm_timeout_s": 120,
        "tick_s": 1,
        "lease_s": 20,
    },
    "traffic": {"max_rows": 5_000, "sample_rows": 200},
    "drift": {
        "baseline_rows": BASELINE_ROWS,
        "window_rows": WINDOW_ROWS,
        "min_rows": 200,
        "min_new_rows": 200,
        "cooldown_s": 600,
    },
    "feedback": {"min_rows": 50, "deadline_s": 3_600, "cooldown_s": 600},
}
SECOND_MODEL: dict[str, Any] = {
    "train.method": "finetune",
    "train.max_tokens": 128,
    "train.epochs": 2,
    "train.batch_size": 8,
}
"""Fields of the trigger form of the second training."""


def demo_variable(url: str, *, is_own_site: bool, contact: str = "demo@example.org") -> dict[str, Any]:
    """The value of the Variable ``autoglm_default`` for a crawl of ``url``, checked against the settings models.

    The demo's own site stands on loopback and is asked as fast as it answers; any other one keeps the polite defaults
    of the crawl, and its owner reaches ``contact``. Neither has pages on every label.
    """
    value: dict[str, Any] = {
        "sources": [{"url": url}],
        "labels": [{"name": name, "phrases": list(phrases)} for name, phrases in PHRASES.items()],
        "clean": {"min_chars": 100, "languages": ["en"]},
        "publish": {"title": "Software documentation by area", "min_class_rows": 0},
        **POLICY,
    }
    if is_own_site:
        value["sources"][0]["name"] = "demo site"
        value["crawl"] = {"delay_s": 0, "autothrottle": False, "concurrency": 8, "allow_networks": ["127.0.0.0/8"]}
    else:
        value["crawl"] = {"max_pages": 1_000}
    value["crawl"]["contact"] = contact
    PipelineSettings.parse(value)
    return value
