"""Freezing a pipeline: no rollout starts and no weight rises until it is lifted; each change is an event."""

from __future__ import annotations

from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.events import Event, record_event
from airflow_provider_autoglm.state.routes import lock_routes, write_routes


def freeze(database: Database, pipeline: str, *, reason: str) -> bool:
    """Freeze the pipeline, or give its freeze another reason; False if it is frozen for this reason already.

    Whoever runs a rollout sees it at the next look: the weight goes to 0 and the rollout is held.
    """
    return _set(database, pipeline, reason, is_frozen=True)


def lift_freeze(database: Database, pipeline: str, *, reason: str = "") -> bool:
    """Let rollouts go on; False if the pipeline is not frozen."""
    return _set(database, pipeline, reason, is_frozen=False)


def _set(database: Database, pipeline: str, reason: str, *, is_frozen: bool) -> bool:
    frozen_reason = reason if is_frozen else None
    with database.transaction() as connection:
        seen = lock_routes(connection, pipeline)
        if seen.frozen_reason == frozen_reason:
            return False
        # The lease runs on: a running canary is taken back by its controller, or by the lease if there is none.
        written = write_routes(connection, seen, lease_s=seen.lease_s, frozen_reason=frozen_reason)
        event = Event(
            pipeline,
            f"routes/{written.generation}/freeze",
            "freeze",
            rollout_id=seen.rollout_id,
            generation=written.generation,
            detail={"is_frozen": is_frozen, "reason": reason},
        )
        record_event(connection, event)
    return True
