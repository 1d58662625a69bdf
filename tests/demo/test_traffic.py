from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from demo.ports import HOST, free_port
from demo.traffic import Answer, ask, count, traffic_lines


class _Gateway(BaseHTTPRequestHandler):
    """Answers with what the text itself asks for."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (wanted,) = body["inputs"]
        status = 503 if wanted == "refuse" else 200
        self.send_response(status)
        self.send_header("x-model-version", "4")
        self.end_headers()
        self.wfile.write(wanted.encode())

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


def _ask(url: str, text: str) -> Answer:
    with requests.Session() as session:
        session.trust_env = False
        return ask(session, url, text)


def test_an_answer_with_a_label_and_a_score_is_good(url: str) -> None:
    answer = _ask(url, '{"predictions": [{"label": "web", "score": 0.9}]}')
    assert (answer.status, answer.version, answer.is_good) == (200, "4", True)


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


def test_no_traffic_counts_as_none() -> None:
    figures = count([])
    assert (figures.requests, figures.per_second, figures.median_ms) == (0, 0.0, 0.0)
