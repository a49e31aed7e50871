"""Why a model may not be released, in words."""

from __future__ import annotations

import math
from typing import Any

import tensorflow_model_analysis as tfma

from claimpt_tf.evaluation.baselines import LIGHTGBM, LOGISTIC
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.evaluate import BASELINE_NAMES, HISTORY_NAME

COUNTS = (BASELINE_NAMES[LOGISTIC], BASELINE_NAMES[LIGHTGBM], HISTORY_NAME)
_TOO_FEW = "too few test rows with or without the outcome"
_NAMES = {"auroc": "AUROC", "calibration": "predicted / observed outcomes"}


def failed_thresholds(result: Any) -> list[str]:
    """What TFMA found below, above or worse than it may be.

    A group whose figure is not estimable, since it has too few outcomes, is not judged.

    Args:
      result: TFMA's ValidationResult.
    """
    reasons = []
    for slice_ in result.metric_validations_per_slice:
        where = " and ".join(
            f"{key.column}={_value(key)}" for key in slice_.slice_key.single_slice_keys
        )
        for failure in slice_.failures:
            told = _told(failure, is_group=bool(where))
            if told:
                reasons.append(f"{told} ({where or 'all test rows'})")
    if not result.validation_ok and not result.metric_validations_per_slice:
        reasons.append("the Evaluator found no metric that it could check")
    return reasons


def behind_counts(found: Comparison, allowed: float = 0.0) -> list[str]:
    """Models on counts that rank better for sure.

    Args:
      found: The report's figures, the model to be released as their reference.
      allowed: A model on counts may be better by so much AUROC; 1 compares nothing.

    Returns:
      A reason for each whose paired interval lies above that, or that cannot be had.
    """
    if allowed >= 1:
        return []
    reasons = []
    for name in (name for name in COUNTS if name in found.differences):
        ahead = found.differences[name]["auroc"]
        if ahead.value is None:
            # How few they are may not be told.
            return [f"AUROC cannot be held against counts: {_TOO_FEW}"]
        if ahead.low is None or ahead.high is None:
            reasons.append(f"AUROC cannot be held against {name}: {ahead.reason}")
        elif ahead.low > allowed:
            bound = f"; {allowed:.3f} is allowed" if allowed else ""
            reasons.append(
                f"AUROC is {ahead.value:.3f} [{ahead.low:.3f}, {ahead.high:.3f}] below "
                f"that of {name}{bound} (all test rows)"
            )
    return reasons


def _told(failure: Any, is_group: bool) -> str | None:
    name = _NAMES.get(failure.metric_key.name, failure.metric_key.name)
    if not failure.HasField("metric_value"):
        return f"{name} could not be computed"
    value = failure.metric_value.double_value.value
    if math.isnan(value):
        return None if is_group else f"{name} is not estimable: {_TOO_FEW}"
    threshold = failure.metric_threshold
    if threshold.HasField("change_threshold"):
        allowed = -threshold.change_threshold.absolute.value
        return (
            f"{name} is {-value:.3f} below the last served model's; "
            f"{allowed:.3f} is allowed"
        )
    bounds = threshold.value_threshold
    if bounds.HasField("lower_bound") and value < bounds.lower_bound.value:
        return f"{name} {value:.3f} is below the gate's {bounds.lower_bound.value:.3f}"
    return f"{name} {value:.3f} is above the gate's {bounds.upper_bound.value:.3f}"


def _value(key: Any) -> str:
    kind = key.WhichOneof("kind")
    value = getattr(key, kind)
    return value.decode() if isinstance(value, bytes) else str(value)


def of_evaluation(folder: str) -> list[str]:
    """`failed_thresholds` of what the Evaluator wrote."""
    return failed_thresholds(tfma.load_validation_result(folder))
