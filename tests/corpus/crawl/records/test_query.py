from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import psycopg2
import pytest

from airflow_provider_autoglm.corpus.crawl import crawl
from airflow_provider_autoglm.corpus.crawl.records import TableSource
from airflow_provider_autoglm.corpus.crawl.records.query import read_query
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import MissingColumnsError, QueryFailedError
from tests.postgres_server import PostgresServer, running


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running(PostgresServer()) as server:
        yield server


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "tickets.db")) as connection:
        connection.execute("create table tickets (body, stars, raw)")
        rows = [(f"ticket {n}", n if n % 2 else f"{n} stars", b"caf\xc3\xa9") for n in range(2_500)]
        connection.executemany("insert into tickets values (?, ?, ?)", rows)
        yield connection


def rows_of(*arguments: Any, **keywords: Any) -> list[dict[str, Any]]:
    batches = read_query(*arguments, name="tickets", **keywords)
    return [row for batch in batches for row in batch.table.to_pylist()]


def test_rows_come_as_text_with_parameters_bound_by_the_driver(sqlite: sqlite3.Connection) -> None:
    rows = rows_of(sqlite, "select body as text, stars, raw from tickets where body <> ? order by rowid", ("ticket 1",))

    assert [row["text"] for row in rows] == [f"ticket {n}" for n in range(2_500) if n != 1]
    assert rows[:2] == [
        {"text": "ticket 0", "stars": "0 stars", "raw": "café"},
        {"text": "ticket 2", "stars": "2 stars", "raw": "café"},
    ]


def test_fields_choose_columns_of_the_result(sqlite: sqlite3.Connection) -> None:
    assert rows_of(sqlite, "select * from tickets limit 1", fields={"text": "body", "label": "stars"}) == [
        {"text": "ticket 0", "label": "0 stars"}
    ]
    with pytest.raises(MissingColumnsError, match=r"missing columns title; found body, stars, raw \(query tickets\)"):
        rows_of(sqlite, "select * from tickets", fields={"text": "title"})


def test_a_query_that_is_refused_is_a_named_error_that_a_retry_can_help(sqlite: sqlite3.Connection) -> None:
    with pytest.raises(QueryFailedError, match="query tickets: no such table: ticket") as raised:
        rows_of(sqlite, "select * from ticket")
    assert raised.value.retry_can_help


@pytest.mark.parametrize("driver", [psycopg2, psycopg])
def test_postgresql_keeps_the_result_and_hands_it_out_in_batches(postgres: PostgresServer, driver: Any) -> None:
    with closing(driver.connect(postgres.url("postgres"))) as connection:
        sql = "select 'row ' || n as text from generate_series(1, %(n)s) n"
        batches = read_query(connection, sql, {"n": 2_500}, name="rows")
        first = next(batches)
        with connection.cursor() as other:
            other.execute("select name from pg_cursors")
            cursors = other.fetchall()
        others = list(batches)

    assert [name for (name,) in cursors] == ["autoglm"]
    assert [batch.table.num_rows for batch in (first, *others)] == [1_000, 1_000, 500]
    assert first.table["text"][999].as_py() == "row 1000"


@pytest.mark.parametrize("driver", [psycopg2, psycopg])
def test_types_of_postgresql_become_text(postgres: PostgresServer, driver: Any) -> None:
    sql = """select 'x' as text, 7 as i, 1.50 as d, true as b, '{"a": 1}'::jsonb as j, array[1, 2] as l, null as e,
        'b5e0a1f0-0000-4000-8000-000000000000'::uuid as u, timestamptz '2026-01-02 03:04:05Z' as fetched_at"""
    with closing(driver.connect(postgres.url("postgres"))) as connection:
        connection.cursor().execute("set time zone 'UTC'")
        (row,) = rows_of(connection, sql)

    assert (row["i"], row["d"], row["b"], row["j"], row["l"]) == (
        "7",
        str(Decimal("1.50")),
        "true",
        '{"a": 1}',
        "[1, 2]",
    )
    assert (row["e"], row["u"]) == (None, str(UUID("b5e0a1f0-0000-4000-8000-000000000000")))
    assert datetime.fromisoformat(row["fetched_at"]) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("driver", [psycopg2, psycopg])
def test_a_result_without_rows_is_empty(postgres: PostgresServer, driver: Any) -> None:
    with closing(driver.connect(postgres.url("postgres"))) as connection:
        assert rows_of(connection, "select 'x' as text where false") == []


def test_a_database_that_goes_away_is_a_named_error(postgres: PostgresServer) -> None:
    with closing(psycopg2.connect(postgres.url("postgres"))) as connection:
        batches = read_query(connection, "select 'x' as text from generate_series(1, 1000000)", name="rows")
        next(batches)
        with postgres.away(), pytest.raises(QueryFailedError, match="query rows: "):
            list(batches)


def test_a_table_source_becomes_documents_and_its_digest_decides_what_is_used_again(
    sqlite: sqlite3.Connection, tmp_path: Path
) -> None:
    sql = "select body as text, nullif(stars, '2 stars') as stars from tickets where body <> 'ticket 3' limit 4"

    def source(digest: str) -> TableSource:
        return TableSource("tickets", digest, lambda: read_query(sqlite, sql, name="tickets"))

    first = crawl([], str(tmp_path / "out"), {}, tables=[source("a")])
    again = crawl([], str(tmp_path / "out"), {}, tables=[source("a")])
    changed = crawl([], str(tmp_path / "out"), {}, tables=[source("b")])

    assert (first.rows_in, first.reused, again.reused, changed.reused) == (4, False, True, False)
    corpus = Corpus.open(first.uri)
    assert corpus.to_table().select(["source", "text", "stars"]).to_pylist()[2:] == [
        {"source": "tickets", "text": "ticket 2", "stars": None},
        {"source": "tickets", "text": "ticket 4", "stars": "4 stars"},
    ]
    assert corpus.manifest.inputs[0].uri == "query:tickets"


def test_bytes_that_are_no_text_cost_their_row(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        sql = "select 'one' as text, x'ff' as raw union all select 'two', x'6f6b'"
        result = crawl(
            [], str(tmp_path / "out"), {}, tables=[TableSource("a", "a", lambda: read_query(connection, sql, name="a"))]
        )

    assert (result.rows_out, result.metrics["rejected/invalid_encoding"]) == (1, 1)
    problems = Corpus.open(result.uri).to_table(["problem"], kind="rejected").to_pylist()
    assert problems == [{"problem": "raw: its bytes are no UTF-8"}]
