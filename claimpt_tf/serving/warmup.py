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
from claimpt_tf.serving import protos, requests
from claimpt_tf.serving.cpp_session import as_array
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.saved_model import (
    CLASSIFY,
    DEFAULT_SIGNATURE,
    EXPLAIN,
    REGRESS,
    SignatureSpec,
    read_saved_model,
)
from claimpt_tf.serving.tensor_proto import fill_tensor, read_tensor
from claimpt_tf.visits import records

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_MAX_REQUESTS = 1000  # TensorFlow Serving refuses a longer file
_BATCH_SIZES = (1, 8)
_SHORT_HISTORY = 3  # an explanation costs a scoring for each visit and code


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


def _log(
    name: str, signature: SignatureSpec, examples: Sequence[bytes], model_name: str
) -> Any:
    log = protos.PredictionLog()
    if signature.method_name in (CLASSIFY, REGRESS):
        kind = (
            log.classify_log if signature.method_name == CLASSIFY else log.regress_log
        )
        kind.request.model_spec.name = model_name
        kind.request.model_spec.signature_name = name
        kind.request.input.example_list.examples.extend(examples)
        return log
    request = log.predict_log.request
    request.model_spec.name = model_name
    request.model_spec.signature_name = name
    values = _inputs_for(name, signature, examples)
    for key, spec in signature.inputs.items():
        array = as_array(key, spec, values[key])
        fill_tensor(request.inputs[key], array, spec.dtype)
    return log


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
    short = examples[: _SHORT_HISTORY + 1][-1:]
    logs = []
    for name, signature in read_saved_model(folder).signatures.items():
        # The last ones: invented members grow, and long histories cost most.
        batches = {size: examples[-size:] for size in _BATCH_SIZES}
        if name == EXPLAIN:
            batches = {1: short}
        for batch in {len(b): b for b in batches.values()}.values():
            log = _log(name, signature, batch, model_name)
            logs.append(log.SerializeToString(deterministic=True))
    target = folder / WARMUP_FILE
    records.write_records(logs, target)
    return target


def _request(log: Any) -> WarmupRequest:
    for kind in ("classify_log", "regress_log"):
        if log.HasField(kind):
            request = getattr(log, kind).request
            examples = list(request.input.example_list.examples)
            return WarmupRequest(
                request.model_spec.signature_name or DEFAULT_SIGNATURE,
                {"inputs": np.array(examples, dtype=object)},
            )
    if not log.HasField("predict_log"):
        raise ArtifactError("it holds other than predict, classify, regress requests")
    request = log.predict_log.request
    return WarmupRequest(
        request.model_spec.signature_name or DEFAULT_SIGNATURE,
        {key: read_tensor(value) for key, value in request.inputs.items()},
    )


def read_warmup(model_dir: str | Path) -> list[WarmupRequest]:
    """The warm-up requests of a version folder; none when it has no such file.

    Raises:
        ArtifactError: the file is damaged, or holds other requests.
    """
    path = Path(model_dir) / WARMUP_FILE
    if not path.is_file():
        return []
    found = []
    try:
        for raw in records.read_records([path]):
            found.append(_request(protos.PredictionLog.FromString(raw)))
    except (ArtifactError, InferenceError, DecodeError, TypeError, ValueError) as error:
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
