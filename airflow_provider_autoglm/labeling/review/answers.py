"""What people answered: checked, and kept beside the draw, where the first answer to a form is final."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_autoglm.corpus.manifest import Input, digest_of, utc_now
from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.exceptions import StorageError
from airflow_provider_autoglm.labeling.review.forms import Form
from airflow_provider_autoglm.labeling.review.shown import one_line
from airflow_provider_autoglm.settings.label import NONE_OF_THESE

_HEX_DIGITS_OF_DRAW = 16
_LONGEST_NAME = 200
_MOST_UNKNOWN_FIELDS = 25


class Answer(BaseModel):
    """The answer to one text; ``problem`` says why something that was given is none."""

    model_config = ConfigDict(frozen=True)

    doc_id: str
    outcome: Literal["label", "none_of_these", "not_answered"]
    label: str | None = None
    problem: str = ""


class Answers(BaseModel):
    """The answers to one form. ``is_given`` is false where nobody answered in time."""

    model_config = ConfigDict(frozen=True)

    draw_uri: str
    draw_digest: str
    form: int
    is_given: bool
    answered_by: str
    answered_at: str
    answers: tuple[Answer, ...]
    unknown_fields: tuple[str, ...] = ()

    def as_input(self, uri: str) -> Input:
        """How a manifest refers to these answers; who gave them, and when, changes no label."""
        return Input(uri=uri, digest=digest_of(self.draw_digest, self.form, self.model_dump(mode="json")["answers"]))


def keep_answers(
    form: Form, given: Mapping[str, Any] | None, *, answered_by: str = "", storage: Storage | None = None
) -> str:
    """Check the answers to ``form``, keep those that are some, and return their URI.

    ``given`` holds a label, ``NONE_OF_THESE`` or null for each field ``row_00`` …; anything else, whatever it is, is
    kept as not answered, with the reason. None says that nobody answered in time. The first answer is final: a later
    one is dropped, while an absence of answers gives way to answers.

    :raises StorageError: if they cannot be written.
    """
    storage = storage or Storage.local()
    answers = Answers(
        draw_uri=form.draw_uri,
        draw_digest=form.draw_digest,
        form=form.number,
        is_given=given is not None,
        answered_by=one_line(answered_by, _LONGEST_NAME) or "",
        answered_at=utc_now(),
        answers=_checked(form, given),
        unknown_fields=_unknown_fields(form, given),
    )
    folder = f"{form.draw_uri}/_answers/{form.draw_digest[:_HEX_DIGITS_OF_DRAW]}"
    final = f"{folder}/{form.number:03d}.json"
    if given is None and storage.exists(final):
        return final
    uri = final if given is not None else f"{folder}/{form.number:03d}-unanswered.json"
    with suppress(FileExistsError):
        storage.create(uri, answers.model_dump_json(indent=1).encode())
    return uri


def read_answers(uri: str, storage: Storage) -> Answers:
    """The answers that :func:`keep_answers` kept.

    :raises StorageError: if they are gone or damaged.
    """
    try:
        return Answers.model_validate_json(storage.read(uri))
    except FileNotFoundError:
        cause = "there are none; answer the form again"
    except ValidationError as error:
        cause = f"{error.errors()[0]['msg']}; delete the file and answer the form again"
    raise StorageError("read the answers", uri, cause) from None


def _checked(form: Form, given: object) -> tuple[Answer, ...]:
    if given is None:
        return tuple(Answer(doc_id=row.doc_id, outcome="not_answered") for row in form.rows)
    if not isinstance(given, Mapping):
        problem = f"no fields, but {type(given).__name__}"
        return tuple(Answer(doc_id=row.doc_id, outcome="not_answered", problem=problem) for row in form.rows)
    return tuple(_answer(row.doc_id, given.get(row.field), form.labels) for row in form.rows)


def _answer(doc_id: str, value: Any, labels: tuple[str, ...]) -> Answer:
    if value is None or value == "":
        return Answer(doc_id=doc_id, outcome="not_answered")
    if not isinstance(value, str):
        return Answer(doc_id=doc_id, outcome="not_answered", problem=f"no text, but {type(value).__name__}")
    if value == NONE_OF_THESE:
        return Answer(doc_id=doc_id, outcome="none_of_these")
    if value in labels:
        return Answer(doc_id=doc_id, outcome="label", label=value)
    return Answer(doc_id=doc_id, outcome="not_answered", problem=f"no label of this form: {one_line(value, 100)}")


def _unknown_fields(form: Form, given: object) -> tuple[str, ...]:
    if not isinstance(given, Mapping):
        return ()
    known = {row.field for row in form.rows}
    unknown = [one_line(str(name), _LONGEST_NAME) or "" for name in given if name not in known]
    return tuple(unknown[:_MOST_UNKNOWN_FIELDS])
