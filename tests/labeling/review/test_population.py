from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_autoglm.corpus.stage import StageAttempt
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import MissingColumnsError
from airflow_provider_autoglm.labeling.review.population import Population, read_population, read_rows, shuffled
from tests.corpus.conftest import strings_of
from tests.labeling.review.conftest import Checks, row, rows


def population_of(*uris: str) -> Population:
    return read_population([Corpus.open(uri) for uri in uris])


def test_who_was_labelled_by_people_is_not_asked_and_who_abstained_is_kept_apart(checks: Checks) -> None:
    content = [
        row(0, "b"),
        row(1, "a", label_source="human"),
        row(2, "a", label_source="feedback"),
        row(3, None),
        row(4, "a"),
        row(5, None, label_source="human"),
    ]
    found = population_of(checks.corpus(content))
    assert found.labels == ("a", "b")
    assert found.row[found.labelled].tolist() == [0, 4]
    assert found.stratum[found.labelled].tolist() == [1, 0]
    assert found.row[found.abstained].tolist() == [3]


def test_a_document_that_is_there_twice_counts_once_and_one_without_id_not_at_all(checks: Checks) -> None:
    first = checks.corpus([row(0), row(1), row(0, "b")])
    second = checks.corpus([row(1, "b"), row(2, "b"), row(3, doc_id=None), row(4, doc_id="")])
    found = population_of(first, second)
    assert found.row.tolist() == [0, 1, 4]
    assert found.stratum.tolist() == [0, 0, 1]


def test_the_hashes_depend_on_the_rows_and_not_on_the_order_of_corpora_or_shards(checks: Checks) -> None:
    one, two, other = (checks.corpus(some) for some in (rows(30)[:15], rows(30)[15:], rows(31)[30:]))
    forward, backward = population_of(one, two), population_of(two, one)
    assert set(forward.order) == set(backward.order)
    assert not set(forward.order) & set(population_of(one, two, other).order)


def test_a_margin_that_nobody_knows_is_infinite(checks: Checks) -> None:
    found = population_of(checks.corpus([row(0, label_margin=None), row(1, label_margin=math.nan), row(2)]))
    assert found.margin.tolist() == [math.inf, math.inf, 0.5]


def test_rows_are_read_by_their_number_over_all_corpora_and_shards(checks: Checks) -> None:
    uris = [checks.corpus(rows(25), rows_of_a_shard=10), checks.corpus([]), checks.corpus(rows(12), rows_of_a_shard=5)]
    wanted = np.array([0, 9, 10, 24, 25, 36])
    found = list(read_rows([Corpus.open(uri) for uri in uris], wanted, ["text", "no_such_column"]))
    texts = [f"This is text number {number}." for number in (0, 9, 10, 24, 0, 11)]
    assert found == [(number, {"text": text}) for number, text in zip(wanted.tolist(), texts, strict=True)]


def test_bytes_that_are_no_utf8_become_replacement_characters(checks: Checks) -> None:
    uri = checks.uri("label")
    attempt = StageAttempt("label", [], uri, {})
    attempt.count_in(1)
    table = pa.table(
        {"doc_id": ["x"], "text": strings_of([b"a\xed\xa0\x80b"]), "label": ["a"], "label_source": ["auto"]}
    )
    attempt.write(table)
    corpora = [Corpus.open(attempt.commit().uri)]
    assert read_population(corpora).margin.tolist() == [math.inf]
    assert list(read_rows(corpora, np.array([0]), ["text"])) == [(0, {"text": "a���b"})]


def test_a_corpus_without_labels_is_refused(checks: Checks) -> None:
    uri = checks.uri("clean")
    attempt = StageAttempt("clean", [], uri, {})
    attempt.count_in(1)
    attempt.write(pa.table({"doc_id": ["x"], "text": ["text"]}))
    attempt.commit()
    with pytest.raises(MissingColumnsError, match="label_source"):
        population_of(uri)


def test_an_empty_corpus_has_an_empty_population(checks: Checks) -> None:
    found = population_of(checks.corpus([]))
    assert (found.labels, len(found.labelled), len(found.abstained)) == ((), 0, 0)


def test_another_order_is_made_of_one_without_losing_a_place() -> None:
    order = np.arange(10_000, dtype=np.uint64)
    mixed = shuffled(order)
    assert len(np.unique(mixed)) == len(order)
    assert abs(np.corrcoef(order.astype(float), mixed.astype(float))[0, 1]) < 0.05
