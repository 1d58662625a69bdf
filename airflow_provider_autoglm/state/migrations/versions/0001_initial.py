"""All tables: routes, rollouts, rollout_events, replicas, predictions, feedback, checks.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "checks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("pipeline", sa.String(length=250), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("run", sa.String(length=510), nullable=False),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("is_confirmed", sa.Boolean(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("p_value", sa.Double(), nullable=True),
        sa.Column("version", sa.String(length=250), nullable=True),
        sa.Column("new_rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_prediction_id", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.String(length=510), nullable=True),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("pipeline", "kind", "run", name=op.f("uq_checks_pipeline_kind_run")),
        comment="Drift and feedback checks, one row a pipeline, kind and run.",
    )
    op.create_index("ix_checks_pipeline_kind_at", "checks", ["pipeline", "kind", "at"], unique=False)
    op.create_table(
        "feedback",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("pipeline", sa.String(length=250), nullable=False),
        sa.Column("request_id", sa.String(length=250), nullable=False),
        sa.Column("label", sa.String(length=250), nullable=True),
        sa.Column("is_correct", sa.Boolean(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("pipeline", "request_id", name=op.f("uq_feedback_pipeline_request_id")),
        comment="What people said of an answer, the latest a request.",
    )
    op.create_index("ix_feedback_pipeline_at", "feedback", ["pipeline", "at"], unique=False)
    op.create_table(
        "predictions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("pipeline", sa.String(length=250), nullable=False),
        sa.Column("request_id", sa.String(length=250), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rollout_id", sa.BigInteger(), nullable=True),
        sa.Column("assigned_version", sa.String(length=250), nullable=False),
        sa.Column("assigned_status", sa.String(length=30), nullable=False),
        sa.Column("assigned_ms", sa.Double(), nullable=True),
        sa.Column("served_version", sa.String(length=250), nullable=True),
        sa.Column("label", sa.String(length=250), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("text_sha256", sa.String(length=64), nullable=True),
        sa.Column("gateway_id", sa.String(length=250), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("pipeline", "request_id", name=op.f("uq_predictions_pipeline_request_id")),
        sqlite_autoincrement=True,
        comment="One row a text. The judge counts assigned_*, drift counts served_version and the answer.",
    )
    op.create_index("ix_predictions_pipeline_at", "predictions", ["pipeline", "at"], unique=False)
    op.create_index(
        "ix_predictions_pipeline_served_version_id", "predictions", ["pipeline", "served_version", "id"], unique=False
    )
    op.create_index("ix_predictions_rollout_id_at", "predictions", ["rollout_id", "at"], unique=False)
    op.create_table(
        "replicas",
        sa.Column("pipeline", sa.String(length=250), nullable=False),
        sa.Column("gateway_id", sa.String(length=250), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("log_text", sa.String(length=10), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline", "gateway_id"),
        comment="What each gateway has loaded, by version, and when it last said so.",
    )
    op.create_table(
        "rollout_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("pipeline", sa.String(length=250), nullable=False),
        sa.Column("rollout_id", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("version", sa.String(length=250), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("pipeline", "key", name=op.f("uq_rollout_events_pipeline_key")),
        comment="What happened to routes and rollouts; the key makes writing an event twice harmless.",
    )
    op.create_index("ix_rollout_events_rollout_id", "rollout_events", ["rollout_id"], unique=False)
    op.create_table(
        "rollouts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("pipeline", sa.String(length=250), nullable=False),
        sa.Column("version", sa.String(length=250), nullable=False),
        sa.Column("model_uri", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=250), nullable=False),
        sa.Column("champion_version", sa.String(length=250), nullable=True),
        sa.Column("started_by", sa.String(length=510), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("holds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("fencing_token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("transitions", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("entered_at", sa.Double(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("started_by", name=op.f("uq_rollouts_started_by")),
        comment="One row a rollout; of those that are active there is one a pipeline.",
    )
    op.create_index("ix_rollouts_pipeline_version", "rollouts", ["pipeline", "version"], unique=False)
    op.create_index(
        "uq_rollouts_active",
        "rollouts",
        ["pipeline"],
        unique=True,
        sqlite_where=sa.text("is_active = 1"),
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "routes",
        sa.Column("pipeline", sa.String(length=250), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("champion_version", sa.String(length=250), nullable=True),
        sa.Column("champion_model_uri", sa.Text(), nullable=True),
        sa.Column("champion_digest", sa.String(length=250), nullable=True),
        sa.Column("challenger_version", sa.String(length=250), nullable=True),
        sa.Column("challenger_model_uri", sa.Text(), nullable=True),
        sa.Column("challenger_digest", sa.String(length=250), nullable=True),
        sa.Column("previous_version", sa.String(length=250), nullable=True),
        sa.Column("previous_model_uri", sa.Text(), nullable=True),
        sa.Column("previous_digest", sa.String(length=250), nullable=True),
        sa.Column("challenger_weight", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rollout_id", sa.BigInteger(), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column("lease_lost_generation", sa.BigInteger(), nullable=True),
        sa.Column("frozen_reason", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline"),
        comment="What gateways serve, one row a pipeline; every change raises its generation, a heartbeat does not.",
    )


def downgrade() -> None:
    """Drop the tables and everything in them."""
    for table in ("checks", "feedback", "predictions", "replicas", "rollout_events", "rollouts", "routes"):
        op.drop_table(table)
