"""One of several classes: softmax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf
from keras import ops
from scipy.special import softmax

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.endpoints.endpoint import PROBABILITY, Endpoint
from claimpt_tf.training.sources import column


class MultiClass(Endpoint):
    """A logit a class.

    Args:
      classes: Their names, in the order of their numbers.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes, self.outputs = list(classes), len(classes)

    @classmethod
    def of(cls, task: Task, train: tf.data.Dataset) -> MultiClass:
        """See `Endpoint.of`."""
        label = column(train, "label")
        if len(np.unique(label)) < 2:
            raise TaskError(
                f"all {len(label)} training labels are of one class: take more shots, "
                "or label rows of other classes"
            )
        named = task.labels.classes if task.labels else None
        return cls(named or [str(n) for n in range(int(label.max()) + 1)])

    @classmethod
    def of_columns(cls, columns: Sequence[str]) -> MultiClass:
        """See `Endpoint.of_columns`."""
        return cls([name.removeprefix(PROBABILITY) for name in columns])

    def targets(self, features: Mapping[str, Any]) -> Any:
        """The number of the class."""
        return tf.cast(features["label"], tf.float32)[:, None]

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Cross-entropy."""
        number = ops.cast(targets[:, 0], "int32")
        chosen = ops.one_hot(number, self.outputs, dtype=outputs.dtype)
        return ops.logsumexp(outputs, axis=-1) - ops.sum(chosen * outputs, axis=-1)

    def predictions(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """A probability a class."""
        chances = softmax(outputs.astype(np.float64), axis=1)
        return {
            f"{PROBABILITY}{name}": chances[:, n] for n, name in enumerate(self.classes)
        }

    def labels(self, source: tf.data.Dataset) -> dict[str, pl.Series]:
        """The name of the class."""
        names = np.asarray(self.classes, object)[column(source, "label")]
        return {"label": pl.Series(names.tolist(), dtype=pl.String)}

    def describe(self) -> dict[str, Any]:
        """The classes."""
        return {"classes": self.classes}


ENDPOINT = MultiClass
