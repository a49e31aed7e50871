"""TensorFlow Serving's REST API over one model: paths, status codes, bodies.

Follows tensorflow.org/tfx/serving/api_rest; status codes are those that TensorFlow
Serving's http_server.cc gives to the runtime's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from claimpt_tf.serving import tensor_types
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.event_log import log_event
from claimpt_tf.serving.rest_format import (
    format_predict_response,
    parse_predict_request,
)
from claimpt_tf.serving.saved_model import SignatureSpec, TensorSpec
from claimpt_tf.serving.versions import ModelVersions, VersionStatus

HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}  # any other code is 500

_PREDICT_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+))?:(predict|classify|regress)"
)
_MODEL_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata)?")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_LARGEST_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Limits:
    """What a server puts up with.

    Attributes:
        body_bytes: largest request body; a larger one is answered with 413.
        body_seconds: time a client has to send its body; 408 after it.
        pending: predict requests in hand at once; 503 beyond.
        shutdown_seconds: time that requests in hand have to finish at the end.
        idle_seconds: time a kept-alive connection may stay silent.
    """

    body_bytes: int = 16 * 1024 * 1024
    body_seconds: float = 30.0
    pending: int = 128
    shutdown_seconds: int = 10
    idle_seconds: int = 30


class _HttpError(Exception):
    """An answer that no status code of the runtime stands for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _json(content: object, status: int = 200, **headers: str) -> Response:
    return Response(
        json.dumps(content, separators=(",", ":")),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in spec.shape or ()]
    return {
        "dtype": tensor_types.proto_name(spec.dtype),
        "tensor_shape": {"dim": dims, "unknown_rank": spec.shape is None},
        "name": spec.tensor,
    }


def _signature_info(signature: SignatureSpec) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor_info(s) for name, s in signature.inputs.items()},
        "outputs": {name: _tensor_info(s) for name, s in signature.outputs.items()},
        "method_name": signature.method_name,
        "defaults": {},
    }


def _status_info(status: VersionStatus) -> dict[str, Any]:
    return {
        "version": str(status.version),
        "state": status.state,
        "status": {
            "error_code": status.error_code,
            "error_message": status.error_message,
        },
    }


