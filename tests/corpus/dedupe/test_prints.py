"""The fingerprints of every document, and the file they wait in."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash64
from airflow_provider_autoglm.corpus.dedupe.minhash import band_keys
from airflow_provider_autoglm.corpus.dedupe.prints import (
    BAND_COLUMNS,
    ScratchPrints,
    iter_prints,
    prints_of,
    prints_schema,
)
from airflow_provider_autoglm.corpus.dedupe.tokens import tokenise
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.settings import DedupeSettings
from tests.corpus.dedupe.runs import document, han_text_of, text_of, write_shards

_SIMHASH = DedupeSettings(method="simhash")
_BOTH = DedupeSettings(method="both")


def test_a_row_is_the_fingerprints_of_a_text() -> None:
    texts = ["", "a", text_of(1), han_text_of(1), "\N{GRINNING FACE}", "x" * 400_000, " two\n\tlines "]
    prints = prints_of(texts, _BOTH)
    assert prints.schema == prints_schema(_BOTH)
    assert prints["simhash"].to_pylist() == simhash64(texts).tolist()
    tokens = tokenise(texts)
    keys = np.array([prints[name].to_numpy() for name in BAND_COLUMNS]).T
    assert keys.tolist() == band_keys(tokens.codes, tokens.bounds).tolist()
    assert prints_of(texts, _SIMHASH).equals(prints.select(["simhash"]))


@pytest.mark.parametrize("settings", [_SIMHASH, _BOTH], ids=["simhash", "both"])
def test_no_texts_are_no_rows(settings: DedupeSettings) -> None:
    assert prints_of([], settings).equals(prints_schema(settings).empty_table())


def test_texts_that_read_the_same_have_the_same_prints() -> None:
    text = "Ångström résumé Tiếng Việt 한국어"
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    one, other = prints_of(forms, _BOTH).to_pylist()
    assert forms[0] != forms[1]
    assert one == other


def test_rows_that_are_no_documents_have_no_prints(tmp_path: Path) -> None:
    rows = [document("a", text_of(1)), document("b", None), {**document("c", text_of(2)), "doc_id": None}]
    source = Corpus.open(write_shards(tmp_path / "in", [rows, [document("d", text_of(3))]]))
    prints = pa.concat_tables(iter_prints([source], _SIMHASH))
    assert prints["simhash"].to_pylist() == simhash64([text_of(1), text_of(3)]).tolist()


def test_prints_wait_in_a_file_that_has_no_name_and_come_back_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    every = pa.concat_tables(prints_of([text_of((page, n)) for n in range(5)], _BOTH) for page in range(3))
    many = pa.concat_tables([every] * 3_000)
    prints = ScratchPrints((many.slice(row, 1_000) for row in range(0, many.num_rows, 1_000)), many.schema)
    assert os.listdir(tmp_path) == []
    tables = list(prints.iter_tables())
    assert len(tables) > 1, "not all of them are in memory"
    assert pa.concat_tables(tables).equals(many)
    some = list(prints.iter_tables(["band_07", "simhash", "no such column"]))
    assert {tuple(table.column_names) for table in some} == {("simhash", "band_07")}
    assert pa.concat_tables(some).equals(many.select(["simhash", "band_07"]))


def test_no_prints_are_no_pages() -> None:
    assert list(ScratchPrints([], prints_schema(_SIMHASH)).iter_tables(["simhash"])) == []
