"""The gate before a release, and why a model passed it or did not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import tensorflow_model_analysis as tfma

from components.serving_validator.executor import PROBLEMS_FILE
from pipeline.lineage import NodeRun


def pushed_to(nodes: Mapping[str, NodeRun]) -> str | None:
    """The version folder that the run pushed, or None."""
    artifact = nodes["Pusher"].outputs["pushed_model"][0]
    properties = artifact.custom_properties
    if not properties["pushed"].int_value:
        return None
    return properties["pushed_destination"].string_value


def reasons_not_pushed(nodes: Mapping[str, NodeRun]) -> list[str]:
    """Failed checks of the Evaluator and the ServingValidator, in words."""
    reasons = []
    evaluation = nodes["Evaluator"].uri("evaluation")
    result = tfma.load_validation_result(evaluation)
    for slice_ in result.metric_validations_per_slice:
        where = " and ".join(
            f"{key.column}={key.bytes_value.decode()}"
            for key in slice_.slice_key.single_slice_keys
        )
        for failure in slice_.failures:
            bound = failure.metric_threshold.value_threshold.lower_bound.value
            value = failure.metric_value.double_value.value
            reasons.append(
                f"{failure.metric_key.name.upper()} {value:.3f} is below the gate's "
                f"{bound:.3f} ({where or 'all test rows'})"
            )
    if not result.validation_ok and not reasons:
        reasons.append("the Evaluator found no metric that it could check")
    problems = os.path.join(nodes["ServingValidator"].uri("blessing"), PROBLEMS_FILE)
    with open(problems) as file:
        return reasons + json.load(file)


def eval_config(min_auroc: float, min_group_auroc: float = 0.0) -> tfma.EvalConfig:
    """What the Evaluator measures, overall and by sex, and the gate.

    Args:
      min_auroc: Lower bound of the AUROC on all test rows.
      min_group_auroc: Lower bound of the AUROC of each sex; 0 sets none.
    """
    gates = [_at_least(min_auroc, tfma.SlicingSpec())]
    if min_group_auroc > 0:
        by_sex = tfma.SlicingSpec(feature_keys=["sex"])
        gates.append(_at_least(min_group_auroc, by_sex))
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="serving_default",
                label_key="label",
                prediction_key="probability",
                model_type="tf_generic",
            )
        ],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=["sex"])],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name="ExampleCount"),
                    tfma.MetricConfig(class_name="Calibration"),
                    # Many thresholds, so that the gate's AUROC is the report's.
                    tfma.MetricConfig(
                        class_name="AUC",
                        config='{"num_thresholds": 10000}',
                        per_slice_thresholds=gates,
                    ),
                ]
            )
        ],
    )


def _at_least(bound: float, where: tfma.SlicingSpec) -> tfma.PerSliceMetricThreshold:
    value = tfma.GenericValueThreshold(lower_bound={"value": bound})
    return tfma.PerSliceMetricThreshold(
        slicing_specs=[where], threshold=tfma.MetricThreshold(value_threshold=value)
    )
