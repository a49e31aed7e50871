"""When an event comes, some rows censored: piecewise exponential hazards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf
from keras import ops

from claimpt_tf.errors import TaskError
from claimpt_tf.models.time import YEAR
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.endpoints.endpoint import Endpoint
from claimpt_tf.training.objectives import HORIZONS, PIECES
from claimpt_tf.training.sources import column

_FOREVER = 36_525


class TimeToEvent(Endpoint):
    """A log-rate a year for each piece of the time after the index date.

    The pieces are those of pre-training's objective of that name. A linear head on
    frozen states is then a Poisson regression with the time at risk as its offset,
    whose likelihood is that of a Cox model with a piecewise constant baseline.
    """

    outputs = len(PIECES)

    @classmethod
    def of(cls, task: Task, train: tf.data.Dataset) -> TimeToEvent:
        """See `Endpoint.of`."""
        seen = column(train, "label")
        if not seen.any():
            raise TaskError(
                f"no event was seen in {len(seen)} training rows: take more shots, or "
                "follow members for longer"
            )
        return cls()

    @classmethod
    def of_columns(cls, columns: Sequence[str]) -> TimeToEvent:
        """See `Endpoint.of_columns`."""
        del columns
        return cls()

    def targets(self, features: Mapping[str, Any]) -> Any:
        """Years at risk in each piece, then 1 in the piece in which the event came."""
        days = tf.maximum(tf.cast(features["label_value"], tf.float32), 0.5)[:, None]
        start = tf.constant(PIECES, tf.float32)
        end = tf.constant((*PIECES[1:], _FOREVER), tf.float32)
        at_risk = tf.clip_by_value(days - start, 0.0, end - start) / YEAR
        here = tf.logical_and(days > start, days <= end)
        came = (
            tf.cast(here, tf.float32) * tf.cast(features["label"], tf.float32)[:, None]
        )
        return tf.concat([at_risk, came], axis=1)

    def loss(self, outputs: Any, targets: Any) -> Any:
        """Negative log-likelihood, nats."""
        at_risk, came = targets[:, : self.outputs], targets[:, self.outputs :]
        return ops.sum(ops.exp(outputs) * at_risk - came * outputs, axis=-1)

    def predictions(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """The risk that the event has come by each of the horizons, in days."""
        rates = np.exp(outputs.astype(np.float64))
        start = np.asarray(PIECES)
        end = np.asarray((*PIECES[1:], _FOREVER))
        found = {}
        for horizon in HORIZONS:
            lived = np.clip(horizon - start, 0, end - start) / YEAR
            found[f"risk_{horizon}d"] = -np.expm1(-rates @ lived)
        return found

    def labels(self, source: tf.data.Dataset) -> dict[str, pl.Series]:
        """Whether the event was seen, and days to it or to the last look."""
        days = column(source, "label_value").astype(np.float64)
        return {
            "label": pl.Series(column(source, "label"), dtype=pl.Int8),
            "label_days": pl.Series(days),
        }

    def describe(self) -> dict[str, Any]:
        """First days of the pieces."""
        return {"pieces": list(PIECES)}


ENDPOINT = TimeToEvent
