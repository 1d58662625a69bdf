from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.documents import Admitted, admit_documents, replace_invalid_utf8
from airflow_provider_autoglm.corpus.schema import DOCUMENT_SCHEMA, LABEL_COLUMNS, document_id, normalise_text
from airflow_provider_autoglm.exceptions import MissingColumnsError, UnusableColumnError
from tests.corpus.conftest import strings_of

LONE_SURROGATE = b"broken \xed\xa0\x80 pair"


def admit(columns: dict[str, Any]) -> Admitted:
    return admit_documents(pa.table(columns), uri="file:///texts.parquet", source="texts")


def test_the_doc_id_is_the_same_in_every_run_and_on_every_machine() -> None:
    table = {"url": ["https://example.org/a", None], "source": ["docs", "docs"], "text": ["Grüße an alle"] * 2}

    assert admit(table).kept["doc_id"].to_pylist() == [
        "a69552aac859858cf59e1709aad28793",
        "f538198628fb8654c4c12f28e286411d",
    ]


def test_the_doc_id_does_not_depend_on_white_space_or_composition() -> None:
    assert document_id("key", "Gru\u0308\u00dfe \n\t an  alle ") == document_id("key", "Grüße an alle")
    assert document_id("key", "one") != document_id("other", "one")
    assert document_id("ab", "c") != document_id("a", "bc")


@given(st.text())
def test_normal_text_stays_normal(text: str) -> None:
    assert normalise_text(normalise_text(text)) == normalise_text(text)


def test_absent_columns_are_filled_and_others_travel_through() -> None:
    kept = admit({"text": ["one"], "stars": [5], "url": ["https://example.org"]}).kept

    assert kept.column_names == [*DOCUMENT_SCHEMA.names, "stars"]
    assert kept.schema.field("fetched_at").type == pa.timestamp("us", tz="UTC")
    row = kept.to_pylist()[0]
    assert (row["source"], row["stars"], row["title"], row["lang"]) == ("texts", 5, None, None)


def test_a_given_doc_id_stays_and_a_missing_one_is_filled() -> None:
    first, second = admit({"doc_id": ["mine", None], "text": ["one", "two"]}).kept["doc_id"].to_pylist()

    assert (first, len(second)) == ("mine", 32)


def test_columns_of_a_kindred_type_are_converted() -> None:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    kept = admit(
        {
            "text": pa.array(["one"], pa.large_string()),
            "lang_score": [1],
            "fetched_at": pa.array([moment], pa.timestamp("ms", tz="UTC")),
            "title": pa.array(["a"]).dictionary_encode(),
        }
    ).kept

    assert kept.select(DOCUMENT_SCHEMA.names).schema == DOCUMENT_SCHEMA
    assert kept["fetched_at"].to_pylist() == [moment]


def test_labels_a_source_brings_get_the_types_of_label_columns() -> None:
    kept = admit(
        {
            "text": ["one", "two"],
            "label": pa.array(["a", None]).dictionary_encode(),
            "label_source": pa.array(["human", None]).dictionary_encode(),
            "label_score": [1, 0],
        }
    ).kept

    assert kept.select(LABEL_COLUMNS.names[:2]).schema == pa.schema([LABEL_COLUMNS.field(0), LABEL_COLUMNS.field(1)])
    assert kept["label_source"].to_pylist() == ["human", None]
    assert kept["label_source"].type == pa.string()


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("fetched_at", ["my secret"]),
        ("lang_score", ["my secret"]),
        ("text", [["my secret"]]),
        ("label", [{"name": "my secret"}]),
        ("label_score", ["my secret"]),
    ],
)
def test_a_column_of_another_kind_is_named_and_not_quoted(column: str, values: list[Any]) -> None:
    with pytest.raises(
        UnusableColumnError, match=f"column {column} of type .* cannot be used as .*texts.parquet"
    ) as raised:
        admit({"text": ["one"], column: values})

    assert "secret" not in str(raised.value)


def test_a_table_without_text_is_refused() -> None:
    with pytest.raises(MissingColumnsError, match="missing columns text; found body, url") as raised:
        admit({"body": ["one"], "url": ["https://example.org"]})

    assert raised.value.missing == ["text"]


def test_rows_without_readable_text_are_put_aside_with_their_reason() -> None:
    text = strings_of([b"good", None, b"", b" \n\t\xe3\x80\x80", b"caf\xe9", LONE_SURROGATE, "\ufffd".encode()])
    admitted = admit({"text": text, "number": list(range(7))})

    assert admitted.kept["number"].to_pylist() == [0, 6]
    rejected = admitted.rejected.select(["number", "text", "reason"]).to_pylist()
    assert [(row["number"], row["reason"]) for row in rejected] == [
        (1, "missing_text"),
        (2, "empty_text"),
        (3, "empty_text"),
        (4, "invalid_utf8"),
        (5, "invalid_utf8"),
    ]
    assert rejected[3]["text"] == "caf\ufffd"


def test_bytes_that_are_no_text_are_found_in_every_column() -> None:
    title = pa.chunked_array([strings_of([b"fine", None]), strings_of([b"caf\xe9"])])
    admitted = admit({"text": ["one", "two", "three"], "title": title, "number": [1, 2, 3]})

    assert admitted.kept["number"].to_pylist() == [1, 2]
    assert admitted.rejected["reason"].to_pylist() == ["invalid_utf8"]
    admitted.rejected.validate(full=True)


def test_text_of_nulls_alone_is_missing_text() -> None:
    assert admit({"text": pa.nulls(2)}).rejected["reason"].to_pylist() == ["missing_text"] * 2


def test_an_empty_table_gives_empty_tables_with_all_columns() -> None:
    admitted = admit({"text": pa.array([], pa.string())})

    assert (admitted.kept.num_rows, admitted.rejected.num_rows) == (0, 0)
    assert admitted.kept.schema == DOCUMENT_SCHEMA


def test_valid_text_is_not_touched() -> None:
    table = pa.table({"text": ["ä", None], "number": [1, 2]})
    repaired, invalid = replace_invalid_utf8(table)

    assert repaired is table
    assert invalid.to_pylist() == [False, False]
