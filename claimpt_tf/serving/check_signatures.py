"""Whether explain, embed, classify and regress say what the score says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from claimpt_tf.serving import requests
from claimpt_tf.serving.cpp_loader import Call, CallResult
from claimpt_tf.serving.saved_model import EXPLAIN, SignatureSpec

EMBED, CLASSIFY_NAME, REGRESS_NAME = "embed", "classify", "regress"
ALL = ("serving_default", "predict", EXPLAIN, EMBED, CLASSIFY_NAME, REGRESS_NAME)
_MEMBERS = 8  # an explanation costs a scoring for each visit and code


def signature_calls(
    signatures: Mapping[str, SignatureSpec], serialized: Sequence[bytes]
) -> list[Call]:
    """A call of each of them that a model has, with the first records."""
    some = list(serialized[:_MEMBERS])
    dense = requests.examples_to_predict_inputs(some)
    inputs: dict[str, dict[str, Any]] = {
        EXPLAIN: dense, EMBED: dense,
        CLASSIFY_NAME: {"inputs": some}, REGRESS_NAME: {"inputs": some},
    }  # fmt: skip
    return [Call(name, inputs[name]) for name in inputs if name in signatures]


def signature_problems(
    calls: Sequence[Call],
    results: Sequence[CallResult],
    scores: np.ndarray | None,
    tolerance: float,
) -> Iterator[str]:
    """What is wrong with their answers, one sentence each.

    Args:
        calls: of `signature_calls`.
        results: theirs.
        scores: float [N], of the same records first; None where they failed.
        tolerance: largest difference between numbers that must agree.
    """
    for call, result in zip(calls, results, strict=True):
        name = call.signature
        if result.error:
            yield f"the signature {name!r} fails in C++: {result.error}"
            continue
        out = result.outputs
        try:
            got, sums = _scores_in(name, out)
        except (KeyError, IndexError) as error:
            yield f"the signature {name!r} gives no {error}"
            continue
        if got is not None and scores is not None:
            apart = _largest(got - scores[: len(got)])
            if not apart <= tolerance:
                yield (
                    f"serving_default against {name}: scores differ by up to "
                    f"{apart:.3g}, more than {tolerance:.0e}"
                )
        if sums is not None and not _largest(sums) <= tolerance:
            yield (
                f"explain: shares miss the difference from the reference by up to "
                f"{_largest(sums):.3g}, more than {tolerance:.0e}"
            )


def _scores_in(
    name: str, out: Mapping[str, np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The scores of an answer, and by how much an explanation misses its sum."""
    if name == EMBED:
        return None, np.where(np.isfinite(out["state"]), 0.0, np.inf)
    if name == CLASSIFY_NAME:
        return out["scores"][:, 1], None
    if name == REGRESS_NAME:
        return out["outputs"].ravel(), None
    gained = out["probability"] - out["reference"]
    return out["probability"], out["visit_share"].sum(axis=1) - gained


def _largest(values: np.ndarray) -> float:
    return float(np.max(np.abs(values), initial=0.0))
