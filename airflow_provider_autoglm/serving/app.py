"""The HTTP side of a gateway. Every answer is JSON, errors too; none repeats a text of the request."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from airflow_provider_autoglm.serving.config import complete, state_address
from airflow_provider_autoglm.serving.gateway import Gateway
from airflow_provider_autoglm.serving.metrics import CONTENT_TYPE
from airflow_provider_autoglm.serving.model_host import HostFailure, QueueFull
from airflow_provider_autoglm.serving.protocol import (
    BadRequestError,
    answer_body,
    error_body,
    read_feedback,
    read_texts,
    request_id_of,
)
from airflow_provider_autoglm.serving.router import NoChampionError
from airflow_provider_autoglm.settings.serving import ServingSettings
from airflow_provider_autoglm.state.database import Database

_log = logging.getLogger(__name__)
_RETRY_WITHOUT_CHAMPION_S = 5
_RETRY_FULL_LOG_S = 1
_READ_AND_DROPPED_BYTES = 8 * 1024**2


def create_app(settings: ServingSettings) -> FastAPI:
    """The gateway as an ASGI application of one process; it polls and loads models while the server runs it.

    :raises SettingsError: if the settings do not say where the state is.
    :raises InvalidStateUrlError: if that is no address of a database.
    """
    settings = complete(settings)
    gateway = Gateway(settings, Database(state_address(settings)))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        gateway.start()
        yield
        await gateway.stop()

    app = FastAPI(title="autoglm gateway", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    endpoints = _Endpoints(gateway, settings)
    for path, method, endpoint in endpoints.all():
        app.add_api_route(path, endpoints.counted(path, endpoint), methods=[method], response_model=None)
    app.add_exception_handler(HTTPException, _on_http_error)
    return app


Endpoint = Callable[[Request], Awaitable[Response]]


class BodyTooLargeError(Exception):
    """The body is longer than is read."""


class _Endpoints:
    def __init__(self, gateway: Gateway, settings: ServingSettings) -> None:
        self._gateway = gateway
        self._settings = settings

    def all(self) -> list[tuple[str, str, Endpoint]]:
        return [
            ("/invocations", "POST", self.invocations),
            ("/feedback", "POST", self.feedback),
            ("/ping", "GET", self.ping),
            ("/ready", "GET", self.ready),
            ("/metrics", "GET", self.metrics),
            ("/v1/routes", "GET", self.routes),
        ]

    def counted(self, path: str, endpoint: Endpoint) -> Endpoint:
        """The endpoint with its answers counted, and an answer whatever happens in it."""

        async def answer(request: Request) -> Response:
            response = await self._guarded(endpoint, request)
            self._gateway.metrics.count_answer(path, response.status_code)
            return response

        return answer

    async def invocations(self, request: Request) -> Response:
        request_id = request_id_of(request.headers.get("x-request-id"))
        headers = {"x-request-id": request_id}
        try:
            texts = read_texts(await self._body(request), max_texts=self._settings.max_texts)
            outcome = await self._gateway.answer(request_id, texts)
        except BadRequestError as error:
            return _error(400, str(error), headers=headers)
        except BodyTooLargeError:
            return self._too_large(headers)
        except NoChampionError as error:
            return _error(503, str(error), headers=headers, retry_after_s=_RETRY_WITHOUT_CHAMPION_S)
        if outcome.answer is None or outcome.served_version is None:
            return _refused(outcome.refusal, headers)
        body = answer_body(outcome.answer)
        return JSONResponse(body, headers={**headers, "x-model-version": outcome.served_version})

    async def feedback(self, request: Request) -> Response:
        try:
            feedback = read_feedback(await self._body(request))
        except BadRequestError as error:
            return _error(400, str(error))
        except BodyTooLargeError:
            return self._too_large({})
        if not self._gateway.take_feedback(feedback):
            return _error(503, "the log of this gateway has no room", retry_after_s=_RETRY_FULL_LOG_S)
        return JSONResponse({"request_id": feedback.request_id}, 202)

    async def ping(self, _request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, _request: Request) -> Response:
        status = self._gateway.status()
        if status.not_ready:
            return _error(503, status.not_ready, retry_after_s=_RETRY_WITHOUT_CHAMPION_S)
        return JSONResponse(
            {
                "status": "ready",
                "champion": status.champion,
                "answering": status.answering,
                "state": f"away, the routes are those of before: {status.problem}" if status.problem else "reachable",
            }
        )

    async def metrics(self, _request: Request) -> Response:
        return Response(self._gateway.metrics.render(self._gateway.status()), media_type=CONTENT_TYPE)

    async def routes(self, _request: Request) -> Response:
        return JSONResponse(asdict(self._gateway.status()))

    async def _body(self, request: Request) -> bytes:
        """The body; of one that is too large no more is kept than may be there.

        A little of what is too much is read all the same: a client that still sends would miss the answer.

        :raises BodyTooLargeError: if there is more than ``max_body_bytes``.
        """
        limit = self._settings.max_body_bytes
        kept, size = bytearray(), 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit + _READ_AND_DROPPED_BYTES:
                break
            if size <= limit:
                kept += chunk
        if size > limit:
            raise BodyTooLargeError
        return bytes(kept)

    def _too_large(self, headers: Mapping[str, str]) -> Response:
        limit = self._settings.max_body_bytes
        # What may be left of the body is not read, so the connection is of no more use.
        return _error(413, f"expected a body of at most {limit} bytes", headers={**headers, "connection": "close"})

    async def _guarded(self, endpoint: Endpoint, request: Request) -> Response:
        try:
            return await endpoint(request)
        except ClientDisconnect:
            return _error(400, "the connection ended before the body")
        except Exception as error:
            # The message of an unforeseen error could quote the request; where it happened cannot.
            _log.error("%s %s: %s", request.method, request.url.path, _where(error))
            return _error(500, "the gateway failed to answer; its log says where")


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.filename}:{frame.lineno}"


def _refused(refusal: HostFailure | QueueFull | None, headers: Mapping[str, str]) -> Response:
    if isinstance(refusal, QueueFull):
        return _error(429, str(refusal), headers=headers, retry_after_s=refusal.retry_after_s)
    status = refusal.status if refusal else "unavailable"
    code = 504 if status == "timeout" else 502
    return _error(code, "the model did not answer", headers=headers, status=status)


def _error(
    code: int,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    retry_after_s: int | None = None,
    **details: Any,
) -> Response:
    all_headers = dict(headers or {})
    if retry_after_s is not None:
        all_headers["retry-after"] = str(retry_after_s)
    return JSONResponse(error_body(message, **details), code, headers=all_headers)


async def _on_http_error(_request: Request, error: Exception) -> Response:
    """Unknown paths and methods."""
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, headers=error.headers)
