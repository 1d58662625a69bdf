"""``airflow autoglm …``: commands for whoever runs the deployment.

Every ``airflow`` command imports this file; what a command does is loaded when it is called.
"""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

_ARG_DESTINATION = Arg(
    ("destination",), help="Folder the DAG files are copied to, e.g. the deployment's dags/", type=str
)
_ARG_OVERWRITE = Arg(("--overwrite",), help="Replace DAG files that differ from the templates", action="store_true")
_ARG_PIPELINE = Arg(("pipeline",), help="Name of the pipeline", type=str)
_ARG_ROOT = Arg(
    ("--root",), help="Folder URI of all corpora; default: root in the section autoglm", type=str, default=""
)
_ARG_STORAGE = Arg(("--storage-conn-id",), help="Airflow connection for the root", type=str, default="")
_ARG_STATE = Arg(
    ("--state-conn-id",),
    help="Airflow connection of the state database; default: autoglm_state",
    type=str,
    default="autoglm_state",
)
_ARG_STATE_FILE = Arg(
    ("--state-url-file",),
    help="File that holds the URL of the state database, with credentials, in place of the connection; "
    "works while Airflow's own database is away",
    type=str,
    default="",
)
_ARG_MLFLOW = Arg(
    ("--mlflow-conn-id",),
    help="Airflow connection of MLflow, whose aliases follow; default: mlflow_default",
    type=str,
    default="mlflow_default",
)
_ARG_VERSION = Arg(
    ("--version",), help="Take back this version only: again after it was taken back, nothing happens", type=str
)
_ARG_REASON = Arg(("--reason",), help="Why, in words; it is kept with the event", type=str, required=True)
_ARG_FREEZE_REASON = Arg(("--reason",), help="Why, in words; it is kept with the event", type=str, default="")
_ARG_OFF = Arg(("--off",), help="Lift the freeze", action="store_true")
_STATE = (_ARG_STATE, _ARG_STATE_FILE)


def get_commands() -> list[CLICommand]:
    """The command group, for Airflow's parser."""
    database = GroupCommand(
        name="db",
        help="Look after the state database",
        subcommands=(_command("migrate", "database.migrate", "Create the tables, or bring them up to date", *_STATE),),
    )
    return [
        GroupCommand(
            name="autoglm",
            help="Look after pipelines of airflow-provider-autoglm",
            subcommands=(
                _command(
                    "copy-dags",
                    "templates.copy_dags",
                    "Copy the DAG templates into a deployment",
                    _ARG_DESTINATION,
                    _ARG_OVERWRITE,
                ),
                database,
                _command(
                    "freeze",
                    "freeze.freeze",
                    "Let no rollout start and no weight rise, until it is lifted; a running rollout is held",
                    _ARG_PIPELINE,
                    _ARG_FREEZE_REASON,
                    _ARG_OFF,
                    *_STATE,
                ),
                _command(
                    "gc",
                    "garbage.collect_garbage",
                    "Log runs that MLflow missed and delete shards of attempts that were given up",
                    _ARG_PIPELINE,
                    _ARG_ROOT,
                    _ARG_STORAGE,
                ),
                _command(
                    "rollback",
                    "rollback.rollback",
                    "End the active rollout; without one, give the champion before its place again",
                    _ARG_PIPELINE,
                    _ARG_REASON,
                    _ARG_VERSION,
                    _ARG_MLFLOW,
                    *_STATE,
                ),
                _command(
                    "status",
                    "status.status",
                    "Show what is served, the latest rollout, the last checks and the gateways",
                    _ARG_PIPELINE,
                    *_STATE,
                ),
            ),
        )
    ]


def _command(name: str, function: str, what: str, *args: Arg) -> ActionCommand:
    return ActionCommand(name=name, help=what, func=lazy_load_command(f"{__name__}.{function}"), args=args)
