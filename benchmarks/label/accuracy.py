"""How many labels are right on public sets, with the settings as they ship and the bundled model.

``python -m benchmarks.label.accuracy --ag-news FILE --banking77 FILE --thucnews FILE --clinc150 FILE`` prints a table
for each question that the given files can answer. A file is Parquet with the columns ``text`` and ``label``, that of
CLINC150 also ``domain``. Of each at most 6,000 texts are looked at, drawn by a fixed seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from airflow_provider_autoglm.labeling.calibration import expected_calibration_error
from airflow_provider_autoglm.labeling.embedding import EmbeddingLabeler
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.logistic_head import fit_logistic_head
from airflow_provider_autoglm.labeling.refinement import refined
from airflow_provider_autoglm.settings import LabelSettings
from benchmarks.dedupe.tables import Table

FILES = {
    "ag_news": "4 kinds of news",
    "banking77": "77 intents of bank customers",
    "thucnews": "10 kinds of Chinese news titles",
    "clinc150": "requests to an assistant, of 10 domains and of none",
}
MOST_TEXTS = 6_000
EXAMPLES = (4, 8, 16, 64)
SEEDS = 5
THRESHOLDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)

AG_NEWS = {
    "World": ["international politics and diplomacy", "war, attacks and conflict", "elections and governments abroad"],
    "Sports": ["a sports match and its score", "athletes, teams and championships", "coaches, players and seasons"],
    "Business": [
        "companies, profits and stock markets",
        "the economy, oil prices and interest rates",
        "mergers, deals and earnings",
    ],
    "Sci/Tech": [
        "computers, software and the internet",
        "scientific research and space",
        "new technology products and gadgets",
    ],
}
CLINC150 = {
    "banking": ["bank accounts, transfers and balances", "paying bills and transactions"],
    "travel": ["flights, hotels and trips", "passports, visas and languages abroad"],
    "auto_and_commute": ["car maintenance and fuel", "traffic and the way to work"],
    "kitchen_and_dining": ["recipes, cooking and ingredients", "restaurants and reservations"],
    "work": ["salary, vacation and meetings at the office", "insurance and retirement benefits of employees"],
}
"""Phrases as a user writes them at first; of the ten domains of CLINC150 five are labels, the others out of scope."""


@dataclass(frozen=True)
class LabelledSet:
    """Vectors float32[n, d] of texts and their true labels."""

    name: str
    vectors: Vectors
    truth: NDArray[np.str_]


def tables(files: Mapping[str, Path]) -> list[Table]:
    """The tables that ``files`` (keys of ``FILES``) can answer."""
    sets = {name: _read(name, path) for name, path in files.items()}
    found = [zero_shot_table(sets), few_shot_table(sets), out_of_scope_table(sets)]
    return [table for table in found if table.rows]


def zero_shot_table(sets: Mapping[str, LabelledSet]) -> Table:
    """Phrases or names alone, then one step of refinement on ``refine_texts`` texts, with centring and without."""
    table = Table("Right labels of kind embedding")
    for name, described, labels in _descriptions(sets):
        labelled = sets[name]
        row: dict[str, Any] = {"set": f"{name}, {described}", "texts": len(labelled.truth), "labels": len(labels)}
        labeler = _labeler(labels)
        row["described"] = _accuracy(labeler, labelled)
        row["refined (default)"] = _accuracy(_refined(labeler, labelled), labelled)
        row["centred, refined"] = _accuracy(_refined(labeler, labelled, is_centred=True), labelled)
        table.add(row)
    return table


def few_shot_table(sets: Mapping[str, LabelledSet]) -> Table:
    """A logistic head on examples of each class, judged by all other texts."""
    table = Table("Right labels of kind few_shot", notes=[f"Mean and lowest of {SEEDS} draws of the examples."])
    for name in ("ag_news", "banking77"):
        for count in EXAMPLES if name in sets else ():
            found = np.array([_few_shot(sets[name], count, seed) for seed in range(SEEDS)])
            if np.isfinite(found).all():
                table.add(
                    {
                        "set": name,
                        "examples a label": count,
                        "right": float(found[:, 0].mean()),
                        "lowest": float(found[:, 0].min()),
                        "calibration error": float(found[:, 1].mean()),
                    }
                )
    return table


def out_of_scope_table(sets: Mapping[str, LabelledSet]) -> Table:
    """What ``min_similarity`` refuses of texts that belong to a label and of those that belong to none."""
    table = Table(
        "Texts of no label",
        notes=[
            "precision: right among those that got a label. recall: texts of a label that got it. refused: texts of no "
            "label that got none."
        ],
    )
    for description, scopes in _scopes(sets).items():
        for is_centred in (False, True):
            labelers = [
                (_refined(_labeler(labels), labelled, is_centred=is_centred), labelled) for labelled, labels in scopes
            ]
            for threshold in THRESHOLDS:
                rates = np.mean([_rates(labeler, labelled, threshold) for labeler, labelled in labelers], axis=0)
                row: dict[str, Any] = {
                    "set": description,
                    "center": "yes" if is_centred else "no",
                    "min_similarity": f"{threshold:.2f}",
                }
                table.add({**row, **dict(zip(("precision", "recall", "refused"), _cells(rates), strict=True))})
    return table


def _descriptions(sets: Mapping[str, LabelledSet]) -> Iterator[tuple[str, str, Mapping[str, Sequence[str]]]]:
    if "ag_news" in sets:
        yield "ag_news", "phrases", AG_NEWS
    for name in ("ag_news", "banking77", "thucnews"):
        if name in sets:
            yield name, "names", dict.fromkeys(np.unique(sets[name].truth).tolist(), ())
    if "clinc150" in sets:
        yield "clinc150", "phrases of 5", CLINC150


def _scopes(sets: Mapping[str, LabelledSet]) -> dict[str, list[tuple[LabelledSet, Mapping[str, Sequence[str]]]]]:
    """Sets, and the labels that only a part of their texts belong to; of AG News each label is left out in turn."""
    found: dict[str, list[tuple[LabelledSet, Mapping[str, Sequence[str]]]]] = {}
    if "clinc150" in sets:
        found["clinc150, 5 of 10 domains"] = [(sets["clinc150"], CLINC150)]
    if "ag_news" in sets:
        found["ag_news"] = [(sets["ag_news"], AG_NEWS)]
        found["ag_news, 3 of 4 (mean)"] = [
            (sets["ag_news"], {name: AG_NEWS[name] for name in AG_NEWS if name != out}) for out in AG_NEWS
        ]
    return found


def _read(name: str, path: Path) -> LabelledSet:
    table = pq.read_table(path)
    rows = np.random.default_rng(0).permutation(table.num_rows)[:MOST_TEXTS]
    table = table.take(rows)
    encoder = _labeler(AG_NEWS).encoder
    truth = table["domain" if name == "clinc150" else "label"].to_pylist()
    return LabelledSet(name, encoder.encode(table["text"].to_pylist()), np.array(truth, np.str_))


def _labeler(labels: Mapping[str, Sequence[str]]) -> EmbeddingLabeler:
    described = [{"name": name, "phrases": list(phrases)} for name, phrases in labels.items()]
    return EmbeddingLabeler.load(LabelSettings.parse({"labels": described}))


def _refined(labeler: EmbeddingLabeler, labelled: LabelledSet, *, is_centred: bool = False) -> EmbeddingLabeler:
    sample = labelled.vectors[: LabelSettings().refine_texts]
    center = sample.mean(axis=0) if is_centred else None
    centred = labeler.with_prototypes(labeler.prototypes, center)
    return labeler.with_prototypes(refined(centred, sample), center)


def _accuracy(labeler: EmbeddingLabeler, labelled: LabelledSet) -> float:
    """Of the texts that belong to a label; one that is refused counts as wrong."""
    right, _ = _judged(labeler, labelled, 0.0)
    return float(right[np.isin(labelled.truth, labeler.names)].mean())


def _rates(labeler: EmbeddingLabeler, labelled: LabelledSet, threshold: float) -> tuple[float, float, float]:
    """Precision, recall and the share of texts of no label that got none (no number without such texts)."""
    is_right, is_given = _judged(labeler, labelled, threshold)
    in_scope = np.isin(labelled.truth, labeler.names)
    refused = np.nan if in_scope.all() else float((~is_given[~in_scope]).mean())
    return float(is_right[is_given].mean()), float(is_right[in_scope].mean()), refused


def _cells(rates: NDArray[np.float64]) -> list[float | None]:
    return [rate if np.isfinite(rate) else None for rate in rates.tolist()]


def _judged(
    labeler: EmbeddingLabeler, labelled: LabelledSet, threshold: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each text got its label, and whether it got one."""
    found = replace(labeler, min_similarity=threshold).classify(labelled.vectors)
    assert found.abstained is not None
    given = ~found.abstained
    return given & (np.array(found.names)[found.probabilities.argmax(axis=1)] == labelled.truth), given


