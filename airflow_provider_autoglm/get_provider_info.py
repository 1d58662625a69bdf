"""What Airflow reads about this provider. A plain dict: it is loaded by every Airflow process."""

from __future__ import annotations

from typing import Any

CONFIG_SECTION = "autoglm"

_OPERATOR_MODULES = [
    "corpus",
    "crawl",
    "traffic",
    "clean",
    "dedupe",
    "dedupe_search",
    "label",
    "review",
    "publish",
    "train",
    "evaluate",
    "rollout",
    "drift",
    "feedback",
    "dataset",
    "retrain",
    "run",
]

_CONFIG_OPTIONS: dict[str, dict[str, Any]] = {
    "pipelines": {
        "description": "Names of the pipelines, separated by commas; every DAG file builds one DAG for each.",
        "type": "string",
        "example": "news,support",
        "default": "default",
    },
    "root": {
        "description": "Folder URI of all corpora where the Variable sets none; empty means autoglm/ in AIRFLOW_HOME.",
        "type": "string",
        "example": "file:///data/autoglm",
        "default": "",
    },
    "dataset_schedule": {
        "description": "Cron schedule on which dataset DAGs make a dataset; empty means by hand, drift and feedback.",
        "type": "string",
        "example": "0 3 * * *",
        "default": "",
    },
    "dataset_sweep_schedule": {
        "description": "Cron schedule on which dataset DAGs look for a confirmed check whose event was lost.",
        "type": "string",
        "example": "47 * * * *",
        "default": "47 * * * *",
    },
    "drift_watch_schedule": {
        "description": "Cron schedule of the drift and feedback checks; empty means by hand.",
        "type": "string",
        "example": "*/15 * * * *",
        "default": "7 * * * *",
    },
    "retrain_schedule": {
        "description": "Cron schedule on which retrain DAGs look for a dataset version whose event was lost.",
        "type": "string",
        "example": "17 * * * *",
        "default": "17 * * * *",
    },
    "canary_rollout_schedule": {
        "description": "Cron schedule on which rollout DAGs look for a challenger whose event was lost.",
        "type": "string",
        "example": "37 * * * *",
        "default": "37 * * * *",
    },
    "retries": {
        "description": "How often a task of the DAG templates is tried again.",
        "type": "integer",
        "example": "3",
        "default": "2",
    },
    "pool": {
        "description": "Pool of the tasks of the DAG templates.",
        "type": "string",
        "example": "autoglm",
        "default": "default_pool",
    },
    "cache_dir": {
        "description": "Folder for the compiled kernels of dedupe and of labelling with INT8; empty means the user's "
        "cache folder. Where it cannot be written, kernels are compiled anew by each task.",
        "type": "string",
        "example": "/var/cache/autoglm",
        "default": "",
    },
}


def config_default(option: str) -> str:
    """The default of an option of the section."""
    return str(_CONFIG_OPTIONS[option]["default"])


def get_provider_info() -> dict[str, Any]:
    """Connection types, links, configuration, commands and asset URIs of this provider."""
    return {
        "package-name": "airflow-provider-autoglm",
        "name": "AutoGLM",
        "description": "The loop of a text model: datasets, training, serving, judged rollouts, drift checks.",
        "integrations": [
            {
                "integration-name": "AutoGLM",
                "external-doc-url": "https://pypi.org/project/airflow-provider-autoglm",
                "tags": ["software"],
            },
            {"integration-name": "MLflow", "external-doc-url": "https://mlflow.org", "tags": ["software"]},
        ],
        "operators": [
            {
                "integration-name": "AutoGLM",
                "python-modules": [f"airflow_provider_autoglm.operators.{name}" for name in _OPERATOR_MODULES],
            }
        ],
        "sensors": [
            {
                "integration-name": "AutoGLM",
                "python-modules": [f"airflow_provider_autoglm.sensors.{name}" for name in ("drift", "feedback")],
            }
        ],
        "triggers": [
            {
                "integration-name": "AutoGLM",
                "python-modules": [f"airflow_provider_autoglm.triggers.{name}" for name in ("check", "rollout")],
            }
        ],
        "hooks": [
            {"integration-name": "MLflow", "python-modules": ["airflow_provider_autoglm.hooks.mlflow"]},
            {
                "integration-name": "AutoGLM",
                "python-modules": [f"airflow_provider_autoglm.hooks.{name}" for name in ("llm", "state", "storage")],
            },
        ],
        "connection-types": [
            {
                "connection-type": "mlflow",
                "hook-name": "MLflow",
                "hook-class-name": "airflow_provider_autoglm.hooks.mlflow.MlflowHook",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "extra"],
                    "relabeling": {"host": "Tracking URI", "login": "Username"},
                    "placeholders": {"host": "https://mlflow.example.com"},
                },
            },
            {
                "connection-type": "autoglm_state",
                "hook-name": "AutoGLM state",
                "hook-class-name": "airflow_provider_autoglm.hooks.state.StateHook",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"host": "Database URL, without credentials", "login": "Username"},
                    "placeholders": {"host": "postgresql://db.example.com:5432/autoglm or sqlite:////data/state.db"},
                },
            },
            {
                "connection-type": "autoglm_llm",
                "hook-name": "AutoGLM language model",
                "hook-class-name": "airflow_provider_autoglm.hooks.llm.LlmHook",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "login", "extra"],
                    "relabeling": {"host": "Address, up to the version", "password": "API key"},
                    "placeholders": {"host": "https://api.openai.com/v1 or http://vllm.example.com:8000/v1"},
                },
                "conn-fields": {
                    "api_key_header": {
                        "label": "Header of the key",
                        "description": "Where the server expects the key; empty sends it as a bearer token.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "headers": {
                        "label": "Further headers",
                        "description": "Sent with each request, as a JSON object. The key belongs into API key.",
                        "schema": {"type": ["object", "null"]},
                    },
                },
            },
        ],
        "extra-links": [
            "airflow_provider_autoglm.links.MlflowRunLink",
            "airflow_provider_autoglm.links.MlflowModelLink",
        ],
        "asset-uris": [
            {
                "schemes": ["autoglm"],
                "handler": "airflow_provider_autoglm.assets.sanitize_uri",
                "factory": "airflow_provider_autoglm.assets.create_asset",
            }
        ],
        "cli": ["airflow_provider_autoglm.cli.get_commands"],
        "config": {
            CONFIG_SECTION: {
                "description": "Settings that DAG files of airflow-provider-autoglm read when they are parsed.",
                "options": {name: {"version_added": "0.1.0", **option} for name, option in _CONFIG_OPTIONS.items()},
            }
        },
    }
