"""What becomes of every row, as statements over the table ``rows``: whose label counts, and which split it lies in."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from airflow_provider_autoglm.corpus.publish.splits import (
    TEST,
    Clusters,
    hashed_split,
    refuse_leakage,
    splits_by_time,
)
from airflow_provider_autoglm.settings import PublishSettings


def leave_unknown_labels(database: sqlite3.Connection, labels: Sequence[str]) -> None:
    """Set aside rows whose label is not one of ``labels``; none are if these are not given."""
    if labels:
        database.execute("CREATE TABLE IF NOT EXISTS labels (name TEXT PRIMARY KEY)")
        database.executemany("INSERT OR IGNORE INTO labels VALUES (?)", [(label,) for label in labels])
        database.execute(
            "UPDATE rows SET reason = 'unknown_label'"
            " WHERE reason IS NULL AND label <> '' AND label NOT IN (SELECT name FROM labels)"
        )


def remember_people(database: sqlite3.Connection) -> None:
    """Make the table ``kept`` of the labels in the version before that people have given."""
    database.execute(
        "CREATE TABLE kept (doc TEXT PRIMARY KEY, position INTEGER, text INTEGER, label TEXT, at REAL,"
        " is_feedback INTEGER, kept TEXT) WITHOUT ROWID"
    )
    database.execute(
        "INSERT INTO kept SELECT doc, position, text, label, at, is_feedback, kept FROM rows"
        " WHERE NOT is_new AND reason IS NULL AND at IS NOT NULL"
    )
    database.execute("CREATE INDEX kept_text ON kept (text, position)")


def keep_labels(database: sqlite3.Connection) -> None:
    """Give a machine's new rows the label that people gave the same document."""
    database.execute(
        "UPDATE rows SET label = (SELECT kept.label FROM kept WHERE kept.doc = rows.doc)"
        " WHERE is_new AND reason IS NULL AND NOT by_people AND doc IN (SELECT doc FROM kept)"
    )


def choose_rows(database: sqlite3.Connection) -> None:
    """Decide which row stands for a document, and which for a text that people have labelled.

    Makes the tables ``fresh`` (document, position of its new row), ``spoken`` (text, position of the row with the last
    word of people), and ``ties`` (heir, what it may take over); every row that is left out gets its ``reason``.
    """
    database.execute("CREATE INDEX rows_doc ON rows (doc, is_new)")
    database.execute("CREATE TABLE fresh (doc TEXT PRIMARY KEY, position INTEGER) WITHOUT ROWID")
    # People's labels before a machine's, the greater word, the lesser name; a null is less than any time.
    database.execute(
        "INSERT INTO fresh SELECT doc, position FROM (SELECT doc, position, row_number() OVER"
        " (PARTITION BY doc ORDER BY at DESC, is_feedback DESC, label, position) AS place"
        " FROM rows WHERE is_new AND reason IS NULL AND label <> '') WHERE place = 1"
    )
    database.execute("CREATE TABLE spoken (text INTEGER PRIMARY KEY, position INTEGER, doc TEXT)")
    database.execute(
        "INSERT INTO spoken SELECT text, position, doc FROM (SELECT text, position, doc, row_number() OVER"
        " (PARTITION BY text ORDER BY at DESC, is_feedback DESC, doc) AS place FROM"
        " (SELECT rows.text, rows.position, rows.doc, coalesce(rows.at, kept.at) AS at,"
        " CASE WHEN rows.at IS NULL THEN kept.is_feedback ELSE rows.is_feedback END AS is_feedback"
        " FROM fresh JOIN rows USING (position) LEFT JOIN kept ON kept.doc = rows.doc"
        " WHERE coalesce(rows.at, kept.at) IS NOT NULL"
        " UNION ALL SELECT text, position, doc, at, is_feedback FROM kept WHERE doc NOT IN (SELECT doc FROM fresh)))"
        " WHERE place = 1"
    )
    _supersede(database)
    _leave_out(database)


