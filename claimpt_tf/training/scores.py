"""Scores of labelled rows, and the table that keeps them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import keras
import numpy as np
import polars as pl
import tensorflow as tf
from scipy.special import expit

from claimpt_tf.training.choices import Limits
from claimpt_tf.training.inputs import as_of

PREDICTIONS_FILE: Final = "predictions.parquet"
RISK: Final = "probability"  # the column of yes-or-no predictions
_BATCH = 256


@dataclass(frozen=True)
class Scored:
    """Rows of a labelled dataset, scored.

    Attributes:
      patient: bytes [N].
      index_day: int [N].
      label: 0 or 1 [N]; of an endpoint its targets, float32 [N, T].
      label_row: int [N], row of the table of labels, or -1.
      logit: float [N]; of an endpoint float [N, K].
      state: float [N, width].
    """

    patient: np.ndarray
    index_day: np.ndarray
    label: np.ndarray
    label_row: np.ndarray
    logit: np.ndarray
    state: np.ndarray


class Scorer:
    """Scores labelled datasets with a model; later weights are followed.

    Args:
      model: A model of `risk_model` or `endpoint_model`.
      limits: Cut of a timeline, as in training.
      targets: An endpoint's targets of a batch; None takes the label as it is.
    """

    def __init__(
        self,
        model: keras.Model,
        limits: Limits,
        targets: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> None:
        self._model, self._limits = model, limits
        self._targets = targets
        self._run: Any = None

    def __call__(self, source: tf.data.Dataset) -> Scored:
        """Every row of a source, in its order.

        Args:
          source: Batches of transformed labelled examples.
        """
        batches = source.unbatch().batch(_BATCH)
        if self._run is None:
            # Of any shape, so that it is traced once.
            self._run = tf.function(
                self._of_batch, input_signature=[batches.element_spec], autograph=False
            )
        parts: dict[str, list[np.ndarray]] = {one.name: [] for one in fields(Scored)}
        for features in batches:
            for name, value in self._run(features).items():
                parts[name].append(value.numpy())
        return Scored(**{name: np.concatenate(some) for name, some in parts.items()})

    def _of_batch(self, features: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        inputs = as_of(features, features["index_day"], self._limits)
        inputs.pop("visit_outcome", None)
        out = self._model(inputs, training=False)
        return {
            "patient": features["patient_id"],
            "index_day": features["index_day"],
            "label": self._targets(features) if self._targets else features["label"],
            "label_row": features["label_row"],
            "logit": out["logit"][:, 0],
            "state": out["state"][:, 0],
        }


def risk_columns(split: str, rows: Scored) -> dict[str, Any]:
    """Probability (Float64) and label (Int8) of rows with yes or no."""
    del split
    return {
        RISK: expit(rows.logit.astype(np.float64)),
        "label": rows.label.astype(np.int8),
    }


def predictions_table(
    splits: Mapping[str, Scored],
    columns: Callable[[str, Scored], Mapping[str, Any]] = risk_columns,
) -> pl.DataFrame:
    """One row a labelled row of every split.

    Args:
      splits: Split name -> its rows.
      columns: Predictions and labels of a split's rows.

    Returns:
      patient_id (hashed), index_date (Date), split, predictions, label and label_row
      (Int64; null where labels came from no table).
    """
    tables = [
        pl.DataFrame(
            {
                "patient_id": [one.decode() for one in rows.patient],
                "index_date": pl.Series(rows.index_day, dtype=pl.Int32).cast(pl.Date),
                "split": [split] * len(rows.patient),
                **columns(split, rows),
                "label_row": rows.label_row.astype(np.int64),
            }
        )
        for split, rows in splits.items()
    ]
    row = pl.col("label_row")
    return pl.concat(tables).with_columns(pl.when(row >= 0).then(row))


def write_parquet(table: pl.DataFrame, path: str) -> None:
    """Writes a table beside, then renames; local or remote."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    with tf.io.gfile.GFile(f"{path}.part", "wb") as file:
        file.write(buffer.getvalue())
    tf.io.gfile.rename(f"{path}.part", path, overwrite=True)
