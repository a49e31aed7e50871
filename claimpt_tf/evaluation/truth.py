"""The best possible score on simulated members: their true risk.

The simulator knows each member's hidden state and so the probability of an outcome
after each index date. No model that sees claims alone can rank better on average, so
its AUROC is the bound that a report prints.
"""

from __future__ import annotations

import os

import polars as pl

from claimpt_tf.claims.privacy import hash_members
from claimpt_tf.errors import ArtifactError

BEST = "best possible"  # what tables and plots call it
PERSON, DAY = "person_id", "day"


def best_possible(
    frame: pl.DataFrame,
    true_risk: pl.DataFrame | str | os.PathLike[str],
    key: bytes,
    column: str,
) -> pl.Series:
    """The true risk of each labelled row.

    Args:
        frame: labelled examples (patient_id hashed, index_day), any order.
        true_risk: the simulator's table or its Parquet file: `person_id` (raw id),
            `day` (days since 1970-01-01, or a date), and one column an outcome and
            window, named `<outcome>_<days>d`.
        key: what member ids were hashed with.
        column: which risk, for example `asthma_180d`.

    Returns:
        Float64 in the frame's order, named `column`; null where the table has no
        risk for that member and day.

    Raises:
        ArtifactError: the table lacks a column, or has a member's day twice.
    """
    table = _read(true_risk, column, frame)
    found = table.with_columns(patient_id=hash_members(table[PERSON], key))
    if found.select("patient_id", DAY).is_duplicated().any():
        raise ArtifactError("true risks: a member has two risks for the same day")
    wanted = frame.select("patient_id", pl.col("index_day").cast(pl.Int64).alias(DAY))
    joined = wanted.join(
        found.select("patient_id", DAY, column),
        on=["patient_id", DAY],
        how="left",
        maintain_order="left",
    )
    return joined[column].cast(pl.Float64)


def _read(
    true_risk: pl.DataFrame | str | os.PathLike[str], column: str, frame: pl.DataFrame
) -> pl.DataFrame:
    """The columns of interest on the frame's days; days as Int64."""
    if isinstance(true_risk, pl.DataFrame):
        name, lazy = "true risks", true_risk.lazy()
    else:
        name = os.fspath(true_risk)
        if not os.path.exists(name):
            raise ArtifactError(f"{name}: no such file; simulate again to get it")
        lazy = pl.scan_parquet(name)
    columns = lazy.collect_schema().names()
    missing = [one for one in (PERSON, DAY, column) if one not in columns]
    if missing:
        raise ArtifactError(
            f"{name}: column {', '.join(missing)} is missing; "
            f"the table has {', '.join(columns)}"
        )
    days = frame["index_day"].unique().cast(pl.Int64).to_list()
    return (
        lazy.select(pl.col(PERSON).cast(pl.String), pl.col(DAY).cast(pl.Int64), column)
        .filter(pl.col(DAY).is_in(days))
        .collect()
    )
