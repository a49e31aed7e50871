"""True risks find their rows by hashed id and day."""

from __future__ import annotations

import datetime

import polars as pl
import pytest

from claimpt_tf.claims.privacy import hash_members
from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.truth import best_possible

KEY = b"a key of the tests only"
COLUMN = "asthma_exacerbation_180d"
DAYS = [datetime.date(2021, 1, 1), datetime.date(2021, 2, 1)]
EPOCH = datetime.date(1970, 1, 1)


@pytest.fixture
def table() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "person_id": ["p1", "p1", "p2", "p2"],
            "day": DAYS * 2,
            COLUMN: pl.Series([0.1, 0.2, 0.3, 0.4], dtype=pl.Float32),
            "self_harm_365d": pl.Series([0.0] * 4, dtype=pl.Float32),
        }
    )


def rows(ids: list[str], days: list[datetime.date]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "patient_id": hash_members(pl.Series(ids), KEY),
            "index_day": [(day - EPOCH).days for day in days],
        }
    )


def test_rows_get_their_own_risk_in_their_own_order(table: pl.DataFrame) -> None:
    frame = rows(["p2", "p1", "p2"], [DAYS[1], DAYS[1], DAYS[0]])
    found = best_possible(frame, table, KEY, COLUMN)
    assert found.dtype == pl.Float64
    assert found.to_list() == pytest.approx([0.4, 0.2, 0.3])


def test_risks_may_come_from_a_file(table: pl.DataFrame, tmp_path) -> None:
    path = tmp_path / "true_risk.parquet"
    table.write_parquet(path)
    found = best_possible(rows(["p1"], [DAYS[0]]), path, KEY, COLUMN)
    assert found.to_list() == pytest.approx([0.1])


def test_days_may_be_numbers(table: pl.DataFrame) -> None:
    numbers = table.with_columns(pl.col("day").cast(pl.Int32))
    found = best_possible(rows(["p1"], [DAYS[1]]), numbers, KEY, COLUMN)
    assert found.to_list() == pytest.approx([0.2])


def test_unknown_members_and_days_are_null(table: pl.DataFrame) -> None:
    frame = rows(["p9", "p1", "p1"], [DAYS[0], datetime.date(2021, 1, 2), DAYS[0]])
    assert best_possible(frame, table, KEY, COLUMN).to_list() == [
        None,
        None,
        pytest.approx(0.1),
    ]
    assert (
        best_possible(frame, table, b"another key altogether", COLUMN).is_null().all()
    )


def test_what_is_missing_is_named(table: pl.DataFrame, tmp_path) -> None:
    frame = rows(["p1"], [DAYS[0]])
    with pytest.raises(ArtifactError, match="column asthma_30d is missing; the table"):
        best_possible(frame, table, KEY, "asthma_30d")
    with pytest.raises(ArtifactError, match="no such file"):
        best_possible(frame, tmp_path / "none.parquet", KEY, COLUMN)
    with pytest.raises(ArtifactError, match="two risks for the same day"):
        best_possible(frame, pl.concat([table, table]), KEY, COLUMN)
