"""A query as a source of documents: what a DAG names, and how a task reads it through Airflow's database hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from airflow_provider_autoglm.exceptions import InvalidConnectionError, QueryFailedError
from airflow_provider_autoglm.settings.base import redact_userinfo

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from airflow_provider_autoglm.corpus.crawl.records import TableSource
    from airflow_provider_autoglm.corpus.crawl.records.batch import Batch


class SqlQuery(NamedTuple):
    """A query whose rows become documents; it is given in DAG code, never in a Variable.

    The result needs a column ``text``, or ``fields`` that say which one it is; other columns travel along as text. A
    named tuple, since Airflow renders the templates in one and leaves it as it is.

    :param conn_id: Airflow connection of a database.
    :param sql: what is selected; templates are rendered, values belong into ``parameters``.
    :param parameters: values that the driver binds, in its own style (``%(day)s``, ``?``, ``:day``). Templated too.
    :param name: value of the column ``source``; default ``conn_id``.
    :param fields: columns to take, and the column of the result that each is; default all.
    """

    conn_id: str
    sql: str
    parameters: Mapping[str, Any] | Sequence[Any] | None = None
    name: str = ""
    fields: Mapping[str, str] | None = None

    def as_source(self, as_of: datetime) -> TableSource:
        """The query as the library takes it.

        What a database holds has no digest, so ``as_of``, the time of the DAG run, stands for it: a retry of the run
        finds its own corpus again, and the next run asks again.
        """
        from airflow_provider_autoglm.corpus.crawl.records import TableSource
        from airflow_provider_autoglm.corpus.manifest import digest_of

        return TableSource(self.name or self.conn_id, digest_of(*self, as_of.isoformat()), self._batches)

    def _batches(self) -> Iterator[Batch]:
        from airflow_provider_autoglm.corpus.crawl.records.query import read_query

        name = self.name or self.conn_id
        hook = _hook_of(self.conn_id)
        try:
            connection = hook.get_conn()
        except Exception as error:
            raise QueryFailedError(name, redact_userinfo(str(error))) from error
        with closing(connection):
            yield from read_query(connection, self.sql, self.parameters, name=name, fields=self.fields)


def _hook_of(conn_id: str) -> DbApiHook:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    try:
        connection = BaseHook.get_connection(conn_id)
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
    except AirflowNotFoundException:
        raise InvalidConnectionError(conn_id, "there is no such connection; create one of a database") from None
    except AirflowException as error:
        raise InvalidConnectionError(conn_id, str(error)) from error
    except AttributeError as error:  # Airflow's own, where no provider knows the type
        raise InvalidConnectionError(conn_id, f"no installed provider knows type {connection.conn_type}") from error
    if not isinstance(hook, DbApiHook):
        raise InvalidConnectionError(conn_id, f"type {connection.conn_type} is no database that takes SQL")
    return hook
