"""The pipelines that the state knows of."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_provider_autoglm.state.database import Database
from airflow_provider_autoglm.state.tables import replicas, routes


def known_pipelines(database: Database) -> list[str]:
    """Pipelines that have routes or that a gateway has reported for, in alphabetical order."""
    query = sa.union(sa.select(routes.c.pipeline), sa.select(replicas.c.pipeline))
    with database.reading() as connection:
        return sorted(connection.execute(query).scalars())
