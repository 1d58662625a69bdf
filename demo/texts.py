"""The texts that are on no page of the demo site: what its clients ask, and what nobody asks until models are compared.

All look as the site's would: docstrings as pages, and what the crawl reads on them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np

from airflow_provider_autoglm.corpus.crawl.page import read_page
from airflow_provider_autoglm.corpus.dedupe.fingerprint import simhash64
from airflow_provider_autoglm.corpus.dedupe.neighbours import pairs_within
from airflow_provider_autoglm.corpus.schema import document_id
from demo.docstrings import KEPT_FROM_THE_SITE, KNOWN_AREAS, NEW_AREA, sample_area
from demo.pages import build_content
from demo.traffic import Question

TRAFFIC = "traffic"
"""What documents that were collected from traffic have as source."""

_HELD_OUT_OF_A_KNOWN_AREA = 45
_HELD_OUT_OF_THE_NEW_AREA = 260
_ASKED_OF_THE_NEW_AREA = 900
_ALIKE_BITS = 9
_ORIGIN = "http://clients"
_SHARE_OF_THE_NEW_AREA = 0.5
_SHARE_WITH_FEEDBACK = 0.3
_SEED = 4


_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Text:
    """A text and its true area."""

    text: str
    area: str


@dataclass(frozen=True)
class ClientTexts:
    """``known`` and ``new`` are what clients ask, of the site's areas and of the new one.

    ``held_out_known`` and ``held_out_new`` are never sent, and none of them is a near duplicate of a text that is.
    """

    known: Sequence[Text]
    new: Sequence[Text]
    held_out_known: Sequence[Text]
    held_out_new: Sequence[Text]

    @classmethod
    def choose(cls) -> Self:
        """The same texts on every call."""
        known: list[Text] = []
        held_out_known: list[Text] = []
        for area in KNOWN_AREAS:
            held_out = _HELD_OUT_OF_A_KNOWN_AREA
            held_out_known += read_texts(area, held_out)
            known += read_texts(area, KEPT_FROM_THE_SITE - held_out, skip=held_out)
        held_out_new = read_texts(NEW_AREA, _HELD_OUT_OF_THE_NEW_AREA)
        new = read_texts(NEW_AREA, _ASKED_OF_THE_NEW_AREA, skip=_HELD_OUT_OF_THE_NEW_AREA)
        sent = [*known, *new]
        return cls(
            known=known,
            new=new,
            held_out_known=unlike(held_out_known, sent),
            held_out_new=unlike(held_out_new, sent),
        )

    def area_by_document(self) -> dict[str, str]:
        """The true area of each text that clients ask, by the ``doc_id`` it has once it is collected."""
        return {document_id(TRAFFIC, text.text): text.area for text in (*self.known, *self.new)}


def read_texts(area: str, count: int, *, skip: int = 0) -> list[Text]:
    """What the crawl would read on the pages of an area's docstrings, without those on which it would find nothing."""
    content = build_content({area: sample_area(area, count, skip=skip)}, _ORIGIN)
    pages = {url: content.pages[url.removeprefix(_ORIGIN)] for url in content.truth}
    read = (read_page(url, page.content_type, page.body).text for url, page in pages.items())
    return [Text(text, area) for text in read if text is not None]


def unlike(candidates: Sequence[Text], others: Sequence[Text]) -> list[Text]:
    """The candidates that are no near duplicate of one of ``others``, by the bits in which their SimHash differs."""
    prints = simhash64([text.text for text in (*candidates, *others)])
    pairs = pairs_within(np.asarray(prints), _ALIKE_BITS)
    crosses = (pairs.i < len(candidates)) & (pairs.j >= len(candidates))
    alike = set(pairs.i[crosses].tolist())
    return [text for number, text in enumerate(candidates) if number not in alike]


def shuffled(texts: Sequence[_Item], *, seed: int = _SEED) -> Iterator[_Item]:
    """All of them in another order on each pass, without end."""
    draw = random.Random(seed)
    while True:
        yield from draw.sample(texts, len(texts))


def as_before(texts: ClientTexts) -> Iterator[Question]:
    """What clients ask while nothing has changed, without end."""
    return (Question(text.text) for text in shuffled(texts.known))


def with_the_new_area(texts: ClientTexts) -> Iterator[Question]:
    """What they ask after that: half of it is of the new area, and of a part of it they tell the true area."""
    draw = random.Random(_SEED)
    known, new = shuffled(texts.known, seed=_SEED + 1), shuffled(texts.new)
    while True:
        text = next(new if draw.random() < _SHARE_OF_THE_NEW_AREA else known)
        yield Question(text.text, text.area if draw.random() < _SHARE_WITH_FEEDBACK else None)
