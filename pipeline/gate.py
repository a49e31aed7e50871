"""The gate before a release, and why a model passed it or did not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow_model_analysis as tfma

from components.release_gate.executor import REASONS_FILE
from components.serving_validator.executor import PROBLEMS_FILE
from pipeline import auroc
from pipeline.configs import RunConfig
from pipeline.lineage import NodeRun

EVERYBODY, BY_SEX = tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=["sex"])


def pushed_to(nodes: Mapping[str, NodeRun]) -> str | None:
    """The version folder that the run pushed, or None."""
    artifact = nodes["Pusher"].outputs["pushed_model"][0]
    properties = artifact.custom_properties
    if not properties["pushed"].int_value:
        return None
    return properties["pushed_destination"].string_value


def reasons_not_pushed(nodes: Mapping[str, NodeRun]) -> list[str]:
    """What the ReleaseGate and the ServingValidator refused, in words."""
    reasons: list[str] = []
    for node, name in (
        ("ReleaseGate", REASONS_FILE),
        ("ServingValidator", PROBLEMS_FILE),
    ):
        with open(os.path.join(nodes[node].uri("blessing"), name)) as file:
            reasons += json.load(file)
    return reasons


def eval_config(config: RunConfig) -> tfma.EvalConfig:
    """What the Evaluator measures, overall and by sex, and the gate.

    Where there is no blessed model yet, the Evaluator leaves the comparison out.

    Args:
      config: Bounds of AUROC and calibration.
    """
    auroc_gates = [
        _within(
            EVERYBODY,
            lower=config.min_auroc,
            drop=config.max_auroc_drop if config.max_auroc_drop < 1 else None,
        )
    ]
    if config.min_group_auroc > 0:
        auroc_gates.append(_within(BY_SEX, lower=config.min_group_auroc))
    calibration = _within(
        EVERYBODY, lower=config.min_calibration, upper=config.max_calibration
    )
    shared = {
        "signature_name": "serving_default",
        "label_key": "label",
        "prediction_key": "probability",
        "model_type": "tf_generic",
    }
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(name=tfma.CANDIDATE_KEY, **shared),
            tfma.ModelSpec(name=tfma.BASELINE_KEY, is_baseline=True, **shared),
        ],
        slicing_specs=[EVERYBODY, BY_SEX],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name="ExampleCount"),
                    tfma.MetricConfig(
                        class_name="Calibration", per_slice_thresholds=[calibration]
                    ),
                    tfma.MetricConfig(
                        class_name=auroc.AUROC.__name__,
                        module=auroc.__name__,
                        config=json.dumps({"fewest": config.min_events}),
                        per_slice_thresholds=auroc_gates,
                    ),
                ]
            )
        ],
    )


def _within(
    where: tfma.SlicingSpec,
    lower: float,
    upper: float | None = None,
    drop: float | None = None,
) -> tfma.PerSliceMetricThreshold:
    bounds: dict[str, Any] = {"lower_bound": {"value": lower}}
    if upper is not None:
        bounds["upper_bound"] = {"value": upper}
    threshold = tfma.MetricThreshold(value_threshold=bounds)
    if drop is not None:
        threshold.change_threshold.absolute.value = -drop
        threshold.change_threshold.direction = tfma.MetricDirection.HIGHER_IS_BETTER
    return tfma.PerSliceMetricThreshold(slicing_specs=[where], threshold=threshold)
