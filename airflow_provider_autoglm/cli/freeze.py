"""``airflow autoglm freeze``."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_autoglm.cli.database import opened_state


def freeze(args: argparse.Namespace) -> None:
    """Freeze a pipeline, or lift its freeze with ``--off``."""
    if not args.off and not args.reason:
        sys.exit("say why: --reason TEXT; to lift a freeze: --off")
    from airflow_provider_autoglm.state.freeze import freeze as freeze_pipeline
    from airflow_provider_autoglm.state.freeze import lift_freeze
    from airflow_provider_autoglm.state.pipelines import known_pipelines
    from airflow_provider_autoglm.state.rollouts import active_rollout

    with opened_state(args) as database:
        database.check()
        known = known_pipelines(database)
        if args.pipeline not in known:
            print(
                f"warning: the state knows no pipeline {args.pipeline} yet; it knows {', '.join(known) or 'none'}",
                file=sys.stderr,
            )
        if args.off:
            is_changed, now = lift_freeze(database, args.pipeline, reason=args.reason), "not frozen"
        else:
            is_changed, now = freeze_pipeline(database, args.pipeline, reason=args.reason), f"frozen ({args.reason})"
        print(f"{args.pipeline} {'is' if is_changed else 'was already'} {now}, in the state database {database.name}")
        running = active_rollout(database, args.pipeline)
        if is_changed and running is not None and not args.off:
            print(f"rollout {running.id} loses its requests and is held when its controller next looks at it")
