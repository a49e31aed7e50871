"""TensorFlow Serving's REST API: paths, status codes, bodies.

Follows tensorflow.org/tfx/serving/api_rest; status codes are those that TensorFlow
Serving's http_server.cc gives to the runtime's.
"""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from claimpt_tf.serving import metrics, tensor_types
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.examples import examples_of_json
from claimpt_tf.serving.inference import Call, Inference, signature_or_default
from claimpt_tf.serving.limits import Limits
from claimpt_tf.serving.rest_format import (
    format_predict_response,
    load_json,
    parse_predict_request,
)
from claimpt_tf.serving.saved_model import SignatureSpec, TensorSpec
from claimpt_tf.serving.served_models import ModelRef
from claimpt_tf.serving.versions import VersionStatus

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

_WHICH = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_CALL_PATH = re.compile(_WHICH + ":(predict|classify|regress)")
_MODEL_PATH = re.compile(_WHICH + "(/metadata)?")
_LARGEST_VERSION = 2**63 - 1


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
    """TensorFlow Serving's REST API, as an ASGI application.

    Args:
        inference: what answers the requests.
        pool: threads that parse requests and run the model.
        limits: body size and times.
    """

    def __init__(
        self, inference: Inference, pool: ThreadPoolExecutor, limits: Limits
    ) -> None:
        self._inference, self._pool, self._limits = inference, pool, limits

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers any path and method, those that no router would know too."""
        if scope["type"] == "http":
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        call = Call("unknown", "REST", self._limits.request_seconds)
        call.note["method"] = request.method
        name, code = "", "OK"
        path = request.scope["path"]
        if match := _CALL_PATH.fullmatch(path) or _MODEL_PATH.fullmatch(path):
            name = match[1]
        try:
            response = await self._dispatch(request, call)
        except _HttpError as error:
            code = "INVALID_ARGUMENT"
            response = _json({"error": str(error)}, error.status, connection="close")
        except InferenceError as error:
            code = error.code
            status = HTTP_STATUS.get(code, 500)
            extra = {"retry-after": "1"} if status in (429, 503) else {}
            response = _json({"error": str(error)}, status, **extra)
        except ClientDisconnect:
            code, response = "CANCELLED", Response(status_code=499)
        except Exception as error:
            # Only the type: a message could quote what the request held.
            call.note["failure"] = type(error).__name__
            code = "INTERNAL"
            response = _json({"error": "internal error of the server"}, 500)
        call.note["status"] = response.status_code
        self._inference.finish(call, name, code)
        return response

    async def _dispatch(self, request: Request, call: Call) -> Response:
        path, read = request.scope["path"], request.method in ("GET", "HEAD")
        if read and path == "/healthz":
            call.api = "health"
            return self._health()
        if read and path == metrics.PATH:
            call.api = "metrics"
            text = self._inference.metrics.text(self._inference.gauges())
            return Response(text, headers={"content-type": metrics.CONTENT_TYPE})
        if request.method == "POST" and (match := _CALL_PATH.fullmatch(path)):
            *which, call.api = match.groups()
            return await self._call(request, call, self._ref(*which))
        if read and (match := _MODEL_PATH.fullmatch(path)):
            *which, metadata = match.groups()
            call.api = "metadata" if metadata else "status"
            ref = self._ref(*which)
            return self._metadata(ref) if metadata else self._status(ref)
        if not path.startswith("/v1/"):
            raise InferenceError("NOT_FOUND", "Not found; the API is under /v1/models/")
        raise InferenceError(
            "INVALID_ARGUMENT", f"Malformed request: {request.method} {path[:200]}"
        )

    def _health(self) -> Response:
        models = self._inference.models
        serving = {n: models.model(ModelRef(n)).current for n in models.names()}
        if None in serving.values():
            return _json({"status": "no version loaded", "models": serving}, 503)
        return _json({"status": "ok", "models": serving})

    def _ref(self, name: str, version: str | None, label: str | None) -> ModelRef:
        if version is None:
            return ModelRef(name, None, label)
        if len(version) > 19 or int(version) > _LARGEST_VERSION:
            raise InferenceError(
                "INVALID_ARGUMENT",
                f"Failed to convert version: {version[:80]} to numeric.",
            )
        return ModelRef(name, int(version))

    def _status(self, ref: ModelRef) -> Response:
        versions = self._inference.models.model(ref)
        number = ref.version
        if ref.label is not None:
            number = versions.resolve(label=ref.label)
        statuses = [s for s in versions.statuses() if number in (None, s.version)]
        if not statuses:
            what = "any versions" if number is None else f"version {number}"
            raise InferenceError(
                "NOT_FOUND", f"Could not find {what} of model {ref.name}"
            )
        return _json({"model_version_status": [_status_info(s) for s in statuses]})

    def _metadata(self, ref: ModelRef) -> Response:
        with self._inference.models.lease(ref) as (version, session):
            signatures = {
                name: _signature_info(signature)
                for name, signature in session.signatures.items()
            }
        return _json(
            {
                "model_spec": {
                    "name": ref.name,
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

    async def _call(self, request: Request, call: Call, ref: ModelRef) -> Response:
        with self._inference.admitted():
            self._inference.models.model(ref)  # before a body is read for nothing
            body = await self._body(request)
            call.note["bytes"] = len(body)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._run, body, call, ref)

    def _run(self, body: bytes, call: Call, ref: ModelRef) -> Response:
        with self._inference.models.lease(ref) as held:
            if call.api == "predict":
                asked = parse_predict_request(body, held[1].signatures)
                outputs = self._inference.run(call, held, asked.signature, asked.inputs)
                return _json(format_predict_response(outputs, asked.by_row))
            name, examples = examples_of_json(load_json(body))
            method = getattr(self._inference, call.api)
            results = method(call, held, signature_or_default(name), examples)
            return _json({"results": results})
