"""Events -> claim lines, and what becomes of each line before visits are formed.

A line is one input row. It is kept, merged into an identical line, cancelled by a
reversal, dropped as denied, or quarantined; each line has exactly one fate, so the
totals reconcile.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from claimpt_tf.visits.claim_lines import ClaimLines
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


def number_lines(claims: ClaimLines) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Puts the lines in a lasting order, and tells each code its line.

    Args:
      claims: Lines with `table` and `who` (UInt32), in any order.

    Returns:
      The lines by table, file and row: LINE_SCHEMA and `at`, their place in that order
      (UInt32); `line_id` (Int64), unique among all lines of a run; `claim_number`
      (Int64), equal within a claim; `end_day` no earlier than `day`; no nulls in
      `claim`, `line` and `denied` (a line without a claim id is a claim of its own).
      And the codes with `at`, in no order.
    """
    table, source = (_ordered_index(claims.lines[name]) for name in ("table", "source"))
    files = pl.DataFrame({"table": table, "source": source})
    line_id = files.select(
        (pl.col("table") * (pl.col("source").max() + 1) + pl.col("source"))
        * 2**_ROW_BITS
        + claims.lines["row"].fill_null(0)
    ).to_series()
    lines = claims.lines.with_columns(line_id=line_id, table_number=table)
    at = np.repeat(np.arange(lines.height), lines["codes"].to_numpy())
    if not line_id.is_sorted():
        order = np.argsort(line_id.to_numpy(), kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(lines.height)
        lines, at = lines[order], place[at]
    lines = lines.with_columns(
        pl.col("claim").fill_null(pl.format("row {}", "line_id")),
        pl.col("line").fill_null(0),
        pl.col("denied").fill_null(False),
        end_day=pl.max_horizontal("day", "end_day"),
    ).with_row_index("at")
    claim = pl.DataFrame({"claim": _index(lines["claim"])}).hstack(
        lines.select("who", "table_number")
    )
    number = claim.select(
        (pl.col("claim") * (pl.col("who").max().cast(pl.Int64) + 1) + pl.col("who"))
        * (pl.col("table_number").max() + 1)
        + pl.col("table_number")
    ).to_series()
    return (
        lines.drop("table_number").with_columns(claim_number=_index(number)),
        claims.codes.with_columns(at=pl.Series(at, dtype=pl.UInt32)),
    )


def settle(
    lines: pl.DataFrame,
    codes: pl.DataFrame,
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
      lines: From `number_lines`.
      codes: Likewise.
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
    merged = _merged(_repeated(lines, codes))
    lines = lines.join(merged, on="at", how="left", maintain_order="left")
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


def _repeated(lines: pl.DataFrame, codes: pl.DataFrame) -> pl.DataFrame:
    """The kept lines that share claim and line number with another, with codes."""
    kept = lines.filter(pl.col("fate") == KEPT)
    claim_line = pl.col("claim_number") * 2**32 + pl.col("line").cast(pl.Int64)
    repeated = kept.filter(claim_line.is_duplicated())
    wanted = np.zeros(lines.height, dtype=bool)
    wanted[repeated["at"].to_numpy()] = True
    spelt = (
        codes.filter(wanted[codes["at"].to_numpy()])
        .with_columns(pl.col("system", "code").cast(pl.String))
        .unique()
        .sort("at", "system", "code")
        .group_by("at", maintain_order=True)
        .agg(codes=pl.concat_str("system", "code", separator=":").str.join(" "))
    )
    return repeated.drop("codes").join(
        spelt, on="at", how="left", maintain_order="left"
    )


def _merged(repeated: pl.DataFrame) -> pl.DataFrame:
    """`at` and `merged` (FATE) of the duplicates and of reversed pairs."""
    claim_line = ["claim_number", "line"]
    content = ["codes", "day", "end_day"]
    same = [*claim_line, *content, "cents", "setting", "denied"]
    first = repeated.unique(same, keep="first", maintain_order=True)
    duplicates = repeated.join(first, on="at", how="anti").select("at")
    paid = first.filter(pl.col("cents") != 0).with_columns(
        size=pl.col("cents").abs(), reversal=pl.col("cents") < 0
    )
    exact = _pairs(paid, [*claim_line, "size", *content])
    left = paid.join(exact, on="at", how="anti")
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
    return paid.filter(nth < pairs).select("at")


def _index(values: pl.Series) -> pl.Series:
    """A number (Int64) for each distinct value, null being one, in no order."""
    arrow = values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    encoded = arrow.dictionary_encode(null_encoding="encode")
    return pl.Series(encoded.indices, dtype=pl.Int64)


def _ordered_index(values: pl.Series) -> pl.Series:
    """As `_index`, in the order of the few values there are, null first."""
    distinct = values.unique(maintain_order=True)
    rank = distinct.arg_sort(nulls_last=False).arg_sort().cast(pl.Int64)
    return rank.gather(_index(values))
