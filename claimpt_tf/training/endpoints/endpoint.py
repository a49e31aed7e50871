"""An endpoint: the numbers that a head gives for a label, and what they mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf

from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.sources import column

PROBABILITY = "probability_"  # before a class or category in `predictions.parquet`


class Endpoint(ABC):
    """One kind of label; a subclass a kind, `ENDPOINT` of the module of that name.

    Attributes:
      outputs: Numbers that a head gives for a date.
      scale, shift: From the head's numbers, as the loss sees them, to the label's
        units; folded into the head at the end.
    """

    outputs: int
    scale: float = 1.0
    shift: float = 0.0

    @classmethod
    @abstractmethod
    def of(cls, task: Task, train: tf.data.Dataset) -> Endpoint:
        """Made of the task and the training rows whose labels may be used.

        Args:
          task: The question.
          train: Batches of transformed labelled examples.

        Raises:
          TaskError: There is nothing to tell apart.
        """

    @classmethod
    @abstractmethod
    def of_columns(cls, columns: Sequence[str]) -> Endpoint:
        """Made of what a finished run predicts, to predict that of other rows.

        Args:
          columns: Those that `predictions` gave, in their order.
        """

    @abstractmethod
    def targets(self, features: Mapping[str, Any]) -> Any:
        """What the loss needs of the labels, float32 [B, T]; runs in a graph.

        Args:
          features: A batch of transformed labelled examples.
        """

    @abstractmethod
    def loss(self, outputs: Any, targets: Any) -> Any:
        """Loss of each row, float32 [B]; convex in the outputs.

        Args:
          outputs: float32 [B, `outputs`].
          targets: float32 [B, T].
        """

    @abstractmethod
    def predictions(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of `predictions.parquet`, float64 [N] each.

        Args:
          outputs: float [N, `outputs`], in the label's units.
        """

    def labels(self, source: tf.data.Dataset) -> dict[str, pl.Series]:
        """The label's own columns of `predictions.parquet`.

        Args:
          source: Batches of transformed labelled examples.
        """
        return {"label": pl.Series(column(source, "label"), dtype=pl.Int64)}

    def describe(self) -> dict[str, Any]:
        """What `config.json` says of it."""
        return {}
