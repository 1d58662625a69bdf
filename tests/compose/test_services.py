"""PostgreSQL and Redis as the compose file starts them, natively: the services that need no minute."""

from __future__ import annotations

from contextlib import suppress

import psycopg
import sqlalchemy as sa

from airflow_provider_autoglm.state import Database
from demo.processes import Processes
from tests.compose.native import Native

DATABASES = ("airflow", "mlflow", "mlflow_auth", "autoglm")


def test_each_role_has_its_own_databases_and_no_other(native: Native) -> None:
    native.write_configs()
    with native.postgres():
        assert native.service("postgres").is_healthy()
        airflow = sa.make_url(native.service("worker").environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
        assert reachable(airflow) == {"airflow"}
        mlflow = sa.make_url(native.service("mlflow").environment["MLFLOW_BACKEND_STORE_URI"])
        assert reachable(mlflow) == {"mlflow", "mlflow_auth"}
        state = native.state_url()
        assert reachable(sa.make_url(state)) == {"autoglm"}
        database = Database(state)
        assert database.migrate() == database.revision()
        database.close()
    assert not native.service("postgres").is_healthy()


def test_redis_is_healthy_and_answers_nobody_without_the_password(native: Native, processes: Processes) -> None:
    redis = native.service("redis")
    assert not redis.is_healthy()
    processes.start(redis.name, redis.command, env=redis.environment)
    processes.wait_until("redis healthy", redis.is_healthy, timeout_s=60, every_s=0.1)
    stranger = native.service("redis")
    del stranger.environment["REDISCLI_AUTH"]
    assert not stranger.is_healthy()


def reachable(url: sa.URL) -> set[str]:
    """The databases that the user of the URL may connect to."""
    found = set()
    for name in DATABASES:
        address = url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
        with suppress(psycopg.OperationalError):
            psycopg.connect(address).close()
            found.add(name)
    return found
