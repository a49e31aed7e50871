"""A number, such as next year's cost: squared error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.endpoints.endpoint import Endpoint
from claimpt_tf.training.sources import column


class Regression(Endpoint):
    """One number, learned in standard deviations from the training rows' mean.

    Args:
      mean: Of the training labels.
      spread: Their standard deviation, above 0.
    """

    def __init__(self, mean: float, spread: float) -> None:
        self.outputs, self.shift, self.scale = 1, mean, spread

    @classmethod
    def of(cls, task: Task, train: tf.data.Dataset) -> Regression:
        """See `Endpoint.of`."""
        values = column(train, "label_value").astype(np.float64)
        if len(values) < 2 or values.std() == 0:
            raise TaskError(
                f"all {len(values)} training labels are the same number: take more "
                "shots, or label rows that differ"
            )
        return cls(float(values.mean()), float(values.std()))

    @classmethod
    def of_columns(cls, columns: Sequence[str]) -> Regression:
        """See `Endpoint.of_columns`; a finished head is in the label's units."""
        del columns
        return cls(0.0, 1.0)

    def targets(self, features: Mapping[str, Any]) -> Any:
        """The number in standard deviations."""
        return ((features["label_value"] - self.shift) / self.scale)[:, None]

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Half the squared error."""
        return ((outputs - targets) ** 2)[:, 0] / 2

    def predictions(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """The number."""
        return {"prediction": outputs[:, 0].astype(np.float64)}

    def labels(self, source: tf.data.Dataset) -> dict[str, pl.Series]:
        """The number that came."""
        values = column(source, "label_value").astype(np.float64)
        return {"label": pl.Series(values)}


ENDPOINT = Regression
