"""What a server does with a request, whichever protocol it came by.

Words and codes are those of TensorFlow Serving's predict_util.cc, classifier.cc and
regressor.cc.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from claimpt_tf.serving import metrics as m
from claimpt_tf.serving.batching import Batcher
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.event_log import log_event
from claimpt_tf.serving.saved_model import (
    CLASSIFY,
    DEFAULT_SIGNATURE,
    REGRESS,
    SignatureSpec,
)
from claimpt_tf.serving.served_models import ModelRef, ServedModels

_INPUTS = "inputs"
_SHORT = {CLASSIFY: "classification", REGRESS: "regression"}
Classes = list[list[tuple[str, float]]]


@dataclass
class Call:
    """One request on its way: where it came from, and what its log line will say.

    Attributes:
        api: `predict`, `classify` and so on.
        entry: `REST` or `GRPC`.
        seconds: time that the client gives it, None without end.
        note: further facts for the log; never a word of the request's content.
    """

    api: str
    entry: str
    seconds: float | None = None
    note: dict[str, object] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float | None:
        """Seconds left."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds - (time.perf_counter() - self.started))


class Inference:
    """Runs signatures of served models, in batches, counted and logged.

    Args:
        models: what is served.
        batcher: joins requests.
        pending: requests in hand at once, those that wait included.
        metrics: where requests are counted.
    """

    def __init__(
        self,
        models: ServedModels,
        batcher: Batcher,
        pending: int,
        metrics: m.Metrics,
    ) -> None:
        self.models, self.metrics = models, metrics
        self._batcher, self._limit = batcher, pending
        self._lock = threading.Lock()
        self._pending = 0

    @property
    def pending(self) -> int:
        """Requests in hand."""
        with self._lock:
            return self._pending

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Holds a place among the requests in hand.

        Raises:
            InferenceError: RESOURCE_EXHAUSTED; there is none.
        """
        with self._lock:
            if self._pending >= self._limit:
                raise InferenceError(
                    "RESOURCE_EXHAUSTED",
                    "the server has too many requests in hand; try again",
                )
            self._pending += 1
        try:
            yield
        finally:
            with self._lock:
                self._pending -= 1

    def finish(self, call: Call, model: str, code: str) -> None:
        """Counts and logs a request that is answered."""
        seconds = time.perf_counter() - call.started
        if model in self.models.names():  # a stranger's word is no label
            self.metrics.add(m.REQUESTS, model_name=model, status=code)
            self.metrics.observe(
                m.LATENCY,
                seconds * 1e6,
                model_name=model,
                API=call.api.title(),
                entrypoint=call.entry,
            )
        log_event(
            "request",
            logging.ERROR if code in ("INTERNAL", "UNKNOWN") else logging.INFO,
            entry=call.entry,
            kind=call.api,
            **call.note,
            code=code,
            ms=round(seconds * 1000, 2),
        )

    def run(
        self,
        call: Call,
        held: tuple[int, CppSession],
        signature: str,
        inputs: Mapping[str, Any],
    ) -> dict[str, np.ndarray]:
        """Runs a signature of a version that the caller holds.

        Raises:
            InferenceError: as Batcher.run.
        """
        version, session = held
        call.note["version"] = version
        outputs, joined = self._batcher.run(session, signature, inputs, call.left)
        call.note["signature"] = signature
        sizes = {len(array) for array in outputs.values() if array.ndim}
        call.note["batch"] = max(sizes, default=0)
        if joined:
            self.metrics.observe(m.BATCH, joined)
        return outputs

    def classify(
        self,
        call: Call,
        held: tuple[int, CppSession],
        signature: str,
        examples: Sequence[bytes],
    ) -> Classes:
        """Classes and scores of each example.

        Raises:
            InferenceError: the signature is of another kind, or as `run`.
        """
        spec = _of_kind(held[1], signature, CLASSIFY)
        outputs = self.run(call, held, signature, {_INPUTS: list(examples)})
        count = len(examples)
        scores, labels = outputs.get("scores"), outputs.get("classes")
        for name, array in (("scores", scores), ("classes", labels)):
            if array is not None and (array.ndim != 2 or len(array) != count):
                raise InferenceError(
                    "FAILED_PRECONDITION",
                    f"Expected Tensor shape: [batch_size num_classes] of {name}",
                )
        if scores is None and labels is None:
            raise InferenceError(
                "FAILED_PRECONDITION",
                f"Expected classification signature outputs to contain at least one of "
                f"classes, scores; it has {', '.join(spec.outputs)}",
            )
        width = (scores if scores is not None else labels).shape[1]  # type: ignore[union-attr]
        return [
            [
                (
                    "" if labels is None else labels[i, j].decode("utf-8", "replace"),
                    0.0 if scores is None else float(scores[i, j]),
                )
                for j in range(width)
            ]
            for i in range(count)
        ]

    def regress(
        self,
        call: Call,
        held: tuple[int, CppSession],
        signature: str,
        examples: Sequence[bytes],
    ) -> list[float]:
        """A value of each example.

        Raises:
            InferenceError: the signature is of another kind, or as `run`.
        """
        _of_kind(held[1], signature, REGRESS)
        outputs = self.run(call, held, signature, {_INPUTS: list(examples)})
        values = outputs.get("outputs")
        if values is None or values.size != len(examples):
            raise InferenceError(
                "FAILED_PRECONDITION",
                "Expected output Tensor shape to be either [batch_size] or "
                "[batch_size, 1]",
            )
        return [float(value) for value in values.ravel()]

    def gauges(self) -> list[tuple[str, dict[str, str], float]]:
        """What metrics only know at the moment."""
        found: list[tuple[str, dict[str, str], float]] = [(m.PENDING, {}, self.pending)]
        for name in self.models.names():
            statuses = self.models.model(ModelRef(name)).statuses()
            available = sum(one.state == "AVAILABLE" for one in statuses)
            found.append((m.VERSIONS, {"model_name": name}, available))
        return found


def _of_kind(session: CppSession, signature: str, kind: str) -> SignatureSpec:
    spec = session.signatures.get(signature)
    if spec is None:
        raise InferenceError(
            "INVALID_ARGUMENT",
            f"No signature was found with the name: {signature[:80]}; this model has "
            f"{', '.join(session.signatures) or 'none'}",
        )
    if spec.method_name != kind or set(spec.inputs) != {_INPUTS}:
        others = [n for n, s in session.signatures.items() if s.method_name == kind]
        raise InferenceError(
            "INVALID_ARGUMENT",
            f"Expected {_SHORT[kind]} signature method_name to be {kind}. Was: "
            f"{spec.method_name}; ask for the signature "
            f"{' or '.join(others) or '(this model has none of that kind)'}",
        )
    return spec


def signature_or_default(name: str) -> str:
    """The signature that an empty name means."""
    return name or DEFAULT_SIGNATURE
