"""The texts that tell most about a labelling: the least sure ones, those without a label, and some with their words."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from airflow_provider_autoglm.corpus.report.aside import shortened
from airflow_provider_autoglm.corpus.report.documents import Document, document_of
from airflow_provider_autoglm.corpus.report.places import Place, keep_first, row_groups, rows_at
from airflow_provider_autoglm.corpus.schema import TRAFFIC_SOURCE
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import AutoGLMError
from airflow_provider_autoglm.labeling.explain import WordWeight, explain
from airflow_provider_autoglm.labeling.labels import Labeler
from airflow_provider_autoglm.labeling.report_tally import is_by_people
from airflow_provider_autoglm.labeling.routing import route_of
from airflow_provider_autoglm.settings.label import LabelSettings

log = logging.getLogger(__name__)

LEAST_SURE_SHOWN = 10
ABSTAINED_SHOWN = 5

LabelerOf = Callable[[str], Labeler | None]
"""Gives the labeler of a route: a language of ``models``, or ``*``; None if its texts stay without label."""

_NO_LABELER = "there is no labeler for this language"
_CHOSEN_BY = ("doc_id", "label", "label_margin", "label_source", "source")
_SHOWN = ("doc_id", "text", "url", "title", "lang", "source", "label", "label_score", "label_margin")


@dataclass(frozen=True)
class LabelledText:
    """A document, its label (None: the labeler abstained), and how sure that is.

    ``words`` are those that carried the decision, none if it was not asked for them; ``unexplained`` says why there are
    none although it was.
    """

    document: Document
    label: str | None
    score: float | None
    margin: float | None
    words: tuple[WordWeight, ...] = ()
    unexplained: str = ""


@dataclass(frozen=True, order=True)
class _Choice:
    rank: float
    doc_id: str
    place: Place = field(compare=False)


@dataclass
class Chosen:
    """Places of the rows to show: of each kind those with the smallest ids, which are digests, so a sample."""

    explained_wanted: int
    least_sure: list[_Choice] = field(default_factory=list)
    abstained: list[_Choice] = field(default_factory=list)
    by_label: defaultdict[str, list[_Choice]] = field(default_factory=lambda: defaultdict(list))

    def offer(self, table: pa.Table, first: Place) -> None:
        """Look at the rows of ``table``, the first of which lies at ``first``."""
        auto = np.flatnonzero(~np.asarray(is_by_people(table)))
        for row, values in zip(auto.tolist(), table.take(auto).to_pylist(), strict=True):
            place, doc_id = Place(first.shard, first.row + row), values["doc_id"] or ""
            label, margin = values["label"], values["label_margin"]
            if label is None:
                keep_first(self.abstained, _Choice(0.0, doc_id, place), ABSTAINED_SHOWN)
                continue
            if margin is not None:
                keep_first(self.least_sure, _Choice(margin, doc_id, place), LEAST_SURE_SHOWN)
            # The words of a person's text are that text.
            if values.get("source") != TRAFFIC_SOURCE:
                keep_first(self.by_label[label], _Choice(0.0, doc_id, place), self.explained_wanted)

    def explained(self) -> list[Place]:
        """The places of the texts to explain: the first of each label, then the second, and so on."""
        ranked = [
            (round_, choice.doc_id, choice.place)
            for choices in self.by_label.values()
            for round_, choice in enumerate(choices)
        ]
        return [place for _, _, place in sorted(ranked, key=lambda entry: entry[:2])[: self.explained_wanted]]


@dataclass(frozen=True)
class Shown:
    """The texts of a report; ``unexplained`` says why no label is explained, empty if one is."""

    least_sure: tuple[LabelledText, ...]
    abstained: tuple[LabelledText, ...]
    explained: tuple[LabelledText, ...]
    unexplained: str = ""


def shown_texts(corpus: Corpus, settings: LabelSettings, labeler_of: LabelerOf) -> Shown:
    """Choose the texts and read them; ``labeler_of`` is asked for a route only if a text of it is explained.

    A labeler that cannot be loaded is no error: its texts are told without their words.
    """
    # Asking a language model again costs money, and asking it about 64 variants of a text much of it.
    is_explainable = settings.kind != "llm"
    chosen = Chosen(settings.explain_texts if is_explainable else 0)
    for first, table in row_groups(corpus, "shards", _CHOSEN_BY):
        chosen.offer(table, first)
    places = [choice.place for choice in chosen.least_sure + chosen.abstained]
    explained = chosen.explained()
    rows = {place: shortened(row) for place, row in rows_at(corpus, [*places, *explained], _SHOWN).items()}
    texts = {place: _labelled(row) for place, row in rows.items()}
    with_words = _with_words([texts[place] for place in explained], settings, labeler_of)
    return Shown(
        least_sure=tuple(texts[choice.place] for choice in chosen.least_sure),
        abstained=tuple(texts[choice.place] for choice in chosen.abstained),
        explained=with_words,
        unexplained="" if is_explainable else "The words behind the labels of a language model cannot be looked into.",
    )


def _with_words(
    texts: Sequence[LabelledText], settings: LabelSettings, labeler_of: LabelerOf
) -> tuple[LabelledText, ...]:
    """Each route's labeler is loaded once, and let go before the next one is."""
    found = list(texts)
    routes = [route_of(text.document.lang, settings.models) for text in texts]
    for route in sorted(set(routes)):
        numbers = [number for number, taken in enumerate(routes) if taken == route]
        for number, text in zip(numbers, _explained([texts[n] for n in numbers], route, labeler_of), strict=True):
            found[number] = text
    return tuple(found)


def _explained(texts: Sequence[LabelledText], route: str, labeler_of: LabelerOf) -> Iterator[LabelledText]:
    try:
        labeler = labeler_of(route)
        why = _NO_LABELER
    except Exception as error:
        labeler, why = None, _why(error)
    if labeler is None:
        log.warning("the labels of route %s are not explained: %s", route, why)
        yield from (replace(text, unexplained=why) for text in texts)
        return
    for text in texts:
        try:
            yield replace(text, words=explain(labeler, text.document.text, text.label))
        except Exception as error:
            yield replace(text, unexplained=_why(error))


def _why(error: Exception) -> str:
    """The message of another library's error may quote a text."""
    return str(error) if isinstance(error, AutoGLMError) else type(error).__name__


def _labelled(row: Mapping[str, Any]) -> LabelledText:
    return LabelledText(document_of(row), row["label"], row["label_score"], row["label_margin"])
