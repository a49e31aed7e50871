"""The answers: whether the outcome happened, what came next, or what a table says.

Everything here looks beyond the index date; nothing of it reaches an input.
"""

from __future__ import annotations

import polars as pl

from claimpt_tf.tasks.match import matching_codes
from claimpt_tf.tasks.member_tables import MemberTables
from claimpt_tf.tasks.outcome_spec import Definition, Outcome
from claimpt_tf.visits.ids import NO_LABEL_ROW

LABEL_COLUMNS: dict[str, pl.DataType] = {
    "label": pl.Int64(),
    "label_value": pl.Float32(),
    "label_categories": pl.List(pl.String()),
    "label_row": pl.Int64(),
}


def occurrences(outcome: Outcome, members: MemberTables) -> pl.DataFrame:
    """Visits at which the outcome occurs, with their cost (Float64, 0 if unknown)."""
    visits = members.matching(outcome)
    return visits.with_columns(pl.col("cost").cast(pl.Float64).fill_null(0.0))


def event_labels(
    asked: Definition, members: MemberTables, rows: pl.DataFrame
) -> pl.DataFrame:
    """The rows with label 1 where the outcome happens in the window, else 0.

    Args:
        asked: an outcome of kind event, and its window.
        members: the members.
        rows: row, member, index_day.

    Returns:
        The rows with LABEL_COLUMNS, ordered by row.
    """
    outcome, first = asked.outcome, pl.col("index_day") + asked.gap_days + 1
    last = pl.col("index_day") + asked.gap_days + asked.window_days
    window = rows.join(
        occurrences(outcome, members).select("member", "day", "cost"), on="member"
    ).filter(pl.col("day").is_between(first, last))
    happened = window.group_by("row").agg(
        pl.col("day").n_unique(), pl.col("cost").sum()
    )
    if outcome.min_cost is not None:
        happened = happened.filter(pl.col("cost") >= outcome.min_cost)
    else:
        happened = happened.filter(pl.col("day") >= outcome.min_count)
    positive = happened.select("row", label=pl.lit(1, pl.Int64))
    labelled = rows.join(positive, on="row", how="left")
    return with_label_columns(labelled.with_columns(pl.col("label").fill_null(0)))


def next_visit_labels(
    asked: Definition, members: MemberTables, rows: pl.DataFrame
) -> pl.DataFrame:
    """The rows that have a next visit, with the categories of its codes.

    All visits that begin on the first such day of the window count as one.

    Args:
        asked: an outcome of kind next_visit, and its window.
        members: the members.
        rows: row, member, index_day.

    Returns:
        Those of the rows with LABEL_COLUMNS, ordered by row: label 1, and
        label_categories distinct and sorted.
    """
    coded = _relevant_codes(asked.outcome, members)
    first = pl.col("index_day") + asked.gap_days + 1
    found = (
        rows.with_columns(day=first)
        .sort("day")
        .join_asof(
            coded.select("member", next_day="day").unique().sort("next_day"),
            left_on="day",
            right_on="next_day",
            by="member",
            strategy="forward",
            check_sortedness=False,  # cannot be done by member, and is so
        )
        .filter(pl.col("next_day") < pl.col("day") + asked.window_days)
    )
    named = (
        found.join(coded, left_on=["member", "next_day"], right_on=["member", "day"])
        .group_by("row")
        .agg(label_categories=pl.col("category").unique().sort())
    )
    labelled = rows.join(named, on="row").with_columns(label=pl.lit(1, pl.Int64))
    return with_label_columns(labelled)


def in_gap(
    asked: Definition, members: MemberTables, rows: pl.DataFrame
) -> pl.DataFrame:
    """Those of the rows whose outcome begins in the days between index and window."""
    after = pl.col("day") - pl.col("index_day")
    days = occurrences(asked.outcome, members).select("member", "day")
    early = rows.join(days, on="member").filter(after > 0, after <= asked.gap_days)
    return rows.join(early, on="row", how="semi")


def with_label_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Fills in those of LABEL_COLUMNS that the kind of label does not use.

    `label_value` is then the label as a number.
    """
    unused = {
        "label_value": pl.col("label"),
        "label_categories": pl.lit([]),
        "label_row": pl.lit(NO_LABEL_ROW),
    }
    return rows.with_columns(
        (pl.col(name) if name in rows.columns else unused[name]).cast(dtype).alias(name)
        for name, dtype in LABEL_COLUMNS.items()
    ).sort("row")


def _relevant_codes(outcome: Outcome, members: MemberTables) -> pl.DataFrame:
    """member, day, category: of each code that counts, at visits that match."""
    distinct = members.coded["code"].unique()
    if outcome.names_codes:
        distinct = matching_codes(
            distinct,
            outcome.codes or (),
            outcome.categories or (),
            members.category_of,
        )
    names = pl.DataFrame(
        {"code": distinct, "category": members.category_of(distinct.to_list())},
        schema={"code": pl.String, "category": pl.String},
    )
    visits = members.matching(outcome).select("visit", "member", "day")
    return (
        visits.join(members.coded, on="visit")
        .join(names, on="code")
        .select("member", "day", "category")
        .unique()
    )
