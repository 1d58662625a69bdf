"""The forms of a draw: what stands in each, and what can be answered."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.corpus.store import Corpus
from airflow_provider_autoglm.exceptions import FormNotFoundError
from airflow_provider_autoglm.labeling.review.draw import SUSPICIOUS, ReviewSet

_FRAGMENT = re.compile(r"form=([1-9]\d{0,5})")


@dataclass(frozen=True)
class FormRow:
    """A text to label; ``field`` names its answer, ``prefilled`` is the label selected beforehand, or None."""

    field: str
    doc_id: str
    text: str
    title: str | None
    url: str | None
    prefilled: str | None


@dataclass(frozen=True)
class Form:
    """The texts that one person labels at a time; form ``number`` (from 1) of ``count``.

    ``labels`` are the answers beside ``NONE_OF_THESE``. ``draw_uri`` and ``draw_digest`` name the draw it is of.
    """

    uri: str
    number: int
    count: int
    review_set: ReviewSet
    labels: tuple[str, ...]
    rows: tuple[FormRow, ...]
    draw_uri: str
    draw_digest: str


def forms_of(draw_uri: str, *, storage: Storage | None = None) -> list[str]:
    """The URIs of the forms of a draw, ``<draw uri>#form=<number>``, those of the random sample first."""
    corpus = Corpus.open(draw_uri, storage=storage)
    numbers = {number for table in corpus.iter_tables(["form"]) for number in table["form"].to_pylist()}
    return [f"{corpus.uri}#form={number}" for number in sorted(numbers)]


def open_form(form_uri: str, *, storage: Storage | None = None) -> Form:
    """The form at ``form_uri``.

    In the random sample nothing is selected beforehand: a label that is there already draws people to it.

    :raises FormNotFoundError: if the draw has no such form.
    :raises CorpusNotCommittedError: if there is no draw.
    """
    draw_uri, _, fragment = form_uri.partition("#")
    corpus = Corpus.open(draw_uri, storage=storage)
    rows = [row for table in corpus.iter_tables() for row in table.to_pylist()]
    match = _FRAGMENT.fullmatch(fragment)
    own = [row for row in rows if match is not None and row["form"] == int(match[1])]
    if not own:
        raise FormNotFoundError(corpus.uri, fragment)
    review_set: ReviewSet = own[0]["review_set"]
    named = corpus.manifest.settings["labels"]
    others = sorted({row["label"] for row in rows} - {None, *named})
    return Form(
        uri=f"{corpus.uri}#{fragment}",
        number=own[0]["form"],
        count=max(row["form"] for row in rows),
        review_set=review_set,
        labels=(*named, *others),
        rows=tuple(
            FormRow(
                field=f"row_{row['position']:02d}",
                doc_id=row["doc_id"],
                text=row["text"],
                title=row["title"],
                url=row["url"],
                prefilled=row["label"] if review_set == SUSPICIOUS else None,
            )
            for row in own
        ),
        draw_uri=corpus.uri,
        draw_digest=corpus.digest,
    )
