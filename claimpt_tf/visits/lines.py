"""Events -> claim lines, and what becomes of each line before visits are formed.

A line is one input row. It is kept, merged into an identical line, cancelled by a
reversal, dropped as denied, or quarantined; each line has exactly one fate, so the
totals reconcile.
"""

from __future__ import annotations

import polars as pl

from claimpt_tf.visits.members import NO_BIRTH_DATE, NO_ENROLMENT

KEPT = "kept"
DUPLICATE = "duplicate"
REVERSED = "reversed"
DENIED = "denied"
UNMATCHED_REVERSAL = "reversal_without_original"
BEFORE_BIRTH = "before_birth"
NO_DATE = "date_missing"

QUARANTINED = {  # reason: the column at fault
    NO_ENROLMENT: "member",
    NO_BIRTH_DATE: "birth_day",
    NO_DATE: "day",
    BEFORE_BIRTH: "day",
    UNMATCHED_REVERSAL: "amount",
}
FATE = pl.Enum([KEPT, DUPLICATE, REVERSED, DENIED, *QUARANTINED])

_ROW_BITS = 40


def number_lines(events: pl.DataFrame) -> pl.DataFrame:
    """Adds `line_id` to events and puts the events of a line next to each other.

    Args:
      events: EVENT_SCHEMA plus `table`, in any order.

    Returns:
      The events sorted by `line_id` (Int64), which grows with table, file and row.
    """
    key = pl.lit(0, pl.Int64)
    for column in ("table", "source"):
        names = events[column].unique().drop_nulls().sort()
        index = pl.col(column).cast(pl.Enum(names)).to_physical().cast(pl.Int64)
        key = key * max(len(names), 1) + index.fill_null(0)
    numbered = events.with_columns(
        line_id=key * 2**_ROW_BITS + pl.col("row").fill_null(0)
    )
    if numbered["line_id"].is_sorted():
        return numbered.with_columns(pl.col("line_id").set_sorted())
    return numbered.sort("line_id")


def line_table(events: pl.DataFrame) -> pl.DataFrame:
    """One row a claim line, from events in the order of `number_lines`.

    Args:
      events: Numbered events.

    Returns:
      `line_id` and the line's other columns, with `end_day` no earlier than `day`
      and `cents` (Int64), what was paid for it, in place of `amount`. Without a
      claim id a line is a claim of its own.
    """
    where = ["who", "table", "source", "row"]
    once = [*where, "encounter", "claim", "line", "day", "end_day"]
    cents = pl.when(pl.col("amount").is_finite()).then(pl.col("amount") * 100)
    return (
        events.group_by("line_id", maintain_order=True)
        .agg(
            pl.col(*once, "setting", "denied", "institution").first(),
            cents=cents.round().cast(pl.Int64).sum(),
        )
        .with_columns(
            pl.col("claim").fill_null(pl.format("row {}", "line_id")),
            pl.col("line").fill_null(0),
            pl.col("denied").fill_null(False),
            end_day=pl.max_horizontal("day", "end_day"),
        )
    )


def settle(
    lines: pl.DataFrame,
    events: pl.DataFrame,
    people: pl.DataFrame,
    drop_denied: bool,
) -> pl.DataFrame:
    """Decides the fate of each line.

    In this order: lines of members who cannot have a timeline, lines without a date
    or before birth, identical lines, reversals, reversals without an original, and
    denied lines.

    A reversal is a line of the same claim and line number with the negated amount;
    it cancels one original, preferably one with the same codes and dates.

    Args:
      lines: From `line_table`.
      events: The numbered events the lines came from.
      people: From `member_table`; a line's `who` is a row number in it.
      drop_denied: Whether denied lines leave the timeline.

    Returns:
      The lines with `fate` (FATE).
    """
    birth_day, enrolled = (
        people[name].gather(lines["who"]) for name in ("birth_day", "enrolled")
    )
    lines = lines.with_columns(
        fate=pl.when(~enrolled.fill_null(False))
        .then(pl.lit(NO_ENROLMENT, FATE))
        .when(birth_day.is_null())
        .then(pl.lit(NO_BIRTH_DATE, FATE))
        .when(pl.col("day").is_null())
        .then(pl.lit(NO_DATE, FATE))
        .when(pl.col("day") < birth_day)
        .then(pl.lit(BEFORE_BIRTH, FATE))
        .otherwise(pl.lit(KEPT, FATE))
    )
    merged = _merged(_repeated(lines, events))
    lines = lines.join(merged, on="line_id", how="left", maintain_order="left")
    final = (
        pl.when(pl.col("merged").is_not_null())
        .then("merged")
        .when((pl.col("fate") == KEPT) & (pl.col("cents") < 0))
        .then(pl.lit(UNMATCHED_REVERSAL, FATE))
        .when((pl.col("fate") == KEPT) & pl.col("denied") & drop_denied)
        .then(pl.lit(DENIED, FATE))
        .otherwise("fate")
    )
    return lines.with_columns(fate=final).drop("merged")


def line_fates(lines: pl.DataFrame) -> pl.DataFrame:
    """`table`, `source`, `row`, `fate` (reason when quarantined), `column`.

    `column` is the column at fault, null unless quarantined.
    """
    return lines.select(
        "table",
        "source",
        "row",
        pl.col("fate").cast(pl.String),
        column=pl.col("fate")
        .cast(pl.String)
        .replace_strict(QUARANTINED, default=None, return_dtype=pl.String),
    )


def _repeated(lines: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """The kept lines that share claim and line number with another, with codes."""
    kept = lines.filter(pl.col("fate") == KEPT)
    repeated = kept.filter(pl.struct("who", "table", "claim", "line").is_duplicated())
    codes = (
        events.select("line_id", "system", "code")
        .join(repeated.select("line_id"), on="line_id", how="semi")
        .unique()
        .sort("line_id", "system", "code")
        .group_by("line_id", maintain_order=True)
        .agg(codes=pl.concat_str("system", "code", separator=":").str.join(" "))
    )
    return repeated.join(codes, on="line_id", how="left", maintain_order="left")


def _merged(repeated: pl.DataFrame) -> pl.DataFrame:
    """`line_id` and `merged` (FATE) of the duplicates and of reversed pairs."""
    claim_line = ["who", "table", "claim", "line"]
    content = ["codes", "day", "end_day"]
    same = [*claim_line, *content, "cents", "setting", "denied"]
    first = repeated.unique(same, keep="first", maintain_order=True)
    duplicates = repeated.join(first, on="line_id", how="anti").select("line_id")
    paid = first.filter(pl.col("cents") != 0).with_columns(
        size=pl.col("cents").abs(), reversal=pl.col("cents") < 0
    )
    exact = _pairs(paid, [*claim_line, "size", *content])
    left = paid.join(exact, on="line_id", how="anti")
    loose = _pairs(left, [*claim_line, "size"])
    return pl.concat(
        [
            duplicates.with_columns(merged=pl.lit(DUPLICATE, FATE)),
            pl.concat([exact, loose]).with_columns(merged=pl.lit(REVERSED, FATE)),
        ]
    )


def _pairs(paid: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The lines that pair up, payment with reversal, among those of equal `key`."""
    nth = pl.int_range(pl.len()).over(*key, "reversal")
    reversals = pl.col("reversal").sum().over(key)
    pairs = pl.min_horizontal(reversals, pl.len().over(key) - reversals)
    return paid.filter(nth < pairs).select("line_id")
