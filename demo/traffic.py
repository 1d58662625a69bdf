"""Clients of the gateway: they send one text after the other at a steady rate and keep what they were answered."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import requests

_CLIENTS = 4
_TIMEOUT_S = 30.0
_MS = 1_000.0


@dataclass(frozen=True)
class Question:
    """A text that a client asks, and the label that it tells as feedback once it is answered; None tells nothing."""

    text: str
    feedback: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a client was answered at ``at`` (seconds since the epoch), ``ms`` milliseconds after it asked.

    ``status`` is that of HTTP, 0 if there was no answer; ``is_good`` says that it holds a label and a score.
    ``feedback_status`` is what its feedback was answered, None if it gave none.
    """

    at: float
    ms: float
    status: int
    version: str
    is_good: bool
    request_id: str = ""
    feedback_status: int | None = None


@dataclass(frozen=True)
class TrafficFigures:
    """All answers of a time counted: ``answers`` by version and status, ``errors`` those that were not good.

    ``feedbacks`` were given, and ``lost_feedbacks`` of them not accepted.
    """

    seconds: float
    requests: int
    errors: int
    feedbacks: int
    lost_feedbacks: int
    median_ms: float
    p95_ms: float
    answers: Mapping[str, Mapping[str, int]]

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0


class Traffic:
    """Sends ``questions`` to the gateway at ``url`` from a few threads, as long as the block runs.

    :param questions: without end; a client takes the next one when its turn comes.
    :param per_second: requests a second of all clients together, as long as the answers keep up.
    """

    def __init__(self, url: str, questions: Iterator[Question], *, per_second: float) -> None:
        self._url = url
        self._questions = questions
        self._turn = threading.Lock()
        self._pause_s = _CLIENTS / per_second
        self._is_over = threading.Event()
        self._answers: list[Answer] = []
        self._threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(_CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        if error is None:  # else the gateway may be gone, and its clients wait in vain
            for thread in self._threads:
                thread.join()

    def answers(self, since: float = -math.inf, until: float = math.inf) -> list[Answer]:
        """The answers of a time, in seconds since the epoch."""
        return [answer for answer in list(self._answers) if since <= answer.at <= until]

    def ask_from_now_on(self, questions: Iterator[Question]) -> None:
        """Let the clients ask other questions."""
        with self._turn:
            self._questions = questions

    def _ask(self, client: int) -> None:
        self._is_over.wait(client * self._pause_s / _CLIENTS)
        next_at = time.monotonic()
        with requests.Session() as session:
            session.trust_env = False
            while not self._is_over.wait(max(0.0, next_at - time.monotonic())):
                next_at = max(next_at, time.monotonic() - self._pause_s) + self._pause_s
                with self._turn:
                    question = next(self._questions)
                answer = ask(session, f"{self._url}/invocations", question.text)
                if question.feedback is not None and answer.is_good:
                    answer = replace(answer, feedback_status=self._tell(session, answer.request_id, question.feedback))
                self._answers.append(answer)

    def _tell(self, session: requests.Session, request_id: str, label: str) -> int:
        body = {"request_id": request_id, "label": label}
        try:
            return session.post(f"{self._url}/feedback", json=body, timeout=_TIMEOUT_S).status_code
        except requests.RequestException:
            return 0


def ask(session: requests.Session, url: str, text: str) -> Answer:
    """Send one text to ``url`` and look at the answer."""
    began = time.monotonic()
    status, version, request_id, is_good = 0, "", "", False
    try:
        answer = session.post(url, json={"inputs": [text]}, timeout=_TIMEOUT_S)
        status, version = answer.status_code, answer.headers.get("x-model-version", "")
        request_id = answer.headers.get("x-request-id", "")
        is_good = answer.ok and _is_good(answer.json())
    except (requests.RequestException, ValueError):
        pass
    return Answer(time.time(), (time.monotonic() - began) * _MS, status, version, is_good, request_id)


def count(answers: Sequence[Answer]) -> TrafficFigures:
    """Count answers by version and status; a bad one of status 200 is counted as ``200 bad``."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        is_bad_success = answer.status == requests.codes.ok and not answer.is_good
        counts[answer.version or "none"][f"{answer.status}{' bad' if is_bad_success else ''}"] += 1
    took = sorted(answer.ms for answer in answers)
    times = [answer.at for answer in answers]
    return TrafficFigures(
        seconds=round(max(times) - min(times), 1) if times else 0.0,
        requests=len(answers),
        errors=sum(not answer.is_good for answer in answers),
        feedbacks=sum(answer.feedback_status is not None for answer in answers),
        lost_feedbacks=sum(answer.feedback_status not in (None, requests.codes.accepted) for answer in answers),
        median_ms=_quantile(took, 0.5),
        p95_ms=_quantile(took, 0.95),
        answers={version: dict(statuses) for version, statuses in sorted(counts.items())},
    )


def traffic_lines(figures: TrafficFigures) -> Iterator[str]:
    """The figures for a terminal."""
    yield (
        f"Requests of clients: {figures.requests} in {figures.seconds:.0f} s ({figures.per_second:.1f}/s), "
        f"{figures.errors} errors, median {figures.median_ms:.0f} ms, 95 % within {figures.p95_ms:.0f} ms"
    )
    if figures.feedbacks:
        yield f"  the true label was told after {figures.feedbacks}, {figures.lost_feedbacks} were not accepted"
    for version, statuses in figures.answers.items():
        listed = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
        yield f"  answered by version {version:<4} {listed}"


def _is_good(body: Any) -> bool:
    try:
        (prediction,) = body["predictions"]
        return bool(prediction["label"]) and 0.0 <= float(prediction["score"]) <= 1.0
    except (KeyError, TypeError, ValueError):
        return False


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else 0.0
