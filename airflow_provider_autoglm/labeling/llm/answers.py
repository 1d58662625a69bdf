"""Answers that were paid for, kept for every later task, and who is asking for one just now."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_autoglm.corpus.storage import Storage
from airflow_provider_autoglm.labeling.llm.usage import Usage

_DIGITS_OF_A_FOLDER = 2


class Answer(BaseModel):
    """What became of a text. It does not tell the text.

    :param outcome: ``unusable`` if the model was asked in vain.
    :param probability: of the label, if the server told it.
    :param usage: what all requests for it took.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["label", "none", "unusable"]
    label: str | None = None
    probability: float | None = None
    usage: Usage = Usage()


class _Claim(BaseModel):
    """That a task is asking; over at ``until``, seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    owner: str
    until: float


class Answers:
    """Answers in a folder, a small file each, by the digest of all they depend on. The first one stays.

    A task says in a file that it asks, before it does, so that of two tasks one pays. What a killed task has said is
    over after ``lease_s``.

    :param folder: URI; empty keeps nothing.
    :param lease_s: for how long a claim holds: longer than a request takes.
    """

    def __init__(self, storage: Storage, folder: str, *, lease_s: float) -> None:
        self._storage = storage
        self._folder = folder
        self._lease_s = lease_s
        self._owner = uuid4().hex

    def read(self, key: str) -> Answer | None:
        """The answer of a key, None if there is none that can be read."""
        if not self._folder:
            return None
        try:
            return Answer.model_validate_json(self._storage.read(self._uri(key, "json")))
        except (FileNotFoundError, ValidationError):
            return None

    def keep(self, key: str, answer: Answer) -> Answer:
        """Write an answer, and return the one that counts: that of who was first."""
        if not self._folder:
            return answer
        uri, data = self._uri(key, "json"), answer.model_dump_json().encode()
        try:
            self._storage.create(uri, data)
        except FileExistsError:
            first = self.read(key)
            if first is not None:
                return first
            self._storage.replace(uri, data)
        return answer

    def claim(self, key: str) -> bool:
        """Whether this task may ask now, since no other one does. Say so again before each further request."""
        if not self._folder:
            return True
        uri = self._uri(key, "asked")
        data = _Claim(owner=self._owner, until=time.time() + self._lease_s).model_dump_json().encode()
        try:
            self._storage.create(uri, data)
        except FileExistsError:
            if not self._is_free(uri):
                return False
            self._storage.replace(uri, data)
        return True

    def release(self, key: str) -> None:
        """Take the claim of this task back."""
        uri = self._uri(key, "asked")
        if self._folder and self._holder(uri) == self._owner:
            self._storage.delete(uri)

    def _is_free(self, uri: str) -> bool:
        return self._holder(uri) in (None, self._owner)

    def _holder(self, uri: str) -> str | None:
        """Who asks; None if nobody does any more."""
        with suppress(FileNotFoundError, ValidationError):
            claim = _Claim.model_validate_json(self._storage.read(uri))
            return claim.owner if claim.until > time.time() else None
        return None

    def _uri(self, key: str, kind: str) -> str:
        return f"{self._folder}/{key[:_DIGITS_OF_A_FOLDER]}/{key}.{kind}"
