"""Components and what is kept in them, compared with the definition in plain Python."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_autoglm.corpus.dedupe.clusters import Clusters, find_clusters
from airflow_provider_autoglm.corpus.dedupe.minhash import BANDS, NO_KEY
from airflow_provider_autoglm.corpus.dedupe.shingles import ShinglesOnDisk, TextSets
from airflow_provider_autoglm.corpus.dedupe.verify import KEPT, Problem

_Document = tuple[frozenset[int], int, tuple[int, ...]]
"""Its set, the lower bits of its print, and its keys in the first two bands."""

_documents = st.lists(
    st.tuples(
        st.frozensets(st.integers(0, 7), max_size=5),
        st.integers(0, 63),
        st.tuples(st.sampled_from([NO_KEY, 1, 2]), st.sampled_from([NO_KEY, 1, 2])),
    ),
    min_size=1,
    max_size=14,
)


def _find(documents: list[_Document], max_hamming: int, min_jaccard: float, stored: tuple[int, int]) -> Clusters:
    on_disk = ShinglesOnDisk(len(documents), BANDS)
    order = np.random.default_rng(len(documents)).permutation(len(documents)).astype(np.int32)
    keys = np.zeros((len(documents), BANDS), np.uint32)
    keys[:, :2] = [keys_of for _, _, keys_of in documents]
    for number in np.argsort(order).tolist():
        chosen = sorted(documents[number][0])
        sets = TextSets(np.array(chosen, np.uint32), np.array([0, len(chosen)]))
        on_disk.add(keys[[number]], sets, np.array([len(chosen)]))
    prints = np.array([fingerprint for _, fingerprint, _ in documents], np.uint64)
    problem = Problem(prints, BANDS, max_hamming, min_jaccard, *stored)
    return find_clusters(problem, on_disk.reader(order), lambda band: keys[:, band])


def _are_candidates(one: _Document, other: _Document, max_hamming: int) -> bool:
    by_keys = any(a == b != NO_KEY for a, b in zip(one[2], other[2], strict=True))
    return by_keys or (one[1] ^ other[1]).bit_count() <= max_hamming


def _jaccard(one: _Document, other: _Document) -> float:
    return len(one[0] & other[0]) / len(one[0] | other[0]) if one[0] and other[0] else -1.0


def _by_definition(
    documents: list[_Document], max_hamming: int, min_jaccard: float, stored: tuple[int, int]
) -> tuple[set[frozenset[int]], list[int], list[float], int]:
    """Components, what is kept in the place of each document, their similarity, and how many pairs were verified."""

    def are_similar(a: int, b: int) -> bool:
        one, other = documents[a], documents[b]
        return _are_candidates(one, other, max_hamming) and _jaccard(one, other) >= min_jaccard

    components = {number: {number} for number in range(len(documents))}
    for a, b in combinations(range(len(documents)), 2):
        if not (stored[0] <= a and b < stored[1]) and are_similar(a, b):
            united = components[a] | components[b]
            components.update(dict.fromkeys(united, united))
    kept_by: list[int] = []
    similarity: list[float] = []
    verified = 0
    for number, document in enumerate(documents):
        earlier = [other for other in components[number] if other < number and kept_by[other] == KEPT]
        near = [] if stored[0] <= number < stored[1] else [n for n in sorted(earlier) if are_similar(n, number)]
        verified += len(near)
        best = max(near, key=lambda n: (_jaccard(documents[n], document), -n), default=KEPT)
        kept_by.append(best)
        similarity.append(1.0 if best == KEPT else _jaccard(documents[best], document))
    return {frozenset(component) for component in components.values()}, kept_by, similarity, verified


@settings(max_examples=300, deadline=None)
@given(
    _documents,
    st.sampled_from([-1, 0, 1, 2, 6]),
    st.sampled_from([0.0, 0.5, 0.6, 1.0]),
    st.tuples(st.integers(0, 14), st.integers(0, 14)),
)
def test_clusters_are_those_of_the_definition(
    documents: list[_Document], max_hamming: int, min_jaccard: float, drawn: tuple[int, int]
) -> None:
    first, end = sorted(min(place, len(documents)) for place in drawn)
    clusters = _find(documents, max_hamming, min_jaccard, (first, end))
    components, kept_by, similarity, verified = _by_definition(documents, max_hamming, min_jaccard, (first, end))
    found = {frozenset(np.flatnonzero(clusters.component == name).tolist()) for name in clusters.component}
    assert found == components
    assert clusters.kept_by.tolist() == kept_by
    assert clusters.jaccard.tolist() == np.array(similarity, np.float32).tolist()
    assert clusters.verified == verified


def test_no_documents_have_no_clusters() -> None:
    reader = ShinglesOnDisk(0, BANDS).reader(np.empty(0, np.int32))
    problem = Problem(np.empty(0, np.uint64), BANDS, 9, 0.5, 0, 0)
    clusters = find_clusters(problem, reader, lambda _: np.empty(0, np.uint32))
    assert (clusters.component.size, clusters.kept_by.size, clusters.candidates, clusters.verified) == (0, 0, 0, 0)


_A_CLIQUE = """
import resource, tempfile
import pyarrow as pa
from airflow_provider_autoglm.corpus.dedupe import deduplicate
from airflow_provider_autoglm.corpus.store import Corpus, write_corpus
from airflow_provider_autoglm.settings import DedupeSettings
from tests.corpus.dedupe.runs import text_of

page = text_of("page", words=150)

def run(pages, folder):
    texts = [f"page {n * 7919} of many {page} counted {n * 104729} times" for n in range(pages)]
    table = pa.table({"url": [str(n) for n in range(pages)], "text": texts})
    source = write_corpus(f"{folder}/in{pages}", [table], stage="clean")
    settings = DedupeSettings(method="both", max_removed_fraction=1)
    return deduplicate(source.uri, f"{folder}/out{pages}", settings)

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

with tempfile.TemporaryDirectory() as folder:
    run(300, folder)
    before = peak_mb()
    result = run(6_000, folder)
    after = peak_mb()
    removed = Corpus.open(result.uri).to_table(["simhash"], kind="removed")["simhash"]
print(result.rows_out, result.removed, len(removed.unique()), int(result.metrics["candidates"]), after - before)
"""


def test_a_clique_of_pages_goes_to_one_without_all_its_pairs() -> None:
    child = subprocess.run([sys.executable, "-c", _A_CLIQUE], check=True, capture_output=True, text=True)
    kept, removed, prints, candidates, grown_mb = map(int, child.stdout.split())
    assert (kept, removed) == (1, 5_999)
    assert prints > 1_000
    assert candidates < 10 * 6_000, "of 18 million pairs"
    assert grown_mb < 100, "18 million pairs of 8 bytes are 144 MB"
