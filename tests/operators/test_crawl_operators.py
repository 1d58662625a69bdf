"""Crawls in a user's DAG: files and queries, mapped over sources and joined."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk import DAG

from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import QueryFailedError
from airflow_provider_autoglm.operators.corpus import JoinCorpusOperator
from airflow_provider_autoglm.operators.crawl import CrawlOperator, SplitSourcesOperator, SqlQuery
from tests.dags.running import states_after
from tests.postgres_server import PASSWORD, USER, PostgresServer, running

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def tickets() -> Iterator[PostgresServer]:
    """A database with five tickets of two days."""
    with running(PostgresServer()) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("create table tickets (id int, body text, day date)")
            connection.execute(
                "insert into tickets select n, 'Ticket number ' || n, date '2026-01-01' + n % 2"
                " from generate_series(1, 5) n"
            )
        yield server


@pytest.fixture
def connection(tickets: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    described = {
        "conn_type": "postgres",
        "host": "127.0.0.1",
        "port": tickets.port,
        "schema": "postgres",
        "login": USER,
        "password": PASSWORD,
    }
    monkeypatch.setenv("AIRFLOW_CONN_TICKETS", json.dumps(described))


@pytest.fixture
def files(tmp_path: Path) -> str:
    for number in range(4):
        lines = [json.dumps({"text": f"line {line} of file {number}"}) for line in range(10 * (number + 1))]
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.jsonl").write_text("\n".join([*lines, "no json"]))
    return str(tmp_path / "in")


def crawl_dag(destination: Path, **arguments: Any) -> DAG:
    with DAG("own_crawl", schedule=None) as dag:
        CrawlOperator(task_id="crawl", settings={}, destination=f"{destination}/crawl", **arguments)
    return dag


def test_rows_of_a_query_are_documents_beside_those_of_files(
    airflow_home: Path, connection: None, files: str, tmp_path: Path
) -> None:
    query = SqlQuery(
        "tickets",
        "select id, {{ 'body' }} as body from tickets where day = %(day)s order by id",
        {"day": "{{ '2026-01-02' }}"},
        name="tickets",
        fields={"text": "body", "number": "id"},
    )

    assert states_after(crawl_dag(tmp_path, sources=[files], queries=[query])) == {"crawl": "success"}

    corpus = Corpus.open(f"{tmp_path}/crawl")
    rows = [row for row in corpus.to_table().to_pylist() if row["source"] == "tickets"]
    assert [(row["text"], row["number"]) for row in rows] == [(f"Ticket number {n}", str(n)) for n in (1, 3, 5)]
    assert corpus.rows == 103
    assert PASSWORD not in (tmp_path / "crawl" / "_manifest.json").read_text()


def test_a_query_is_asked_again_by_the_next_run_but_not_by_a_retry(
    airflow_home: Path, connection: None, tickets: PostgresServer, tmp_path: Path
) -> None:
    dag = crawl_dag(tmp_path, queries=[SqlQuery("tickets", "select body as text from tickets")])
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    states_after(dag, logical_date=first, run_after=first)
    with psycopg.connect(tickets.url("postgres"), autocommit=True) as database:
        database.execute("insert into tickets values (6, 'Ticket number 6', date '2026-02-01')")
    try:
        assert states_after(dag, logical_date=first, run_after=first) == {"crawl": "success"}
        assert Corpus.open(f"{tmp_path}/crawl").rows == 5

        assert states_after(dag, logical_date=second, run_after=second) == {"crawl": "success"}
        assert Corpus.open(f"{tmp_path}/crawl").rows == 6
    finally:
        with psycopg.connect(tickets.url("postgres"), autocommit=True) as database:
            database.execute("delete from tickets where id = 6")


@pytest.mark.parametrize(
    ("conn_id", "described", "message"),
    [
        ("nowhere", None, "connection nowhere: there is no such connection; create one of a database"),
        ("odd", {"conn_type": "http", "host": "a.org"}, "connection odd: type http is no database that takes SQL"),
        ("strange", {"conn_type": "unheard"}, 'connection strange: Unknown hook type "unheard"'),
    ],
)
def test_a_connection_that_takes_no_query_is_named(
    airflow_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    conn_id: str,
    described: dict[str, Any] | None,
    message: str,
) -> None:
    if described is not None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(described))

    assert states_after(crawl_dag(tmp_path, queries=[SqlQuery(conn_id, "select 1 as text")])) == {"crawl": "failed"}
    assert message in capsys.readouterr().out


def test_a_database_that_is_away_is_worth_a_retry(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps({"conn_type": "postgres", "host": "127.0.0.1", "port": 9}))
    source = SqlQuery("away", "select 1 as text").as_source(datetime.now(UTC))

    with pytest.raises(QueryFailedError, match=r"query away: connection .*failed") as raised:
        next(source.batches())

    assert raised.value.retry_can_help


def test_a_crawl_is_mapped_over_its_sources_and_joined(airflow_home: Path, files: str, tmp_path: Path) -> None:
    with DAG("mapped_crawl", schedule=None) as dag:
        split = SplitSourcesOperator(
            task_id="split", sources=[{"files": files, "name": "lines"}], destination=f"{tmp_path}/crawl", max_parts=3
        )
        crawl = CrawlOperator.partial(task_id="crawl", settings={"max_rejected_fraction": 0.05}).expand_kwargs(
            split.output
        )
        JoinCorpusOperator(task_id="join", stage="crawl", sources=crawl.output, destination=f"{tmp_path}/crawl")

    assert set(states_after(dag).values()) == {"success"}

    corpus = Corpus.open(f"{tmp_path}/crawl")
    assert len(corpus.manifest.parts) == 3
    assert (corpus.rows, corpus.manifest.counters.rejected) == (100, 4)
    assert set(corpus.to_table()["source"].to_pylist()) == {"lines"}


def test_too_much_that_is_rejected_fails_the_join_and_no_part(airflow_home: Path, files: str, tmp_path: Path) -> None:
    with DAG("mapped_crawl", schedule=None) as dag:
        split = SplitSourcesOperator(task_id="split", sources=[files], destination=f"{tmp_path}/crawl")
        crawl = CrawlOperator.partial(task_id="crawl", settings={"max_rejected_fraction": 0.01}).expand_kwargs(
            split.output
        )
        JoinCorpusOperator(task_id="join", stage="crawl", sources=crawl.output, destination=f"{tmp_path}/crawl")

    states = states_after(dag)

    assert (states["split"], states["crawl"], states["join"]) == ("success", "success", "failed")


def test_files_of_another_connection_are_read_through_it(
    airflow_home: Path, tmp_path: Path, files: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"files": "unheard-of://bucket/a.csv", "conn_id": "nowhere"}

    assert states_after(crawl_dag(tmp_path, sources=[source])) == {"crawl": "failed"}
    assert "storage_conn_id = 'nowhere': there is no such connection" in capsys.readouterr().out
