"""Warm-up requests: a model answers its first real request as fast as its tenth.

TensorFlow Serving replays `assets.extra/tf_serving_warmup_requests` before a version
takes traffic, and so does the local server. Source: tensorflow.org/tfx/serving/
saved_model_warmup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from google.protobuf.message import DecodeError

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving import protos, requests, tensor_types
from claimpt_tf.serving.cpp_session import as_array
from claimpt_tf.serving.saved_model import SignatureSpec, read_saved_model
from claimpt_tf.visits import records

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_MAX_REQUESTS = 1000  # TensorFlow Serving refuses a longer file
_BATCH_SIZES = (1, 8)

_VALUE_FIELDS = {
    "string": "string_val",
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "int32": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint8": "int_val",
    "bool": "bool_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}


class Runner(Protocol):
    """Whatever runs a signature, for example a CppSession."""

    def run(self, signature: str, inputs: Any) -> dict[str, np.ndarray]:
        """Outputs of one call."""


@dataclass(frozen=True)
class WarmupRequest:
    """One recorded request: a signature and an array for each input."""

    signature: str
    inputs: dict[str, np.ndarray]


def invented_members() -> list[dict[str, Any]]:
    """Eight made-up members, from no history at all to 60 visits."""
    kinds = (
        ("OP", ["ICD10CM:J45.40", "HCPCS:99213"]),
        ("RX", ["NDC:00173068220"]),
        ("ED", ["ICD10CM:J45.901", "HCPCS:99284", "HCPCS:94640"]),
        ("OP", ["ICD10CM:Z00.129", "HCPCS:99393", "HCPCS:90686"]),
        ("IP", ["ICD10CM:J96.01"]),
    )
    index = np.datetime64("2023-06-30")
    members = []
    for at, visits in enumerate((0, 1, 3, 8, 15, 30, 45, 60)):
        members.append(
            {
                "sex": "FM"[at % 2],
                "birth_date": str(index - np.timedelta64(900 + 700 * at, "D")),
                "index_date": str(index),
                "visits": [
                    {
                        "date": str(index - np.timedelta64(12 * (visits - i), "D")),
                        "type": kinds[i % len(kinds)][0],
                        "codes": kinds[i % len(kinds)][1],
                        "cost": 40.0 + 15.0 * (i % 7),
                    }
                    for i in range(visits)
                ],
            }
        )
    return members


def _inputs_for(
    name: str, signature: SignatureSpec, serialized: Sequence[bytes]
) -> dict[str, Any]:
    if len(signature.inputs) == 1:
        ((only, spec),) = signature.inputs.items()
        if spec.dtype == "string" and spec.accepts((1,)):
            return {only: np.array(serialized, dtype=object)}
    columns = requests.examples_to_predict_inputs(serialized)
    if set(signature.inputs) <= set(columns):
        return {key: columns[key] for key in signature.inputs}
    raise ArtifactError(
        f"no warm-up request can be made for the signature {name!r}: it takes "
        f"{', '.join(signature.inputs)}; known are serialized examples, or any of "
        f"{', '.join(columns)}"
    )


def _fill(tensor: Any, array: np.ndarray, dtype: str) -> None:
    tensor.dtype = tensor_types.NUMBERS[dtype]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    getattr(tensor, _VALUE_FIELDS[dtype]).extend(array.ravel().tolist())


def write_warmup(
    model_dir: str | Path,
    serialized: Sequence[bytes] | None = None,
    model_name: str = "claimpt",
) -> Path:
    """Writes warm-up requests for every signature of a SavedModel.

    Args:
        model_dir: a version folder.
        serialized: labelled examples to send, at most eight are used. They are
            stored with the model, in clear: never give real members' records to a
            model that leaves the house. None takes invented members.
        model_name: name in the recorded requests.

    Returns:
        The file written.

    Raises:
        ArtifactError: not a SavedModel, or a signature that takes neither
            serialized examples nor the dense inputs of `predict`.
    """
    folder = Path(model_dir)
    examples = list(serialized or ()) or requests.to_examples(invented_members())
    logs = []
    for name, signature in read_saved_model(folder).signatures.items():
        for size in sorted({min(size, len(examples)) for size in _BATCH_SIZES}):
            log = protos.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = name
            # The last ones: invented members grow, and long histories cost most.
            values = _inputs_for(name, signature, examples[-size:])
            for key, spec in signature.inputs.items():
                array = as_array(key, spec, values[key])
                _fill(request.inputs[key], array, spec.dtype)
            logs.append(log.SerializeToString(deterministic=True))
    target = folder / WARMUP_FILE
    records.write_records(logs, target)
    return target


def _array(tensor: Any) -> np.ndarray:
    dtype = tensor_types.name_of(tensor.dtype)
    if dtype not in _VALUE_FIELDS:
        raise ArtifactError(f"warm-up requests of type {dtype} are not supported")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    count = int(np.prod(shape, dtype=np.int64))
    if tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content, tensor_types.numpy_dtype(dtype))
    else:
        listed = list(getattr(tensor, _VALUE_FIELDS[dtype]))
        # TensorFlow writes a constant tensor as its first value alone.
        if listed and len(listed) < count:
            listed += [listed[-1]] * (count - len(listed))
        values = np.empty(len(listed), dtype=tensor_types.numpy_dtype(dtype))
        values[:] = listed
    if len(values) != count:
        raise ArtifactError("a warm-up request's values do not fill its shape")
    return values.reshape(shape)


def read_warmup(model_dir: str | Path) -> list[WarmupRequest]:
    """The warm-up requests of a version folder; none when it has no such file.

    Raises:
        ArtifactError: the file is damaged, or holds other than predict requests.
    """
    path = Path(model_dir) / WARMUP_FILE
    if not path.is_file():
        return []
    found = []
    try:
        for raw in records.read_records([path]):
            log = protos.PredictionLog.FromString(raw)
            if not log.HasField("predict_log"):
                raise ArtifactError("it holds other than predict requests")
            request = log.predict_log.request
            inputs = {key: _array(value) for key, value in request.inputs.items()}
            name = request.model_spec.signature_name or "serving_default"
            found.append(WarmupRequest(name, inputs))
    except (ArtifactError, DecodeError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not a warm-up file: {error}") from error
    if len(found) > _MAX_REQUESTS:
        raise ArtifactError(f"{path}: more than {_MAX_REQUESTS} warm-up requests")
    return found


def replay(runner: Runner, model_dir: str | Path) -> int:
    """Runs a version's warm-up requests; returns how many there were.

    Raises:
        ArtifactError: the file is damaged.
        InferenceError: the model fails on one of them.
    """
    found = read_warmup(model_dir)
    for request in found:
        runner.run(request.signature, request.inputs)
    return len(found)
