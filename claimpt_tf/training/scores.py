"""Scores of labelled rows, and the table that keeps them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import keras
import numpy as np
import polars as pl
import tensorflow as tf

from claimpt_tf.training.batches import labelled_batches
from claimpt_tf.training.choices import Limits

PREDICTIONS_FILE: Final = "predictions.parquet"
_BATCH = 256


@dataclass(frozen=True)
class Scored:
    """Rows of a labelled dataset, scored.

    Attributes:
      patient: bytes [N].
      index_day: int [N].
      label: 0 or 1 [N].
      label_row: int [N], row of the table of labels, or -1.
      logit: float [N].
      state: float [N, width].
    """

    patient: np.ndarray
    index_day: np.ndarray
    label: np.ndarray
    label_row: np.ndarray
    logit: np.ndarray
    state: np.ndarray

    def where(self, chosen: np.ndarray) -> Scored:
        """The rows that `chosen`, bool [N], marks."""
        return Scored(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


def score(model: keras.Model, source: tf.data.Dataset, limits: Limits) -> Scored:
    """Scores every row of a labelled dataset, in its order.

    Args:
      model: A model of `risk_model`.
      source: Batches of transformed labelled examples.
      limits: Cut of a timeline, as in training.
    """
    parts: dict[str, list[np.ndarray]] = {field.name: [] for field in fields(Scored)}
    run = tf.function(
        lambda inputs: model(inputs, training=False),
        input_signature=[_signature(model)],
    )
    for inputs, label, patient in labelled_batches(
        source, batch_size=_BATCH, limits=limits
    ):
        out = run(inputs)
        parts["patient"].append(patient.numpy())
        parts["index_day"].append(inputs["query_day"][:, 0].numpy())
        parts["label"].append(label[:, 0].numpy().astype(int))
        parts["logit"].append(out["logit"][:, 0].numpy())
        parts["state"].append(out["state"][:, 0].numpy())
    rows = np.concatenate([batch["label_row"].numpy() for batch in source])
    parts["label_row"].append(rows)
    return Scored(**{name: np.concatenate(some) for name, some in parts.items()})


def predictions_table(splits: Mapping[str, Scored]) -> pl.DataFrame:
    """One row a labelled row of every split.

    Args:
      splits: Split name -> its rows.

    Returns:
      patient_id (hashed), index_date (Date), split, probability (Float64), label
      (Int8) and label_row (Int64; null where labels came from no table).
    """
    tables = [
        pl.DataFrame(
            {
                "patient_id": [one.decode() for one in rows.patient],
                "index_date": pl.Series(rows.index_day, dtype=pl.Int32).cast(pl.Date),
                "split": [split] * len(rows.label),
                "probability": 1 / (1 + np.exp(-rows.logit.astype(np.float64))),
                "label": rows.label.astype(np.int8),
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


def _signature(model: keras.Model) -> dict[str, Any]:
    """Fully dynamic shapes, so that a model is traced once."""
    return {
        name: tf.TensorSpec(tensor.shape, tensor.dtype)
        for name, tensor in model.input.items()
    }