def _few_shot(labelled: LabelledSet, count: int, seed: int) -> tuple[float, float]:
    """Share of right labels and expected calibration error; no numbers if a class has too few texts."""
    _, truth = np.unique(labelled.truth, return_inverse=True)
    random = np.random.default_rng(seed)
    drawn = [random.permutation(np.flatnonzero(truth == number))[:count] for number in range(truth.max() + 1)]
    if min(map(len, drawn)) < count:
        return np.nan, np.nan
    shown = np.concatenate(drawn)
    others = np.setdiff1d(np.arange(len(truth)), shown)
    probabilities = fit_logistic_head(labelled.vectors[shown], truth[shown]).probabilities(labelled.vectors[others])
    accuracy = float((probabilities.argmax(axis=1) == truth[others]).mean())
    return accuracy, expected_calibration_error(probabilities, truth[others])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label.accuracy", description=__doc__.partition("\n")[0])
    for name, description in FILES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="FILE", help=description)
    parser.add_argument("--output", type=Path, help="write the tables as JSON, too")
    options = parser.parse_args(arguments)
    found = tables({name: path for name in FILES if (path := getattr(options, name)) is not None})
    for table in found:
        print(table)
    if options.output is not None:
        options.output.write_text(json.dumps([asdict(table) for table in found], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
