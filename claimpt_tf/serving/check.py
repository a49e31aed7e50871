"""Whether a model may be served: what the pipeline asks before it pushes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving import requests, warmup
from claimpt_tf.serving.check_signatures import signature_calls, signature_problems
from claimpt_tf.serving.cpp_loader import (
    Call,
    CallResult,
    run_in_cpp_loader,
)
from claimpt_tf.serving.saved_model import (
    SavedModelSpec,
    read_saved_model,
    resolve_version,
)

TOLERANCE = 1e-5
EXAMPLES, DENSE, PROBABILITY = "serving_default", "predict", "probability"
_BATCH = 32
_LATENCY_RUNS = 200


@dataclass
class ServingCheck:
    """What was found; `problems` is empty when the model may be served.

    Attributes:
        model_dir: the version folder that was checked.
        members: how many records were scored.
        signatures: names found.
        tensorflow_version: the version that wrote the model.
        runtime_version: the version of the C++ runtime that loaded it, if it did.
        load_seconds: time of the C++ loader.
        python_ops: kinds of operation that need Python; TensorFlow Serving has none.
        loader_difference: largest difference between the Python and the C++ loader.
        signature_difference: largest difference between `serving_default` and
            `predict` on the same members.
        expected_difference: largest difference from the `expected` scores, if given.
        latency_p50_ms: median time of one member, `predict`, in the C++ runtime.
        latency_p99_ms: 99th percentile of the same.
        warmup_requests: warm-up requests replayed.
        problems: one sentence each.
    """

    model_dir: str
    members: int
    signatures: list[str] = field(default_factory=list)
    tensorflow_version: str = ""
    runtime_version: str = ""
    load_seconds: float | None = None
    python_ops: list[str] = field(default_factory=list)
    loader_difference: float | None = None
    signature_difference: float | None = None
    expected_difference: float | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    warmup_requests: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing stands against serving it."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """All fields and `ok`, ready for JSON."""
        return {**asdict(self), "ok": self.ok}


def _check_contract(spec: SavedModelSpec, check: ServingCheck) -> bool:
    """Whether the signatures are there to be called at all."""
    wanted = {EXAMPLES: {"examples"}, DENSE: set(requests.PREDICT_INPUTS)}
    whole = True
    for name, inputs in wanted.items():
        signature = spec.signatures.get(name)
        if signature is None:
            check.problems.append(f"the signature {name!r} is missing")
        elif set(signature.inputs) != inputs:
            check.problems.append(
                f"the signature {name!r} takes {', '.join(signature.inputs)}; it must "
                f"take {', '.join(sorted(inputs))}"
            )
        elif PROBABILITY not in signature.outputs:
            check.problems.append(f"the signature {name!r} gives no {PROBABILITY!r}")
        else:
            continue
        whole = False
    return whole


def _python_scores(path: Path, serialized: Sequence[bytes]) -> np.ndarray:
    import tensorflow as tf  # the one place of serving that needs Python's

    signature = tf.saved_model.load(str(path)).signatures[EXAMPLES]
    batches = (
        list(serialized[i : i + _BATCH]) for i in range(0, len(serialized), _BATCH)
    )
    return np.concatenate(
        [signature(examples=tf.constant(b))[PROBABILITY].numpy() for b in batches]
    )


def _calls(serialized: Sequence[bytes]) -> list[Call]:
    calls = []
    for start in range(0, len(serialized), _BATCH):
        batch = list(serialized[start : start + _BATCH])
        calls.append(Call(EXAMPLES, {"examples": batch}))
        calls.append(Call(DENSE, requests.examples_to_predict_inputs(batch)))
    one = requests.examples_to_predict_inputs(serialized[:1])
    return [*calls, Call(DENSE, one, repeats=_LATENCY_RUNS)]


def _joined(
    results: Sequence[CallResult], name: str, check: ServingCheck
) -> np.ndarray | None:
    errors = [result.error for result in results if result.error]
    if errors:
        check.problems.append(f"the signature {name!r} fails in C++: {errors[0]}")
        return None
    scores = np.concatenate([np.ravel(r.outputs[PROBABILITY]) for r in results])
    bad = ~((scores >= 0) & (scores <= 1))
    if bad.any():
        check.problems.append(
            f"the signature {name!r} gives {int(bad.sum())} scores that are no "
            "probability (outside 0..1, or not a number)"
        )
    return scores


def _difference(
    what: str,
    left: np.ndarray,
    right: np.ndarray,
    tolerance: float,
    check: ServingCheck,
) -> float | None:
    if left.shape != right.shape:
        check.problems.append(
            f"{what}: {len(left)} scores against {len(right)}; there must be one a "
            "member"
        )
        return None
    largest = float(np.max(np.abs(left.astype(np.float64) - right)))
    if not largest <= tolerance:
        check.problems.append(
            f"{what}: scores differ by up to {largest:.3g}, more than {tolerance:.0e}"
        )
    return largest


def _check_scores(
    results: Sequence[CallResult],
    path: Path,
    serialized: Sequence[bytes],
    expected: Sequence[float] | np.ndarray | None,
    tolerance: float,
    check: ServingCheck,
) -> np.ndarray | None:
    *scored, timed = results
    from_examples = _joined(scored[0::2], EXAMPLES, check)
    from_columns = _joined(scored[1::2], DENSE, check)
    if from_examples is not None and from_columns is not None:
        check.signature_difference = _difference(
            "serving_default against predict",
            from_examples,
            from_columns,
            tolerance,
            check,
        )
    if timed.seconds:
        milliseconds = np.array(timed.seconds) * 1000
        check.latency_p50_ms = round(float(np.percentile(milliseconds, 50)), 3)
        check.latency_p99_ms = round(float(np.percentile(milliseconds, 99)), 3)
    if from_examples is None:
        return None
    if expected is not None:
        check.expected_difference = _difference(
            "the trained model against the served one",
            np.ravel(np.asarray(expected)),
            from_examples,
            tolerance,
            check,
        )
    try:
        python = np.ravel(_python_scores(path, serialized))
    except Exception as error:  # TensorFlow raises what it likes when it loads
        first = str(error).strip().split("\n")[0][:300]
        check.problems.append(f"Python's loader fails: {type(error).__name__}: {first}")
        return from_examples
    check.loader_difference = _difference(
        "Python's loader against the C++ loader",
        python,
        from_examples,
        tolerance,
        check,
    )
    return from_examples


def _warmup_calls(path: Path, check: ServingCheck) -> list[Call]:
    try:
        found = warmup.read_warmup(path)
    except ArtifactError as error:
        check.problems.append(str(error))
        return []
    if not found:
        check.problems.append(f"{warmup.WARMUP_FILE} is missing, or holds no request")
    return [Call(request.signature, request.inputs) for request in found]


def _check_warmup(
    calls: Sequence[Call],
    results: Sequence[CallResult],
    signatures: Mapping[str, Any],
    check: ServingCheck,
) -> None:
    for call, result in zip(calls, results, strict=True):
        if result.error:
            check.problems.append(
                f"a warm-up request of {call.signature!r} fails: {result.error}"
            )
        else:
            check.warmup_requests += 1
    cold = sorted(set(signatures) - {call.signature for call in calls})
    if calls and cold:
        check.problems.append(f"no warm-up request for {', '.join(cold)}")


def check_servable(
    model_dir: str | Path,
    serialized: Sequence[bytes],
    expected: Sequence[float] | np.ndarray | None = None,
    latency_budget_ms: float | None = None,
    *,
    tolerance: float = TOLERANCE,
    timeout: float = 300,
    required: Sequence[str] = (EXAMPLES, DENSE),
) -> ServingCheck:
    """Checks that a SavedModel serves as it was trained.

    It must load in TensorFlow's C++ loader, in a process without Python's TensorFlow;
    hold no Python operation; give the same scores from the Python and the C++ loader,
    and from `serving_default` (serialized examples) and `predict` (dense inputs);
    replay its warm-up requests, at least one a signature. Where it has them, `classify`
    and `regress` must give the same scores, and the shares of `explain` sum to the
    score's difference from its reference.

    Args:
        model_dir: a version folder, or the folder of versions (the highest is taken).
        serialized: labelled examples to score, 1 or more.
        expected: scores that the trained model gave for them, in the same order.
        latency_budget_ms: the 99th percentile of one member's `predict` must not
            exceed it; None only measures.
        tolerance: largest difference between scores that must agree.
        timeout: seconds for the C++ loader's process.
        required: signatures that it must have.

    Returns:
        What was found. A model that fails is no error: its `problems` say why.

    Raises:
        ArtifactError: no SavedModel there at all, or no records to score.
    """
    path = resolve_version(model_dir)
    if not serialized:
        raise ArtifactError("no records to check the served model with; give some")
    spec = read_saved_model(path)
    check = ServingCheck(
        model_dir=str(path),
        members=len(serialized),
        signatures=list(spec.signatures),
        tensorflow_version=spec.tensorflow_version,
        python_ops=sorted(op for op in spec.ops if "PyFunc" in op),
    )
    if check.python_ops:
        check.problems.append(
            f"it holds operations that need Python: {', '.join(check.python_ops)}"
        )
    calls = _calls(serialized) if _check_contract(spec, check) else []
    check.problems += [
        f"the signature {name!r} is missing"
        for name in required
        if name not in spec.signatures and name not in (EXAMPLES, DENSE)
    ]
    others = signature_calls(spec.signatures, serialized)
    replays = _warmup_calls(path, check)
    try:
        report = run_in_cpp_loader(path, [*calls, *others, *replays], timeout=timeout)
    except ArtifactError as error:
        check.problems.append(str(error))
        return check
    check.runtime_version = report.runtime_version
    check.load_seconds = round(report.load_seconds, 3)
    results = report.results
    at = len(calls) + len(others)
    _check_warmup(replays, results[at:], spec.signatures, check)
    scores: np.ndarray | None = None
    if calls:
        scored = results[: len(calls)]
        scores = _check_scores(scored, path, serialized, expected, tolerance, check)
    check.problems += signature_problems(
        others, results[len(calls) : at], scores, tolerance
    )
    slow = check.latency_p99_ms
    if latency_budget_ms is not None and slow is not None and slow > latency_budget_ms:
        check.problems.append(
            f"one member takes {slow:g} ms (99th percentile), the budget is "
            f"{latency_budget_ms:g} ms"
        )
    return check
