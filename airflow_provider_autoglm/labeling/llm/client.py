"""One request to an OpenAI-compatible endpoint, and what its failure means."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from airflow_provider_autoglm.exceptions import EndpointRefusedError
from airflow_provider_autoglm.labeling.llm.endpoint import Endpoint

_OK = 200
_UNAUTHORISED = (401, 403)
_NOT_FOUND = 404
_OF_THE_TEXT = (400, 413, 422)
_TRANSIENT = (408, 409, 425, 429)
_FIRST_SERVER_ERROR = 500
_NO_CREDIT = "insufficient_quota"
_CONNECT_TIMEOUT_S = 10.0
_PROBE_TIMEOUT_S = 20.0
_BLOCK_BYTES = 64 * 1024
_LARGEST_ANSWER_BYTES = 8 * 1024 * 1024
_CODE = re.compile(r"[\w.-]{1,64}")


class TransientError(Exception):
    """Another try may succeed.

    :param pause_s: for how long the server wants to be left alone.
    :param is_perhaps_paid: whether the model had begun to answer.
    """

    def __init__(self, cause: str, *, pause_s: float | None = None, is_perhaps_paid: bool = False) -> None:
        self.cause = cause
        self.pause_s = pause_s
        self.is_perhaps_paid = is_perhaps_paid
        super().__init__(cause)


class TextRefusedError(Exception):
    """The endpoint does not take this request: the text, or how it is asked; ``code`` is the server's or the status."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class ChatClient:
    """Asks one endpoint, from several threads.

    :param timeout_s: for a whole answer, however slowly it trickles in.
    :param connections: threads that ask at once.
    """

    def __init__(self, endpoint: Endpoint, *, timeout_s: float, connections: int) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.auth = _KeyHeader(endpoint)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))

    def complete(self, body: Mapping[str, Any]) -> bytes:
        """The body of the answer to a chat request.

        :raises TransientError: if another try may succeed.
        :raises TextRefusedError: if the endpoint does not take this request.
        :raises EndpointRefusedError: if it takes none.
        """
        status, headers, content = self._send("POST", "chat/completions", body)
        if status == _OK:
            return content
        code = _code_in(content)
        if status in _OF_THE_TEXT:
            raise TextRefusedError(code or str(status))
        if (status in _TRANSIENT or status >= _FIRST_SERVER_ERROR) and code != _NO_CREDIT:
            raise TransientError(_with_code(status, code), pause_s=_pause_in(headers.get("Retry-After")))
        raise self._refusal(status, code)

    def check(self) -> str:
        """Say that the endpoint can be used, without paying.

        :raises TransientError: if it does not answer.
        :raises EndpointRefusedError: if it refuses the key, or is none.
        """
        status, _, content = self._send("GET", "models", None)
        if status == _OK:
            return f"{self._endpoint.label} answers{_models_in(content)}"
        if status not in _UNAUTHORISED:
            # Not every server lists its models; that it misses the messages of an empty question shows that it is one.
            status, _, content = self._send("POST", "chat/completions", {})
        if status in _OF_THE_TEXT:
            return f"{self._endpoint.label} answers"
        if status in _TRANSIENT or status >= _FIRST_SERVER_ERROR:
            raise TransientError(_with_code(status, _code_in(content)))
        raise self._refusal(status, _code_in(content))

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, str], bytes]:
        ends_at = time.monotonic() + self._timeout_s
        has_answered = False
        try:
            with self._session.request(
                method,
                self._endpoint.url(path, model=(body or {}).get("model", "")),
                json=body,
                headers=dict(self._endpoint.headers),
                timeout=(min(_CONNECT_TIMEOUT_S, self._timeout_s), self._timeout_s),
                stream=True,
                allow_redirects=False,
            ) as response:
                has_answered = response.status_code == _OK
                return response.status_code, response.headers, _content(response, ends_at)
        except (requests.Timeout, TimeoutError):
            cause = f"no answer within {self._timeout_s:g} s"
        except (requests.ConnectionError, HTTPError) as error:
            cause = f"the connection failed ({type(error).__name__})"
        except (requests.RequestException, UnicodeError, ValueError) as error:
            # Their messages may show headers, and so the key.
            raise EndpointRefusedError(
                self._endpoint.label, f"no request can be made of the connection's fields ({type(error).__name__})"
            ) from None
        raise TransientError(cause, is_perhaps_paid=has_answered)

    def _refusal(self, status: int, code: str) -> EndpointRefusedError:
        said = f"answered {_with_code(status, code)}"
        if status in _UNAUTHORISED:
            advice = "the key is missing, wrong or without rights: correct it in the connection"
        elif status == _NOT_FOUND:
            advice = "correct label.model, or the address in the connection: it ends with the version, as in …/v1"
        elif code == _NO_CREDIT:
            advice = "the account of the key has no credit left: add some and clear the task"
        else:
            advice = "correct the address in the connection, or look into the account of its key"
        return EndpointRefusedError(self._endpoint.label, f"{said}; {advice}")


def check_access(endpoint: Endpoint) -> str:
    """Say that an endpoint can be used; raises as :meth:`ChatClient.check`."""
    return ChatClient(endpoint, timeout_s=_PROBE_TIMEOUT_S, connections=1).check()


class _KeyHeader(AuthBase):
    """Send the key, and never what a .netrc file holds for the host."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._headers = endpoint.authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


def _content(response: requests.Response, ends_at: float) -> bytes:
    """The whole body.

    :raises TimeoutError: if it is not there at ``ends_at`` of the monotonic clock: servers under load send white space
        to keep a connection open, so that no single read ever times out.
    """
    content = b""
    while block := response.raw.read1(_BLOCK_BYTES, decode_content=True):
        content += block
        if time.monotonic() > ends_at:
            raise TimeoutError
        if len(content) > _LARGEST_ANSWER_BYTES:
            break
    return content


def _code_in(content: bytes) -> str:
    """The code or type of an error: a word. The message beside it may repeat the text or the key."""
    try:
        error = json.loads(content)["error"]
        found = error.get("code") or error.get("type")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    return found if isinstance(found, str) and _CODE.fullmatch(found) else ""


def _models_in(content: bytes) -> str:
    try:
        return f" and has {len(json.loads(content)['data'])} models"
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


def _with_code(status: int, code: str) -> str:
    return f"{status} ({code})" if code else str(status)


def _pause_in(retry_after: str | None) -> float | None:
    """Seconds in a header Retry-After, which holds seconds or a date."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
