"""k-shot subsets of labelled rows: nested in k, drawn by member, the same for a seed.

Learning curves in the way of EHRSHOT (Wornow et al., NeurIPS 2023): the subset of
k shots is part of that of every larger k, and several seeds are replicates.
"""

from __future__ import annotations

import polars as pl

from claimpt_tf.tasks.draws import ranks

EHRSHOT_SHOTS = (8, 16, 32, 64, 128)


def shots(
    labelled: pl.DataFrame,
    k: int,
    seed: int,
    *,
    balanced: bool = False,
    one_row: bool = False,
    each_class: int = 1,
) -> pl.Series:
    """Which rows a study with k labels would have.

    Args:
        labelled: patient_id, index_day and label (whole numbers, or all zero where
            labels have no classes) of the rows to choose from, a training split's.
        k: unbalanced, the number of members; balanced, of members *of each class*,
            one row each, as in EHRSHOT.
        seed: of the draw; each seed is a replicate.
        balanced: draw k members of each class rather than k as they come.
        one_row: unbalanced, keep one random row of each member, not all of them.
        each_class: unbalanced, so many members of each class are drawn first, so that
            there is something to learn from however rare the outcome is; 0 draws
            blindly. A member is of the rarest class among their rows.

    Returns:
        Boolean `chosen`, one for each row, in the same order. A subset is contained in
        that of every larger k with the same seed and choices; with k beyond what there
        is, all members are drawn.

    Raises:
        ValueError: k is not positive, or `labelled` lacks a column.

    >>> rows = pl.DataFrame(
    ...     {
    ...         "patient_id": ["a", "a", "b", "c"],
    ...         "index_day": [1, 2, 1, 1],
    ...         "label": [0, 1, 0, 0],
    ...     }
    ... )
    >>> rows.filter(shots(rows, 2, seed=0))["patient_id"].n_unique()
    2
    >>> shots(rows, 1, seed=0, balanced=True).sum()
    2
    """
    if k < 1:
        raise ValueError(f"{k} shots: give at least 1")
    columns = ("patient_id", "index_day", "label")
    if missing := [name for name in columns if name not in labelled.columns]:
        raise ValueError(f"labelled rows lack the column {', '.join(missing)}")
    rows = labelled.select(columns).with_row_index("row")
    members = _members(rows, seed)
    if balanced:
        drawn = members.filter(pl.col("place_in_class") < k)
    else:
        first = pl.col("place_in_class") >= each_class
        drawn = members.sort(first, "member_rank", "patient_id").head(k)
    if balanced or one_row:
        kept = drawn["picked"]
    else:
        kept = rows.join(drawn, on="patient_id", how="semi")["row"]
    return rows["row"].is_in(kept.implode()).alias("chosen")


def _members(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """patient_id, member_rank, picked (a row of theirs) and place_in_class of each."""
    size = rows.group_by("label").agg(in_class=pl.col("patient_id").n_unique())
    pairs = rows.select("patient_id", "index_day").iter_rows()
    row_rank = ranks(f"row|{seed}|{one}|{day}" for one, day in pairs)
    members = (
        rows.with_columns(row_rank.alias("row_rank"))
        .join(size, on="label")
        .sort("in_class", "label", "row_rank", "row")
        .group_by("patient_id")
        .agg(label=pl.col("label").first(), picked=pl.col("row").first())
        .sort("patient_id")
    )
    drawn = ranks(f"member|{seed}|{one}" for one in members["patient_id"])
    order = pl.col("member_rank").rank("ordinal").over("label") - 1
    return members.with_columns(drawn.alias("member_rank")).with_columns(
        place_in_class=order.cast(pl.Int64)
    )
