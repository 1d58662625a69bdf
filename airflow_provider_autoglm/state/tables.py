"""The tables, as the newest migration leaves them. Columns that end in ``_at`` are seconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Name = sa.String(250)
_Time = sa.Double()

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("pipeline", _Name, primary_key=True),
    sa.Column("generation", sa.BigInteger(), nullable=False),
    *(
        sa.Column(f"{role}_{column}", kind)
        for role in ("champion", "challenger", "previous")
        for column, kind in (("version", _Name), ("model_uri", sa.Text()), ("digest", _Name))
    ),
    sa.Column("challenger_weight", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("rollout_id", sa.BigInteger()),
    sa.Column("lease_expires_at", _Time),
    sa.Column("lease_lost_generation", sa.BigInteger()),
    sa.Column("frozen_reason", sa.Text()),
    sa.Column("updated_at", _Time, nullable=False),
    comment="What gateways serve, one row a pipeline; every change raises its generation, a heartbeat does not.",
)

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", _Name, nullable=False),
    sa.Column("version", _Name, nullable=False),
    sa.Column("model_uri", sa.Text(), nullable=False),
    sa.Column("digest", _Name, nullable=False),
    sa.Column("champion_version", _Name),
    sa.Column("started_by", _Name, nullable=False, unique=True),
    sa.Column("settings", sa.JSON(), nullable=False),
    sa.Column("state", sa.String(30), nullable=False),
    sa.Column("step", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("holds", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("reason", sa.Text(), nullable=False, server_default=""),
    sa.Column("is_active", sa.Boolean(), nullable=False),
    sa.Column("fencing_token", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("entered_at", _Time, nullable=False),
    sa.Column("heartbeat_at", _Time),
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
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", _Name, nullable=False),
    sa.Column("rollout_id", sa.BigInteger()),
    sa.Column("key", _Name, nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("version", _Name),
    sa.Column("generation", sa.BigInteger()),
    sa.Column("detail", sa.JSON(), nullable=False),
    sa.Column("at", _Time, nullable=False),
    sa.UniqueConstraint("pipeline", "key"),
    sa.Index("ix_rollout_events_rollout_id", "rollout_id"),
    comment="What happened to routes and rollouts; the key makes writing an event twice harmless.",
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("pipeline", _Name, primary_key=True),
    sa.Column("gateway_id", _Name, primary_key=True),
    sa.Column("generation", sa.BigInteger(), nullable=False),
    sa.Column("versions", sa.JSON(), nullable=False),
    sa.Column("log_text", sa.String(10), nullable=False),
    sa.Column("heartbeat_at", _Time, nullable=False),
    comment="What each gateway has loaded, by version, and when it last said so.",
)

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", _Name, nullable=False),
    sa.Column("request_id", _Name, nullable=False),
    sa.Column("position", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("rollout_id", sa.BigInteger()),
    sa.Column("assigned_version", _Name, nullable=False),
    sa.Column("assigned_status", sa.String(30), nullable=False),
    sa.Column("assigned_ms", sa.Double()),
    sa.Column("served_version", _Name),
    sa.Column("label", _Name),
    sa.Column("score", sa.Double()),
    sa.Column("embedding", sa.LargeBinary()),
    sa.Column("text", sa.Text()),
    sa.Column("text_sha256", sa.String(64)),
    sa.Column("gateway_id", _Name, nullable=False),
    sa.Column("at", _Time, nullable=False),
    sa.UniqueConstraint("pipeline", "request_id"),
    sa.Index("ix_predictions_pipeline_at", "pipeline", "at"),
    sa.Index("ix_predictions_rollout_id_at", "rollout_id", "at"),
    comment="One row a text. The judge counts assigned_*, drift counts served_version and the answer.",
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", _Name, nullable=False),
    sa.Column("request_id", _Name, nullable=False),
    sa.Column("label", _Name),
    sa.Column("is_correct", sa.Boolean()),
    sa.Column("text", sa.Text()),
    sa.Column("at", _Time, nullable=False),
    sa.UniqueConstraint("pipeline", "request_id"),
    sa.Index("ix_feedback_pipeline_at", "pipeline", "at"),
    comment="What people said of an answer, the latest a request.",
)

checks = sa.Table(
    "checks",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("pipeline", _Name, nullable=False),
    sa.Column("kind", sa.String(30), nullable=False),
    sa.Column("run", _Name, nullable=False),
    sa.Column("state", sa.String(30), nullable=False),
    sa.Column("is_confirmed", sa.Boolean(), nullable=False),
    sa.Column("score", sa.Double()),
    sa.Column("p_value", sa.Double()),
    sa.Column("version", _Name),
    sa.Column("new_rows", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("last_prediction_id", sa.BigInteger()),
    sa.Column("answered_by", _Name),
    sa.Column("report", sa.JSON(), nullable=False),
    sa.Column("at", _Time, nullable=False),
    sa.UniqueConstraint("pipeline", "kind", "run"),
    sa.Index("ix_checks_pipeline_kind_at", "pipeline", "kind", "at"),
    comment="Drift and feedback checks, one row a pipeline, kind and run.",
)
