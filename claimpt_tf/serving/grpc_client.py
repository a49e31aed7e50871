"""A client for TensorFlow Serving's gRPC API, local server or the real one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from claimpt_tf.serving import protos
from claimpt_tf.serving.errors import InferenceError, ServingError
from claimpt_tf.serving.model_client import (
    MESSAGE_LIMIT,
    ModelClient,
)
from claimpt_tf.serving.tensor_proto import fill_tensor, read_tensor

_RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_DTYPES = {"O": "string", "S": "string", "U": "string"}
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


class GrpcClient(ModelClient):
    """Asks a served model over gRPC; the same methods as the REST Client.

    Answers that mean "not now" (UNAVAILABLE, RESOURCE_EXHAUSTED) are tried again with
    growing pauses; scoring twice does no harm.

    Args:
        address: where the server listens, for example `127.0.0.1:8500`.
        name: the model's name.
        version: a particular version; None asks for the latest.
        label: a version's label instead.
        timeout: seconds to wait for one answer.
        retries: further attempts after the first.
        backoff: seconds before the second attempt; doubles each time.
        batch_size: members sent in one request.
        ca: PEM file of who signed the server's certificate; None for plain text.
        certificate: PEM files of this client's certificate and key.

    Example:
        client = GrpcClient("127.0.0.1:8500")
        (risk,) = client.predict([{"sex": "F", "birth_date": "2012-04-03",
                                   "index_date": "2023-06-30"}])
    """

    def __init__(
        self,
        address: str = "127.0.0.1:8500",
        name: str = "claimpt",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        backoff: float = 0.2,
        batch_size: int = 64,
        ca: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(timeout, retries, backoff, batch_size)
        self._address, self._name = address, name
        self._version, self._label = version, label
        options = [("grpc.max_receive_message_length", -1)]
        if ca is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            pair = [_read(path) for path in certificate or ()]
            credentials = grpc.ssl_channel_credentials(_read(ca), *reversed(pair))
            self._channel = grpc.secure_channel(address, credentials, options)
        self._predict = self._channel.unary_unary(
            _PREDICT,
            request_serializer=protos.PredictRequest.SerializeToString,
            response_deserializer=protos.PredictResponse.FromString,
        )

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Outputs of a signature that takes named arrays.

        Raises:
            InferenceError: the server refused the request; `code` says how.
            ServingError: no answer, even after trying again.
        """
        request = protos.PredictRequest()
        spec = request.model_spec
        spec.name, spec.signature_name = self._name, signature
        if self._label is not None:
            spec.version_label = self._label
        elif self._version is not None:
            spec.version.value = self._version
        for name, array in inputs.items():
            dtype = _DTYPES.get(array.dtype.kind, array.dtype.name)
            if dtype == "string":
                flat = [v.encode() if isinstance(v, str) else v for v in array.ravel()]
                array = np.array(flat, dtype=object).reshape(array.shape)
            fill_tensor(request.inputs[name], array, dtype)
        response = self._ask(request)
        return {name: read_tensor(value) for name, value in response.outputs.items()}

    def _ask(self, request: Any) -> Any:
        for attempt in range(self._retries + 1):
            try:
                return self._predict(request, timeout=self._timeout)
            except grpc.RpcError as error:
                code, details = error.code(), (error.details() or "")[:MESSAGE_LIMIT]
                if code not in _RETRIED:
                    raise InferenceError(
                        code.name, f"{self._address} refused: {details}"
                    ) from None
                unreachable = "failed to connect" in details.lower()
            self._pause(attempt)
        if unreachable:
            raise ServingError(
                f"{self._address}: no answer; is the server running? `claimpt serve "
                "MODEL_BASE` starts one"
            )
        raise InferenceError(code.name, f"{self._address} refused: {details}")

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ServingError(f"{path}: cannot be read: {error.strerror}") from error
