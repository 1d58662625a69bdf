"""The tables, as the newest migration leaves them. Columns that end in ``_at`` are seconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_provider_autoglm.state.clock import database_now
from airflow_provider_autoglm.state.column_types import Id, LongText, Name, RunName, StorableJson, Time

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("pipeline", Name, primary_key=True),
    sa.Column("generation", sa.BigInteger(), nullable=False),
    *(
        sa.Column(f"{role}_{column}", kind)
        for role in ("champion", "challenger", "previous")
        for column, kind in (("version", Name), ("model_uri", LongText), ("digest", Name))
    ),
    sa.Column("challenger_weight", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("rollout_id", sa.BigInteger()),
    sa.Column("lease_expires_at", Time),
    sa.Column("lease_lost_generation", sa.BigInteger()),
    sa.Column("frozen_reason", LongText),
    sa.Column("updated_at", Time, nullable=False, default=database_now()),
    comment="What gateways serve, one row a pipeline; every change raises its generation, a heartbeat does not.",
)

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", Name, nullable=False),
    sa.Column("version", Name, nullable=False),
    sa.Column("model_uri", LongText, nullable=False),
    sa.Column("digest", Name, nullable=False),
    sa.Column("champion_version", Name),
    sa.Column("started_by", RunName, nullable=False, unique=True),
    sa.Column("settings", StorableJson(), nullable=False),
    sa.Column("state", sa.String(30), nullable=False),
    sa.Column("step", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("holds", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("reason", LongText, nullable=False, default=""),
    sa.Column("is_active", sa.Boolean(), nullable=False),
    sa.Column("fencing_token", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("transitions", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("entered_at", Time, nullable=False),
    sa.Column("heartbeat_at", Time, nullable=False),
    sa.Index("ix_rollouts_pipeline_version", "pipeline", "version"),
    sa.Index(
        "uq_rollouts_active",
        "pipeline",
        unique=True,
        sqlite_where=sa.text("is_active = 1"),
        postgresql_where=sa.text("is_active"),
    ),
    comment="One row a rollout; of those that are active there is one a pipeline.",
)

rollout_events = sa.Table(
    "rollout_events",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", Name, nullable=False),
    sa.Column("rollout_id", sa.BigInteger()),
    sa.Column("key", Name, nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("version", Name),
    sa.Column("generation", sa.BigInteger()),
    sa.Column("detail", StorableJson(), nullable=False),
    sa.Column("at", Time, nullable=False, default=database_now()),
    sa.UniqueConstraint("pipeline", "key"),
    sa.Index("ix_rollout_events_rollout_id", "rollout_id"),
    comment="What happened to routes and rollouts; the key makes writing an event twice harmless.",
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("pipeline", Name, primary_key=True),
    sa.Column("gateway_id", Name, primary_key=True),
    sa.Column("generation", sa.BigInteger(), nullable=False),
    sa.Column("versions", StorableJson(), nullable=False),
    sa.Column("log_text", sa.String(10), nullable=False),
    sa.Column("heartbeat_at", Time, nullable=False),
    comment="What each gateway has loaded, by version, and when it last said so.",
)

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", Name, nullable=False),
    sa.Column("request_id", Name, nullable=False),
    sa.Column("position", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("rollout_id", sa.BigInteger()),
    sa.Column("assigned_version", Name, nullable=False),
    sa.Column("assigned_status", sa.String(30), nullable=False),
    sa.Column("assigned_ms", sa.Double()),
    sa.Column("served_version", Name),
    sa.Column("label", Name),
    sa.Column("score", sa.Double()),
    sa.Column("embedding", sa.LargeBinary()),
    sa.Column("text", LongText),
    sa.Column("text_sha256", sa.String(64)),
    sa.Column("gateway_id", Name, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.UniqueConstraint("pipeline", "request_id"),
    sa.Index("ix_predictions_pipeline_at", "pipeline", "at"),
    sa.Index("ix_predictions_rollout_id_at", "rollout_id", "at"),
    sa.Index("ix_predictions_pipeline_served_version_id", "pipeline", "served_version", "id"),
    sqlite_autoincrement=True,  # ids do not begin again where all rows were deleted: checks remember how far they came
    comment="One row a text. The judge counts assigned_*, drift counts served_version and the answer.",
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", Name, nullable=False),
    sa.Column("request_id", Name, nullable=False),
    sa.Column("label", Name),
    sa.Column("is_correct", sa.Boolean()),
    sa.Column("text", LongText),
    sa.Column("at", Time, nullable=False),
    sa.UniqueConstraint("pipeline", "request_id"),
    sa.Index("ix_feedback_pipeline_at", "pipeline", "at"),
    comment="What people said of an answer, the latest a request.",
)

checks = sa.Table(
    "checks",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", Name, nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("run", RunName, nullable=False),
    sa.Column("state", sa.String(30), nullable=False),
    sa.Column("is_confirmed", sa.Boolean(), nullable=False),
    sa.Column("score", sa.Double()),
    sa.Column("p_value", sa.Double()),
    sa.Column("version", Name),
    sa.Column("new_rows", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("last_prediction_id", sa.BigInteger()),
    sa.Column("answered_by", RunName),
    sa.Column("report", StorableJson(), nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.UniqueConstraint("pipeline", "kind", "run"),
    sa.Index("ix_checks_pipeline_kind_at", "pipeline", "kind", "at"),
    comment="Drift and feedback checks, one row a pipeline, kind and run.",
)
