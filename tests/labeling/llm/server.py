"""A server that answers as language models do, and as servers in trouble do."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API_KEY = "sk-marked-secret"


@dataclass(frozen=True)
class Reaction:
    """What the server does instead of naming a label.

    :param content: the model's words; None names the label that the text begins with.
    :param choice: further keys of the choice, beside the message.
    :param message: further keys of the message.
    :param body: of the answer, as it is; None makes a chat completion.
    :param sent: share of the body that is sent before the connection ends.
    :param is_reset: the connection is reset before anything is sent.
    :param trickles: white space is sent for ever.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: object = None
    choice: dict[str, Any] = field(default_factory=dict)
    message: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    sent: float = 1.0
    is_reset: bool = False
    trickles: bool = False


def refused(status: int, code: str = "", **headers: str) -> Reaction:
    """An error as OpenAI words it, which repeats what it should not."""
    body = {"error": {"code": code or None, "message": f"{API_KEY} asked"}}
    return Reaction(status, {name.replace("_", "-"): value for name, value in headers.items()}, body=_json(body))


class LlmServer:
    """Answers at ``url``, and remembers what it was asked.

    ``reactions`` are taken by the next requests for a text, in turn; ``always`` by all others; ``trouble`` by whatever
    comes, questions about no text too. ``knows`` tells the options that are understood. While ``is_open`` is not set,
    answers wait; after ``holds_after`` requests it is not.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.asked: Counter[str] = Counter()
        self.reactions: dict[str, list[Reaction]] = {}
        self.always: Reaction | None = None
        self.trouble: Reaction | None = None
        self.knows = {"model", "messages", "temperature", "logprobs", "json_schema", "json_object"}
        self.tells_usage = True
        self.models: Reaction | None = Reaction(body=_json({"data": [{"id": "small"}, {"id": "large"}]}))
        self.delay_s = 0.0
        self.is_open = threading.Event()
        self.is_open.set()
        self.holds_after: int | None = None
        self._requests = threading.Condition()
        self._server = _Listener(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def wait_for_requests(self, count: int) -> None:
        """Return once there have been so many."""
        with self._requests:
            assert self._requests.wait_for(lambda: len(self.requests) >= count, timeout=60)

    def react(self, headers: dict[str, str], request: dict[str, Any]) -> Reaction:
        """What to do with a request."""
        with self._requests:
            self.headers.append(headers)
            if headers.get("Authorization") != f"Bearer {API_KEY}" and headers.get("api-key") != API_KEY:
                return refused(401, "invalid_api_key")
            if self.trouble is not None:
                return self.trouble
            if "messages" not in request:
                return refused(400, "missing_messages")
            self.requests.append(request)
            options = set(request) - {"response_format"} | {request.get("response_format", {}).get("type")} - {None}
            if options - self.knows:
                return refused(400)
            text = request["messages"][1]["content"]
            self.asked[text] += 1
            if len(self.requests) == self.holds_after:
                self.is_open.clear()
            self._requests.notify_all()
            planned = self.reactions.get(text)
            return planned.pop(0) if planned else self.always or Reaction()

    def body(self, reaction: Reaction, request: dict[str, Any]) -> bytes:
        """A chat completion, unless the reaction has a body."""
        if reaction.body is not None:
            return reaction.body
        text = request["messages"][1]["content"]
        content = _json({"label": text.split()[0]}).decode() if reaction.content is None else reaction.content
        whole: dict[str, Any] = {
            "choices": [{"message": {"role": "assistant", "content": content, **reaction.message}, **reaction.choice}]
        }
        if self.tells_usage:
            whole["usage"] = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
        return _json(whole)


@contextmanager
def running() -> Iterator[LlmServer]:
    """A server in threads of this process."""
    server = LlmServer()
    thread = threading.Thread(target=server._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_open.set()
        server._server.shutdown()
        server._server.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, model: LlmServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server.model.headers.append(dict(self.headers))
        if self.headers.get("Authorization") != f"Bearer {API_KEY}":
            self._send(refused(401, "invalid_api_key"), b"{}")
        else:
            reaction = self.server.model.models or refused(404)
            self._send(reaction, reaction.body or b"")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self._send(refused(404), b"{}")
            return
        reaction = self.server.model.react(dict(self.headers), request)
        if self.server.model.delay_s:
            threading.Event().wait(self.server.model.delay_s)
        self.server.model.is_open.wait()
        if reaction.is_reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self._send(reaction, self.server.model.body(reaction, request))

    def _send(self, reaction: Reaction, body: bytes) -> None:
        self.send_response(reaction.status)
        for name, value in reaction.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if not reaction.trickles else 1_000_000))
        self.end_headers()
        while reaction.trickles:
            self.wfile.write(b"\n")
            threading.Event().wait(0.02)
        self.wfile.write(body[: int(len(body) * reaction.sent)])
        if reaction.sent < 1:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
