"""`predictions.parquet`: who was scored when, by which model, and what came."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.errors import ArtifactError
from claimpt_tf.visits.ids import NO_LABEL_ROW

COLUMNS: Final = (
    "patient_id",
    "index_date",
    "split",
    "probability",
    "label",
    "label_row",
)


def predictions_frame(
    predictions: Mapping[str, ArrayLike],
    frame: pl.DataFrame,
    split: str | pl.Series,
    main: str | None = None,
) -> pl.DataFrame:
    """One row a labelled example, in the frame's order.

    Args:
        predictions: model -> probabilities, shape (rows,).
        frame: labelled examples.
        split: the split of all rows, or of each.
        main: the model whose score `probability` repeats; by default the first.

    Returns:
        patient_id (hashed), index_date (Date), split, probability (of `main`), label,
        label_row where the labels came from a table, then one Float64 column a model.

    Raises:
        ArtifactError: a model's name is a column's, or scores do not fit the rows.
    """
    if main is None:
        main = next(iter(predictions), "")
    if main not in predictions:
        raise ArtifactError(f"main model '{main}' has no scores")
    clash = [model for model in predictions if model in COLUMNS]
    if clash:
        raise ArtifactError(f"a model cannot be named {', '.join(clash)}; rename it")
    scores = {}
    for model, given in predictions.items():
        column = pl.Series(model, np.asarray(given, dtype=np.float64))
        if len(column) != frame.height:
            raise ArtifactError(
                f"{model}: {len(column)} scores for {frame.height} rows; score all"
            )
        scores[model] = column
    splits = pl.lit(split) if isinstance(split, str) else split
    return frame.select(
        "patient_id",
        index_date=pl.col("index_day").cast(pl.Int32).cast(pl.Date),
        split=splits,
        probability=scores[main],
        label=pl.col("label").cast(pl.Int8),
        **_table_row(frame),
        **scores,
    )


def _table_row(frame: pl.DataFrame) -> dict[str, pl.Series]:
    """The rows of the table of labels, if that is where the labels came from."""
    rows = frame.get_column("label_row", default=None)
    if rows is None or (rows == NO_LABEL_ROW).all():
        return {}
    return {"label_row": rows}


def write_predictions(
    path: str | os.PathLike[str],
    predictions: Mapping[str, ArrayLike],
    frame: pl.DataFrame,
    split: str | pl.Series,
    main: str | None = None,
) -> None:
    """Writes `predictions_frame` as Parquet, complete or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        predictions_frame(predictions, frame, split, main).write_parquet(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