def _supersede(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE ties (heir TEXT PRIMARY KEY, url TEXT, cluster TEXT) WITHOUT ROWID")
    newest = (
        "SELECT old.position, old.url, old.own_cluster, spoken.doc AS heir"
        " FROM rows AS old LEFT JOIN fresh ON fresh.doc = old.doc"
        " LEFT JOIN rows AS newest ON newest.position = fresh.position"
        " LEFT JOIN spoken ON spoken.text = coalesce(newest.text, old.text)"
        " WHERE NOT old.is_new AND old.reason IS NULL"
        " AND coalesce(spoken.position, fresh.position, old.position) <> old.position"
    )
    database.execute(f"CREATE TABLE superseded AS {newest}")
    database.execute(
        "INSERT INTO ties SELECT heir, min(url), min(own_cluster) FROM superseded WHERE heir IS NOT NULL GROUP BY heir"
    )
    database.execute("UPDATE rows SET reason = 'superseded' WHERE position IN (SELECT position FROM superseded)")
    database.execute("DROP TABLE superseded")


def _leave_out(database: sqlite3.Connection) -> None:
    database.execute(
        "UPDATE rows SET reason ="
        " CASE WHEN text IN (SELECT text FROM spoken) THEN 'labelled_by_people' ELSE 'abstained' END"
        " WHERE is_new AND reason IS NULL AND label = ''"
    )
    # Written down only now: who binds whom is asked of all rows that have a label.
    database.execute("CREATE TABLE left_out (position INTEGER PRIMARY KEY, reason TEXT)")
    database.execute(
        "INSERT INTO left_out SELECT rows.position,"
        " CASE WHEN fresh.position <> rows.position THEN 'duplicate_doc_id' ELSE 'labelled_by_people' END"
        " FROM rows JOIN fresh ON fresh.doc = rows.doc LEFT JOIN spoken ON spoken.text = rows.text"
        " WHERE rows.is_new AND rows.reason IS NULL"
        " AND (fresh.position <> rows.position OR coalesce(spoken.position, rows.position) <> rows.position)"
    )


def join_clusters(database: sqlite3.Connection) -> None:
    """Make ``texts`` (text that several rows have, its first document) and ``roots`` (member, name of its cluster).

    A document that is alone in its cluster is in neither.
    """
    # What binds others: all of the version before, even what leaves it, and new rows that may be published.
    database.execute("CREATE VIEW linked AS SELECT * FROM rows WHERE NOT is_new OR (reason IS NULL AND label <> '')")
    database.execute("CREATE TABLE texts (text INTEGER PRIMARY KEY, doc TEXT)")
    database.execute(
        "INSERT INTO texts SELECT text, doc FROM (SELECT text, doc, min(position), count(*) AS rows"
        " FROM linked GROUP BY text) WHERE rows > 1"
    )
    database.execute("CREATE TABLE edges (one TEXT, other TEXT)")
    database.execute("INSERT INTO edges SELECT doc, cluster FROM linked WHERE cluster <> doc")
    # A document that came back under another address must not land in another split.
    database.execute(
        "INSERT INTO edges SELECT linked.doc, texts.doc FROM linked JOIN texts USING (text)"
        " WHERE linked.doc <> texts.doc"
    )
    # Nor a page that was edited in another than the text it had before; not where several rows share the address.
    database.execute(
        "INSERT INTO edges SELECT min(edited.doc), earlier.doc FROM"
        " (SELECT doc, url, min(position) FROM linked WHERE is_new GROUP BY doc) AS edited JOIN"
        " (SELECT doc, url, min(position) FROM rows WHERE NOT is_new AND url <> '' GROUP BY url) AS earlier USING (url)"
        " WHERE NOT EXISTS (SELECT 1 FROM rows WHERE rows.doc = edited.doc AND NOT is_new)"
        " GROUP BY url HAVING count(*) = 1"
    )
    _name_clusters(database)


def _name_clusters(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT)")
    database.execute(
        "INSERT INTO names (name) SELECT one AS name FROM edges UNION SELECT other FROM edges ORDER BY name"
    )
    database.execute("CREATE INDEX names_name ON names (name)")
    # Numbers begin with 1 and follow the order of the names.
    members = 1 + int(database.execute("SELECT count(*) FROM names").fetchone()[0])
    clusters = Clusters(members)
    numbers = "SELECT a.number, b.number FROM edges JOIN names AS a ON a.name = one JOIN names AS b ON b.name = other"
    for one, other in database.execute(numbers):
        clusters.join(one, other)
    database.execute("CREATE TABLE numbers (member INTEGER PRIMARY KEY, root INTEGER)")
    database.executemany(
        "INSERT INTO numbers VALUES (?, ?)", ((member, clusters.name_of(member)) for member in range(1, members))
    )
    database.execute("CREATE TABLE roots (member TEXT PRIMARY KEY, root TEXT) WITHOUT ROWID")
    database.execute(
        "INSERT INTO roots SELECT a.name, b.name FROM numbers JOIN names AS a ON a.number = member"
        " JOIN names AS b ON b.number = root ORDER BY a.name"
    )
    for table in ("edges", "names", "numbers"):
        database.execute(f"DROP TABLE {table}")


def place_rows(database: sqlite3.Connection, settings: PublishSettings) -> None:
    """Give every row that stays its split, and those that :func:`choose_rows` left out their reason.

    :raises SplitLeakageError: if one cluster would lie in two splits.
    """
    database.execute("CREATE TABLE given (root TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID")
    # Once test, always test; merged means test.
    database.execute(
        "INSERT INTO given SELECT coalesce(root, doc) AS name,"
        " CASE WHEN min(split) = max(split) THEN min(split) ELSE ? END"
        " FROM rows LEFT JOIN roots ON member = doc WHERE NOT is_new GROUP BY name",
        (TEST,),
    )
    database.execute("UPDATE rows SET reason = left_out.reason FROM left_out WHERE left_out.position = rows.position")
    database.execute("DROP TABLE left_out")
    if settings.split_by == "time":
        _split_by_time(database, settings)
    database.create_function("hashed_split", 1, lambda name: hashed_split(name, settings), deterministic=True)
    database.execute(
        "UPDATE rows SET split = (SELECT coalesce(given.split, hashed_split(name)) FROM"
        " (SELECT coalesce((SELECT root FROM roots WHERE member = rows.doc), rows.doc) AS name)"
        " LEFT JOIN given ON given.root = name) WHERE reason IS NULL"
    )
    refuse_leakage(
        database.execute(
            "SELECT DISTINCT cluster, split FROM rows WHERE reason IS NULL AND cluster IN"
            " (SELECT cluster FROM rows WHERE reason IS NULL GROUP BY cluster HAVING min(split) <> max(split))"
        )
    )


def _split_by_time(database: sqlite3.Connection, settings: PublishSettings) -> None:
    database.execute("CREATE TABLE undecided (name TEXT PRIMARY KEY, time REAL, members INTEGER) WITHOUT ROWID")
    database.execute(
        "INSERT INTO undecided SELECT coalesce(root, doc) AS name, max(time), count(*)"
        " FROM rows LEFT JOIN roots ON member = doc WHERE reason IS NULL"
        " AND coalesce(root, doc) NOT IN (SELECT root FROM given) GROUP BY name"
    )
    rows = database.execute("SELECT coalesce(sum(members), 0) FROM undecided").fetchone()[0]
    newest_first = database.execute("SELECT name, members FROM undecided ORDER BY time DESC, name")
    database.executemany("INSERT INTO given VALUES (?, ?)", splits_by_time(newest_first, rows, settings))
    database.execute("DROP TABLE undecided")


def count_news(database: sqlite3.Connection) -> tuple[int, int]:
    """New documents and changed labels: a text that people have labelled is one, whatever addresses it has."""
    found = database.execute(
        "SELECT sum(CASE WHEN old.doc IS NULL THEN NOT news.is_known ELSE 0 END),"
        " sum(CASE WHEN old.doc IS NOT NULL"
        " THEN (news.at IS NOT NULL AND news.kept_doc IS NULL) OR old.label <> news.label"
        " WHEN news.is_known THEN news.said IS NULL OR news.said <> news.label ELSE 0 END)"
        " FROM (SELECT rows.doc, rows.at, rows.label, kept.doc AS kept_doc, (rows.at IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM rows AS first WHERE first.doc = texts.doc AND NOT first.is_new)) AS is_known,"
        " (SELECT label FROM kept WHERE kept.text = rows.text ORDER BY kept.position DESC LIMIT 1) AS said"
        " FROM rows LEFT JOIN kept ON kept.doc = rows.doc LEFT JOIN texts ON texts.text = rows.text"
        " WHERE rows.is_new AND rows.reason IS NULL) AS news"
        " LEFT JOIN rows AS old ON old.doc = news.doc AND NOT old.is_new"
    ).fetchone()
    return int(found[0] or 0), int(found[1] or 0)
