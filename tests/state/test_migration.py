from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from airflow_provider_autoglm.exceptions import StateNotMigratedError, StateUnavailableError
from airflow_provider_autoglm.state import Database
from airflow_provider_autoglm.state.events import read_events
from airflow_provider_autoglm.state.revision import VERSION_TABLE, alembic_config, newest_revision
from airflow_provider_autoglm.state.routes import read_routes, write_routes
from airflow_provider_autoglm.state.tables import metadata
from tests.state.conftest import ONE, race


def tables_of(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(sa.inspect(connection).get_table_names())


def set_revision(database: Database, revision: str) -> None:
    with database.transaction() as connection:
        connection.execute(sa.text(f"update {VERSION_TABLE} set version_num = :revision"), {"revision": revision})


def test_an_empty_database_is_migrated(empty: Database) -> None:
    assert empty.migrate() == newest_revision()

    assert empty.revision() == newest_revision()
    assert tables_of(empty) == {*metadata.tables, VERSION_TABLE}
    empty.check()


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.transaction() as connection:
        write_routes(connection, read_routes(database, "news"), champion=ONE)

    assert database.migrate() == newest_revision()

    assert read_routes(database, "news").champion == ONE


def test_several_that_migrate_at_once_all_succeed(url: str) -> None:
    assert race(url, lambda database, _: database.migrate()) == [newest_revision()] * 6

    Database(url).check()


def test_the_migration_leaves_what_the_tables_say(database: Database) -> None:
    options = {
        "compare_server_default": True,
        "include_object": lambda _object, name, _type, _reflected, _other: name != VERSION_TABLE,
    }
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_another_applications_revision_in_the_same_database_stays(empty: Database, url: str) -> None:
    Database(url)._create_file()
    with empty.transaction() as connection:
        connection.execute(sa.text("create table alembic_version (version_num varchar(32))"))
        connection.execute(sa.text("insert into alembic_version values ('theirs')"))

    empty.migrate()

    with empty.reading() as connection:
        assert connection.execute(sa.text("select version_num from alembic_version")).scalars().all() == ["theirs"]
    assert empty.revision() == newest_revision()


def test_the_way_back_takes_everything_along(database: Database) -> None:
    with database.transaction() as connection:
        command.downgrade(alembic_config(connection), "base")

    assert tables_of(database) == {VERSION_TABLE}
    assert database.revision() is None
    assert database.migrate() == newest_revision()


def test_a_database_without_tables_says_what_to_run(empty: Database) -> None:
    empty._create_file()
    for use in (empty.check, lambda: read_routes(empty, "news"), lambda: read_events(empty, "news")):
        with pytest.raises(StateNotMigratedError, match=r"at revision none.*run: airflow autoglm db migrate"):
            use()


def test_an_older_revision_is_told_apart_from_none(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_autoglm.state.database.newest_revision", lambda: "0002")
    with database.transaction() as connection:
        connection.execute(sa.text("alter table rollouts drop column reason"))

    with pytest.raises(StateNotMigratedError, match="at revision 0001, this version needs 0002; run: airflow"):
        database.check()
    with pytest.raises(StateNotMigratedError, match="at revision 0001"), database.reading() as connection:
        connection.execute(sa.select(metadata.tables["rollouts"]))


def test_a_database_of_a_newer_version_is_refused_with_what_to_do(database: Database) -> None:
    set_revision(database, "9999")

    for use in (database.check, database.migrate):
        with pytest.raises(
            StateNotMigratedError, match=r"revision 9999.*newer version.*install that version"
        ) as raised:
            use()
    assert raised.value.found == "9999"
    assert not raised.value.retry_can_help


def test_a_file_that_cannot_be_created_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StateUnavailableError, match=r"file/state\.db cannot be used: (File exists|Not a directory)"):
        Database(f"sqlite:///{tmp_path}/file/state.db").migrate()
