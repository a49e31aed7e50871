"""Eligibility rows -> one row a member: birth, sex, institution, merged enrolment."""

from __future__ import annotations

import polars as pl

from claimpt_tf.claims.line_checks import UNKNOWN_INSTITUTION

NO_ENROLMENT = "member_without_enrolment"
NO_BIRTH_DATE = "birth_date_missing"
NO_PERSON = "person_missing"
SPAN_REVERSED = "enrolment_ends_before_start"
UNKNOWN_SEX = "U"

_SEXES = ("F", "M")


def member_table(
    members: pl.DataFrame, people: pl.Series, tolerance_days: int
) -> pl.DataFrame:
    """Settles each member's facts and merges their enrolment spans.

    Where rows disagree, the one with the latest enrolment decides. Spans merge when
    at most `tolerance_days` uncovered days lie between them.

    Args:
      members: Rows of MEMBER_SCHEMA, in any order.
      people: The member ids wanted, distinct and sorted.
      tolerance_days: Uncovered days that do not end an enrolment span.

    Returns:
      One row for each of `people`, in that order: `who`, the row's number; `member`;
      `birth_day` Int32 and `institution` String, null when unknown; `sex` F, M or U;
      `enrolled_from` and `enrolled_to` List(Int64), and `enrolled`, whether there is
      any span; `conflict`, whether rows disagree on the birth date; `described`,
      whether any row says more of the member than when they were enrolled.

    Example:
      >>> rows = pl.DataFrame(
      ...     {
      ...         "member": ["a", "a", "a"],
      ...         "birth_day": [9, 9, 9],
      ...         "sex": ["F", "F", "F"],
      ...         "institution": ["x", "x", "x"],
      ...         "enrolled_from": [100, 131, 200],
      ...         "enrolled_to": [130, 150, 210],
      ...     }
      ... )
      >>> member_table(rows, pl.Series(["a"]), 1).select(
      ...     "enrolled_from", "enrolled_to"
      ... ).row(0)
      ([100, 200], [150, 210])
    """
    order = ["member", "enrolled_to", "enrolled_from", "birth_day", "sex"]
    known = (
        members.with_columns(
            described=pl.col("sex").is_not_null() | pl.col("birth_day").is_not_null(),
            sex=pl.when(pl.col("sex").is_in(_SEXES)).then("sex"),
            institution=pl.when(
                ~pl.col("institution").is_in(["", UNKNOWN_INSTITUTION])
            ).then("institution"),
        )
        .sort([*order, "institution"], nulls_last=False)
        .group_by("member", maintain_order=True)
        .agg(
            pl.col("birth_day", "sex", "institution").drop_nulls().last(),
            pl.col("described").any(),
            conflict=pl.col("birth_day").drop_nulls().n_unique() > 1,
        )
    )
    spans = _merged_spans(members, tolerance_days)
    return (
        people.rename("member")
        .to_frame()
        .join(known, on="member", how="left", maintain_order="left")
        .join(spans, on="member", how="left", maintain_order="left")
        .with_columns(
            pl.col("sex").fill_null(UNKNOWN_SEX),
            pl.col("conflict", "described").fill_null(False),
            pl.col("enrolled_from", "enrolled_to").fill_null([]),
        )
        .with_columns(enrolled=pl.col("enrolled_from").list.len() > 0)
        .with_row_index("who")
    )


def enrolment_fates(members: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """What becomes of each eligibility row.

    Args:
      members: Rows of MEMBER_SCHEMA with `table`.
      people: From `member_table`.

    Returns:
      One row an input row: `table`, `source`, `row`; `fate`, "kept" or the reason
      for quarantine; `column`, the column at fault, null when kept.
    """
    column = {
        SPAN_REVERSED: "enrolled_to",
        NO_ENROLMENT: "enrolled_from",
        NO_PERSON: "member",
        NO_BIRTH_DATE: "birth_day",
    }
    return (
        members.join(
            people.select("member", "enrolled", "described", birth="birth_day"),
            on="member",
            how="left",
            maintain_order="left",
        )
        .select(
            "table",
            "source",
            "row",
            fate=pl.when(_ends_before_start())
            .then(pl.lit(SPAN_REVERSED))
            .when(~pl.col("enrolled").fill_null(False))
            .then(pl.lit(NO_ENROLMENT))
            .when(~pl.col("described").fill_null(False))
            .then(pl.lit(NO_PERSON))
            .when(pl.col("birth").is_null())
            .then(pl.lit(NO_BIRTH_DATE))
            .otherwise(pl.lit("kept")),
        )
        .with_columns(
            column=pl.col("fate").replace_strict(
                column, default=None, return_dtype=pl.String
            )
        )
        # A row may hold several spans; it counts once, as kept if any of them is.
        .sort("table", "source", "row", "column", nulls_last=False)
        .unique(["table", "source", "row"], keep="first", maintain_order=True)
    )


def _ends_before_start() -> pl.Expr:
    return (pl.col("enrolled_to") < pl.col("enrolled_from")).fill_null(False)


def _merged_spans(members: pl.DataFrame, tolerance_days: int) -> pl.DataFrame:
    spans = (
        members.filter(
            pl.col("enrolled_from").is_not_null()
            & pl.col("enrolled_to").is_not_null()
            & ~_ends_before_start()
        )
        .select("member", pl.col("enrolled_from", "enrolled_to").cast(pl.Int64))
        .unique()
        .sort("member", "enrolled_from", "enrolled_to")
    )
    covered_to = pl.col("enrolled_to").cum_max().shift().over("member")
    starts = (pl.col("enrolled_from") > covered_to + 1 + tolerance_days).fill_null(True)
    return (
        spans.with_columns(span=starts.cum_sum())
        .group_by("member", "span", maintain_order=True)
        .agg(pl.col("enrolled_from").min(), pl.col("enrolled_to").max())
        .group_by("member", maintain_order=True)
        .agg("enrolled_from", "enrolled_to")
    )
