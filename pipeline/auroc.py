"""The report's AUROC as a TFMA metric, so that page and gate agree.

TFMA's own AUC sorts scores into buckets; for rare outcomes it differs in the fourth
digit. This one keeps label and score of each row, 16 bytes in each slice, and ranks.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

from claimpt_tf.evaluation import metrics

Pairs = array  # of float64: label, score, label, score ...


class AUROC(tfma.metrics.Metric):
    """Area under the ROC curve; NaN where it is not estimable.

    Args:
      name: Of the metric.
      fewest: With fewer rows of either class it is not estimable.
    """

    def __init__(self, name: str = "auroc", fewest: int = 2) -> None:
        super().__init__(
            tfma.metrics.merge_per_key_computations(_computations),
            name=name,
            fewest=fewest,
        )


def _computations(
    name: str,
    eval_config: tfma.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    sub_key: Any = None,
    aggregation_type: Any = None,
    class_weights: dict[int, float] | None = None,
    example_weighted: bool = False,
    fewest: int = 2,
) -> list[Any]:
    key = tfma.metrics.MetricKey(
        name=name,
        model_name=model_name,
        output_name=output_name,
        sub_key=sub_key,
        example_weighted=example_weighted,
    )
    combiner = _Ranking(key, eval_config, fewest)
    return [
        tfma.metrics.MetricComputation(
            keys=[key], preprocessors=None, combiner=combiner
        )
    ]


class _Ranking(beam.CombineFn):
    """Gathers labels and scores, and ranks at the end."""

    def __init__(self, key: Any, eval_config: Any, fewest: int) -> None:
        self._key, self._eval_config, self._fewest = key, eval_config, fewest

    def create_accumulator(self) -> Pairs:
        return array("d")

    def add_input(self, accumulator: Pairs, element: Any) -> Pairs:
        for label, score, _ in tfma.metrics.to_label_prediction_example_weight(
            element,
            eval_config=self._eval_config,
            model_name=self._key.model_name,
            output_name=self._key.output_name,
        ):
            accumulator.extend((float(label.item()), float(score.item())))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Pairs]) -> Pairs:
        merged = array("d")
        for pairs in accumulators:
            merged.extend(pairs)
        return merged

    def extract_output(self, accumulator: Pairs) -> dict[Any, float]:
        labels, scores = np.frombuffer(accumulator).reshape(-1, 2).T
        events = int(labels.sum())
        if min(events, len(labels) - events) < self._fewest:
            return {self._key: float("nan")}
        value = metrics.auroc(labels, scores).value
        return {self._key: float("nan") if value is None else value}
