"""Many categories at once, such as those of the next visit: a logit each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf
from keras import ops
from scipy.special import expit

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.endpoints.endpoint import PROBABILITY, Endpoint


class MultiLabel(Endpoint):
    """A logit for each category that came in a training row.

    Args:
      categories: Their names.
    """

    def __init__(self, categories: Sequence[str]) -> None:
        self.categories, self.outputs = list(categories), len(categories)
        numbers = tf.range(self.outputs, dtype=tf.int32)
        self._place = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(self.categories, numbers), -1
        )

    @classmethod
    def of(cls, task: Task, train: tf.data.Dataset) -> MultiLabel:
        """See `Endpoint.of`; what came in no training row cannot be foreseen."""
        came = _categories(train)
        found = came.explode().drop_nulls().unique().sort().to_list()
        if len(found) < 2:
            raise TaskError(
                f"{len(found)} categories came in {len(came)} training rows: take "
                "more shots, or widen the outcome"
            )
        return cls(found)

    @classmethod
    def of_columns(cls, columns: Sequence[str]) -> MultiLabel:
        """See `Endpoint.of_columns`."""
        return cls([name.removeprefix(PROBABILITY) for name in columns])

    def targets(self, features: Mapping[str, Any]) -> Any:
        """1 for each category that came."""
        came = features["label_categories"]
        places = came.with_values(self._place.lookup(came.values))
        marks = tf.one_hot(places.to_tensor(-1), self.outputs)
        return tf.reduce_sum(marks, axis=1)

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Binary cross-entropy, summed over categories."""
        return ops.sum(ops.softplus(outputs) - targets * outputs, axis=-1)

    def predictions(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """A probability a category."""
        chances = expit(outputs.astype(np.float64))
        return {
            f"{PROBABILITY}{name}": chances[:, n]
            for n, name in enumerate(self.categories)
        }

    def labels(self, source: tf.data.Dataset) -> dict[str, pl.Series]:
        """All categories that came, those that cannot be foreseen among them."""
        return {"label": _categories(source)}

    def describe(self) -> dict[str, Any]:
        """How many categories there are; `predictions.parquet` names them."""
        return {"categories": self.outputs}


def _categories(source: tf.data.Dataset) -> pl.Series:
    rows = [
        [name.decode() for name in row]
        for batch in source
        for row in batch["label_categories"].to_list()
    ]
    return pl.Series(rows, dtype=pl.List(pl.String))


ENDPOINT = MultiLabel
