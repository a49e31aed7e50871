"""A client for TensorFlow Serving's REST API, local server or the real one."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import requests as http

from claimpt_tf.serving.errors import InferenceError, ServingError
from claimpt_tf.serving.model_client import (
    MESSAGE_LIMIT,
    ModelClient,
)

_RETRIED = (429, 502, 503, 504)
_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Client(ModelClient):
    """Asks a served model for risks.

    Connection failures and answers that mean "not now" (429, 502, 503, 504) are
    tried again with growing pauses; scoring twice does no harm.

    Args:
        url: where the server listens, for example `http://127.0.0.1:8501`.
        name: the model's name.
        version: a particular version; None asks for the latest.
        timeout: seconds to wait for one answer.
        retries: further attempts after the first.
        backoff: seconds before the second attempt; doubles each time.
        batch_size: members sent in one request.
        ca: PEM file of who signed the server's certificate.
        certificate: PEM files of this client's certificate and key.

    Example:
        client = Client("http://127.0.0.1:8501")
        (risk,) = client.predict([{"sex": "F", "birth_date": "2012-04-03",
                                   "index_date": "2023-06-30"}])
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8501",
        name: str = "claimpt",
        *,
        version: int | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        backoff: float = 0.2,
        batch_size: int = 64,
        ca: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServingError(
                "the server's address must look like http://127.0.0.1:8501"
            )
        super().__init__(timeout, retries, backoff, batch_size)
        self._root = f"{url.rstrip('/')}/v1/models/{quote(name, safe='')}"
        self._path = "" if version is None else f"/versions/{version}"
        self._named: dict[str, list[str]] = {"predict": ["probability"]}
        self._session = http.Session()
        self._session.verify = ca if ca else True
        self._session.cert = certificate
        # A proxy set for the outer world cannot reach this machine's own loopback.
        self._session.trust_env = not _is_loopback(parts.hostname)

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Outputs of a signature that takes named arrays.

        Raises:
            InferenceError: the server refused the request; `code` says how.
            ServingError: no answer, even after trying again.
        """
        columns = {name: array.tolist() for name, array in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        outputs = self._ask("POST", f"{self._path}:predict", body).get("outputs")
        if isinstance(outputs, list):  # a single output stands without its name
            names = self._outputs(signature)
            outputs = {names[0]: outputs}
        if not isinstance(outputs, dict):
            raise ServingError("the server's answer holds no outputs")
        return {name: np.asarray(value) for name, value in outputs.items()}

    def _outputs(self, signature: str) -> list[str]:
        if signature not in self._named:
            found = self.metadata()["metadata"]["signature_def"]["signature_def"]
            self._named.update({n: list(one["outputs"]) for n, one in found.items()})
        return self._named[signature]

    def status(self) -> list[dict[str, Any]]:
        """The versions the server knows: `version`, `state` and `status` of each.

        Raises:
            InferenceError, ServingError: as `predict`.
        """
        return self._ask("GET", self._path)["model_version_status"]

    def metadata(self) -> dict[str, Any]:
        """The served model's signatures, as TensorFlow Serving gives them.

        Raises:
            InferenceError, ServingError: as `predict`.
        """
        return self._ask("GET", f"{self._path}/metadata")

    def wait(self, seconds: float = 60.0) -> int:
        """Waits until a version is available; returns its number.

        Raises:
            ServingError: none is within that time.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                for version in self.status():
                    if version["state"] == "AVAILABLE":
                        return int(version["version"])
                last = "no version is available"
            except ServingError as error:
                last = str(error)
            if time.monotonic() >= deadline:
                raise ServingError(f"no model after {seconds:g} s: {last}")
            time.sleep(0.1)

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        for attempt in range(self._retries + 1):
            try:
                answer = self._session.request(
                    method, self._root + path, json=body, timeout=self._timeout
                )
            except (http.ConnectionError, http.Timeout) as error:
                failure = ServingError(
                    f"{self._root}: no answer ({type(error).__name__}); is the server "
                    "running? `claimpt serve MODEL_BASE` starts one"
                )
                pause = 0.0
            except http.RequestException as error:
                raise ServingError(f"{self._root}: {type(error).__name__}") from error
            else:
                if answer.ok:
                    return self._content(answer)
                failure = self._refusal(answer)
                if answer.status_code not in _RETRIED:
                    raise failure
                asked = answer.headers.get("Retry-After", "")
                pause = float(asked) if asked.isdigit() else 0.0
            self._pause(attempt, pause)
        raise failure

    def _content(self, answer: http.Response) -> dict[str, Any]:
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise ServingError(f"{self._root}: the answer is no JSON object")
        return content

    def _refusal(self, answer: http.Response) -> InferenceError:
        try:
            message = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            message = answer.reason or "no reason given"
        status = answer.status_code
        code = _CODES.get(status, "UNAVAILABLE" if status in _RETRIED else "UNKNOWN")
        return InferenceError(
            code, f"{self._root} refused with {status}: {message[:MESSAGE_LIMIT]}"
        )

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._session.close()
