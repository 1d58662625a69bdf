"""Run by Alembic: migrate over the connection that :meth:`Database.migrate` hands in."""

from __future__ import annotations

from alembic import context

from airflow_provider_autoglm.state.revision import VERSION_TABLE
from airflow_provider_autoglm.state.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
