"""Airflow connections of type ``autoglm_state``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from airflow_provider_autoglm.exceptions import AutoGLMError, InvalidConnectionError, InvalidStateUrlError
from airflow_provider_autoglm.settings.base import refuse_userinfo

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy import URL

    from airflow_provider_autoglm.state import Database


class StateHook(BaseHook):
    """
    Open the state database of an Airflow connection.

    The connection's host is the database's URL without credentials (``sqlite:////data/autoglm/state.db``,
    ``postgresql://db.example.org:5432/autoglm?sslmode=require``); login and password are added to it. A bare host name
    is a PostgreSQL server, with the schema as the database's name and the port beside it.

    :param state_conn_id: Connection of type ``autoglm_state``.
    """

    conn_name_attr = "state_conn_id"
    default_conn_name = "autoglm_state"
    conn_type = "autoglm_state"
    hook_name = "AutoGLM state"

    def __init__(self, state_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.state_conn_id = state_conn_id

    def get_conn(self) -> Database:
        """Return the database; the name that Airflow's hooks share."""
        return self.get_database()

    def get_database(self) -> Database:
        """Open a pool of connections of its own, which connects at first use; close it at the end.

        :raises InvalidConnectionError: if the connection names neither an SQLite file nor a PostgreSQL database.
        :raises UnsafeUriError: if its host carries credentials.
        """
        from airflow_provider_autoglm.state import Database

        connection = self.get_connection(self.state_conn_id)
        try:
            return Database(_url(connection))
        except InvalidStateUrlError as error:
            raise InvalidConnectionError(self.state_conn_id, str(error)) from None

    def test_connection(self) -> tuple[bool, str]:
        """Ask whether the database answers and is migrated; the *Test* button of the connection form."""
        try:
            database = self.get_database()
            try:
                database.check()
                return True, f"the state database {database.name} answers; it is at revision {database.revision()}"
            finally:
                database.close()
        except AutoGLMError as error:
            return False, str(error)


def _url(connection: Connection) -> URL:
    import sqlalchemy as sa

    host = connection.host or ""
    if not host:
        raise InvalidStateUrlError("the host is empty")
    address = refuse_userinfo(host if "://" in host else f"postgresql://{host}")
    try:
        url = sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):
        raise InvalidStateUrlError(f"the host {host!r} cannot be read as a URL") from None
    if url.get_backend_name() == "sqlite":
        return url
    return url.set(
        username=connection.login or None,
        password=connection.password or None,
        port=url.port or connection.port,
        database=url.database or connection.schema,
    )
