"""predictions.parquet's columns."""

from __future__ import annotations

import polars as pl
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.predictions import predictions_frame

FRAME = pl.DataFrame(
    {
        "patient_id": ["a", "b"],
        "index_day": [19_000, 19_001],
        "label": [0, 1],
        "label_row": [7, 3],
    }
)


def test_rows_of_a_table_of_labels_are_carried() -> None:
    found = predictions_frame({"net": [0.2, 0.9]}, FRAME, "test")
    assert found["label_row"].to_list() == [7, 3]
    assert found.columns[-1] == "net"


def test_without_a_table_there_is_no_such_column() -> None:
    for frame in (FRAME.drop("label_row"), FRAME.with_columns(label_row=-1)):
        found = predictions_frame({"net": [0.2, 0.9]}, frame, "test")
        assert "label_row" not in found.columns


def test_a_model_cannot_be_named_like_a_column() -> None:
    with pytest.raises(ArtifactError, match="cannot be named label_row"):
        predictions_frame({"label_row": [0.2, 0.9]}, FRAME, "test")