class RestApi:
    """TensorFlow Serving's REST API over one model, as an ASGI application.

    Args:
        versions: the model.
        pool: threads that parse requests and run the model.
        limits: body size, time and number of requests.
    """

    def __init__(
        self,
        versions: ModelVersions,
        pool: ThreadPoolExecutor,
        limits: Limits,
    ) -> None:
        self.name = versions.name
        self._versions = versions
        self._pool = pool
        self._limits = limits
        self._pending = 0
        self.app = Starlette(
            routes=[
                Route("/healthz", self._answer, methods=["GET", "HEAD"]),
                Route("/{path:path}", self._answer, methods=_METHODS),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        started = time.perf_counter()
        note: dict[str, object] = {"method": request.method}
        try:
            response = await self._dispatch(request, note)
        except _HttpError as error:
            response = _json({"error": str(error)}, error.status, connection="close")
        except InferenceError as error:
            note["code"] = error.code
            status = HTTP_STATUS.get(error.code, 500)
            extra = {"retry-after": "1"} if status == 503 else {}
            response = _json({"error": str(error)}, status, **extra)
        except ClientDisconnect:
            response = Response(status_code=499)
        except Exception as error:
            # Only the type: a message could quote what the request held.
            note["failure"] = type(error).__name__
            response = _json({"error": "internal error of the server"}, 500)
        milliseconds = round((time.perf_counter() - started) * 1000, 2)
        status = response.status_code
        level = logging.ERROR if status >= 500 else logging.INFO
        log_event("request", level, **note, status=status, ms=milliseconds)
        return response

    async def _dispatch(self, request: Request, note: dict[str, object]) -> Response:
        path = request.scope["path"]
        if path == "/healthz":
            note["kind"] = "health"
            return self._health()
        note["kind"] = "unknown"
        if request.method == "POST" and (match := _PREDICT_PATH.fullmatch(path)):
            name, version, method = match.groups()
            note["kind"] = method
            if method != "predict":
                raise InferenceError(
                    "UNIMPLEMENTED", f"the local server answers :predict, not :{method}"
                )
            return await self._predict(request, note, name, version)
        if request.method in ("GET", "HEAD") and (match := _MODEL_PATH.fullmatch(path)):
            name, version, metadata = match.groups()
            note["kind"] = "metadata" if metadata else "status"
            return self._model(name, version, bool(metadata))
        if not path.startswith("/v1/"):
            raise InferenceError("NOT_FOUND", "Not found; the API is under /v1/models/")
        raise InferenceError(
            "INVALID_ARGUMENT", f"Malformed request: {request.method} {path[:200]}"
        )

    def _health(self) -> Response:
        version = self._versions.current
        if version is None:
            return _json({"status": "no version loaded", "model": self.name}, 503)
        return _json({"status": "ok", "model": self.name, "version": version})

    def _number(self, name: str, version: str | None) -> int | None:
        wanted = (
            f"Specific({name[:80]}, {version})" if version else f"Latest({name[:80]})"
        )
        if name != self.name:
            raise InferenceError(
                "NOT_FOUND", f"Servable not found for request: {wanted}"
            )
        if version is None:
            return None
        if len(version) > 19 or int(version) > _LARGEST_VERSION:
            raise InferenceError(
                "INVALID_ARGUMENT",
                f"Failed to convert version: {version[:80]} to numeric.",
            )
        return int(version)

    def _model(self, name: str, version: str | None, metadata: bool) -> Response:
        number = self._number(name, version)
        if metadata:
            return self._metadata(number)
        statuses = [
            status
            for status in self._versions.statuses()
            if number is None or status.version == number
        ]
        if not statuses:
            what = "any versions" if number is None else f"version {number}"
            raise InferenceError("NOT_FOUND", f"Could not find {what} of model {name}")
        return _json({"model_version_status": [_status_info(s) for s in statuses]})

    def _metadata(self, number: int | None) -> Response:
        with self._versions.lease(number) as (version, session):
            signatures = {
                name: _signature_info(signature)
                for name, signature in session.signatures.items()
            }
        return _json(
            {
                "model_spec": {
                    "name": self.name,
                    "signature_name": "",
                    "version": str(version),
                },
                "metadata": {"signature_def": {"signature_def": signatures}},
            }
        )

    async def _body(self, request: Request) -> bytes:
        limit = self._limits.body_bytes
        too_large = _HttpError(413, f"request body larger than {limit} bytes")
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced[:20]) > limit:
            raise too_large
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise _HttpError(415, "send the body without Content-Encoding")

        async def read() -> bytes:
            chunks, size = [], 0
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                chunks.append(chunk)
            return b"".join(chunks)

        try:
            return await asyncio.wait_for(read(), self._limits.body_seconds)
        except asyncio.TimeoutError:
            raise _HttpError(408, "the request body did not arrive in time") from None

    async def _predict(
        self, request: Request, note: dict[str, object], name: str, version: str | None
    ) -> Response:
        number = self._number(name, version)
        if self._pending >= self._limits.pending:
            raise InferenceError(
                "UNAVAILABLE", "the server has too many requests in hand; try again"
            )
        self._pending += 1
        try:
            body = await self._body(request)
            note["bytes"] = len(body)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._pool, self._score, body, number, note
            )
        finally:
            self._pending -= 1

    def _score(
        self, body: bytes, number: int | None, note: dict[str, object]
    ) -> Response:
        with self._versions.lease(number) as (version, session):
            note["version"] = version
            call = parse_predict_request(body, session.signatures)
            note["signature"] = call.signature
            outputs = session.run(call.signature, call.inputs)
        sizes = {len(array) for array in outputs.values() if array.ndim}
        note["batch"] = max(sizes, default=0)
        return _json(format_predict_response(outputs, call.by_row))
