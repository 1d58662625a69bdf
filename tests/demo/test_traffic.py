from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from demo.ports import HOST, free_port
from demo.traffic import Answer, Question, Traffic, ask, count, traffic_lines

_GOOD = '{"predictions": [{"label": "web", "score": 0.9}]}'


class _Gateway(BaseHTTPRequestHandler):
    """Answers with what the text itself asks for."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/feedback":
            self._take(body)
            return
        (wanted,) = body["inputs"]
        status = 503 if wanted == "refuse" else 200
        self.send_response(status)
        self.send_header("x-model-version", "4")
        self.send_header("x-request-id", "asked-1")
        self.end_headers()
        self.wfile.write(wanted.encode())

    def _take(self, feedback: dict[str, str]) -> None:
        if feedback["label"] == "hang up":
            self.close_connection = True
            return
        self.send_response(202 if feedback == {"request_id": "asked-1", "label": "web"} else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer((HOST, 0), _Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()
        thread.join()


def _wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def _ask(url: str, text: str) -> Answer:
    with requests.Session() as session:
        session.trust_env = False
        return ask(session, url, text)


def test_an_answer_with_a_label_and_a_score_is_good(url: str) -> None:
    answer = _ask(url, _GOOD)
    assert (answer.status, answer.version, answer.is_good, answer.request_id) == (200, "4", True, "asked-1")


@pytest.mark.parametrize(
    "body",
    [
        '{"predictions": [{"label": "web", "score": NaN}]}',
        '{"predictions": [{"label": "", "score": 0.9}]}',
        '{"predictions": [{"label": "web", "score": null}]}',
        '{"predictions": []}',
        "no json",
    ],
)
def test_a_success_without_a_usable_prediction_is_an_error_of_the_gateway(url: str, body: str) -> None:
    answer = _ask(url, body)
    assert (answer.status, answer.is_good) == (200, False)
    assert count([answer]).answers == {"4": {"200 bad": 1}}


def test_a_refusal_and_a_gateway_that_is_gone_are_errors(url: str) -> None:
    answers = [_ask(url, "refuse"), _ask(f"http://{HOST}:{free_port()}", "anything")]
    figures = count(answers)
    assert figures.errors == figures.requests == 2
    assert figures.answers == {"4": {"503": 1}, "none": {"0": 1}}


def test_answers_are_counted_by_version_and_status_with_their_rate_and_times() -> None:
    answers = [Answer(100.0 + second, 10.0 * second, 200, str(1 + second // 5), True) for second in range(11)]
    figures = count(answers)
    assert (figures.seconds, figures.requests, figures.errors) == (10.0, 11, 0)
    assert figures.per_second == pytest.approx(1.1)
    assert (figures.median_ms, figures.p95_ms) == (50.0, 100.0)
    assert figures.answers == {"1": {"200": 5}, "2": {"200": 5}, "3": {"200": 1}}
    assert list(traffic_lines(figures)) == [
        "Requests of clients: 11 in 10 s (1.1/s), 0 errors, median 50 ms, 95 % within 100 ms",
        "  answered by version 1    5 x 200",
        "  answered by version 2    5 x 200",
        "  answered by version 3    1 x 200",
    ]


def test_feedbacks_are_counted_beside_the_requests_and_those_that_were_not_taken_apart() -> None:
    told = [Answer(1.0, 5.0, 200, "1", True, feedback_status=status) for status in (202, 503, 0)]
    figures = count([*told, Answer(2.0, 5.0, 200, "1", True)])
    assert (figures.requests, figures.errors, figures.feedbacks, figures.lost_feedbacks) == (4, 0, 3, 2)
    assert "  the true label was told after 3, 2 were not accepted" in list(traffic_lines(figures))


@pytest.mark.parametrize(("label", "status"), [("web", 202), ("refuse", 503), ("hang up", 0)])
def test_clients_tell_a_label_with_the_id_that_their_request_had_and_keep_what_they_were_answered(
    url: str, label: str, status: int
) -> None:
    with Traffic(url, itertools.repeat(Question(_GOOD, label)), per_second=200) as traffic:
        _wait_until(lambda: bool(traffic.answers()))
    assert {answer.feedback_status for answer in traffic.answers()} == {status}


def test_clients_tell_nothing_after_an_answer_that_was_none_and_where_they_have_nothing_to_tell(url: str) -> None:
    questions = itertools.cycle([Question("refuse", "web"), Question(_GOOD)])
    with Traffic(url, questions, per_second=200) as traffic:
        _wait_until(lambda: len(traffic.answers()) >= 4)
    assert {(answer.is_good, answer.feedback_status) for answer in traffic.answers()} == {(False, None), (True, None)}


def test_clients_ask_other_questions_from_the_moment_they_are_given_them(url: str) -> None:
    with Traffic(url, itertools.repeat(Question("refuse")), per_second=200) as traffic:
        _wait_until(lambda: bool(traffic.answers()))
        traffic.ask_from_now_on(itertools.repeat(Question(_GOOD)))
        _wait_until(lambda: traffic.answers()[-1].is_good)
    statuses = [answer.status for answer in traffic.answers()]
    assert statuses[0] == 503
    assert statuses[-1] == 200


def test_no_traffic_counts_as_none() -> None:
    figures = count([])
    assert (figures.requests, figures.per_second, figures.median_ms) == (0, 0.0, 0.0)
