"""Rows that could not be used as they are: written down, counted, shown."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.table import Table

from claimpt_tf.claims.events import QUARANTINE_SCHEMA


@dataclass(frozen=True)
class Reason:
    """Why a row stands in quarantine.

    Attributes:
      text: For a person.
      dropped: Whether the row was left out; a row may also be used with a cell of it
        left empty, and is then only noted.
      fault: Whether something is wrong with the row; some rows are left out by rule.
    """

    text: str
    dropped: bool = True
    fault: bool = True


REASONS: Mapping[str, Reason] = {
    "row_malformed": Reason("another number of fields than the header"),
    "member_missing": Reason("no member id"),
    "date_missing": Reason("no date of service or enrolment"),
    "date_unparsable": Reason("a date in no known spelling"),
    "date_in_future": Reason("a date after today"),
    "end_before_start": Reason("ends before it starts"),
    "code_missing": Reason("no code"),
    "months_unparsable": Reason("covered months are not a number from 0 to 12"),
    "not_covered": Reason("not insured in that time", fault=False),
    "amount_unparsable": Reason(
        "an amount that is no number or absurd, read as 0", False
    ),
    "amount_negative": Reason("paid less than nothing, read as 0", False, False),
    "birth_unparsable": Reason("a birth date in no known spelling, left out", False),
    "birth_in_future": Reason("a birth date after today, left out", False),
    "claim_missing": Reason("no claim id, kept as a claim of its own", False),
    "end_open": Reason("coverage without an end, read as until today", False, False),
    # Found when lines become visits:
    "before_birth": Reason("a service before the member's birth"),
    "member_without_enrolment": Reason("the member has no enrolment"),
    "birth_date_missing": Reason("the member has no birth date"),
    "person_missing": Reason("enrolment of who is in no table of persons", fault=False),
    "enrolment_ends_before_start": Reason("enrolment ends before it starts"),
    "reversal_without_original": Reason("takes back a payment that is not there"),
    # Found in a table of labels:
    "label_missing": Reason("no label"),
    "label_unparsable": Reason("a label of another kind than the others"),
    "days_unparsable": Reason("days to the event that are no number of 0 or more"),
    "split_missing": Reason("no split, though other rows have one"),
    "label_repeated": Reason("the same member, date and label again", fault=False),
    "labels_disagree": Reason("rows of one member and date have different labels"),
    "member_unknown": Reason("the member is not in the records", fault=False),
}


def quarantine_rows(
    rows: pl.Series, source: str, table: str, reason: str, column: str | None = None
) -> pl.DataFrame:
    """A quarantine frame of rows that share a reason.

    Args:
      rows: Int64, 1-based data rows.
      source: The file they stand in.
      table: The table the file holds.
      reason: A key of `REASONS`.
      column: The column at fault.

    Returns:
      Follows QUARANTINE_SCHEMA.
    """
    return pl.DataFrame({"row": rows.cast(pl.Int64)}).select(
        pl.lit(source, dtype=pl.String).alias("source"),
        "row",
        pl.lit(table, dtype=pl.String).alias("table"),
        pl.lit(reason, dtype=pl.String).alias("reason"),
        pl.lit(column, dtype=pl.String).alias("column"),
    )


def is_dropped(reason: str) -> bool:
    """Whether rows with this reason were left out; an unknown reason means yes."""
    return REASONS[reason].dropped if reason in REASONS else True


def dropped_rows(quarantined: pl.DataFrame) -> pl.DataFrame:
    """Those of QUARANTINE_SCHEMA whose row was left out, notes apart.

    `lines` of a chunk minus these are the lines that were used.
    """
    notes = [reason for reason, meaning in REASONS.items() if not meaning.dropped]
    return quarantined.filter(~pl.col("reason").is_in(notes))


def count_reasons(frames: Iterable[pl.DataFrame]) -> dict[tuple[str, str], int]:
    """Rows by (table, reason), most first.

    Args:
      frames: Each follows QUARANTINE_SCHEMA.
    """
    counts = [frame.group_by("table", "reason").len() for frame in frames]
    if not counts:
        return {}
    total = pl.concat(counts).group_by("table", "reason").agg(pl.col("len").sum())
    total = total.sort("len", "table", "reason", descending=[True, False, False])
    return {(table, reason): count for table, reason, count in total.iter_rows()}


def reasons_table(counts: Mapping[tuple[str, str], int]) -> Table:
    """Counts from `count_reasons` as a table for the screen."""
    table = Table("table", "rows", "what became of them", "why", title="Quarantine")
    for (name, reason), count in counts.items():
        meaning = REASONS.get(reason, Reason(reason))
        fate = "left out" if meaning.dropped else "used"
        table.add_row(name, f"{count:,}", fate, f"{meaning.text} ({reason})")
    return table


def write_quarantine(quarantined: pl.DataFrame, folder: str, shard: str) -> Path | None:
    """Write one shard, `quarantine-<shard>.parquet`; nothing when there are no rows.

    Args:
      quarantined: Follows QUARANTINE_SCHEMA.
      folder: Made when missing.
      shard: Unique among the writers, such as `00003-of-00008`.

    Returns:
      The file, or None.
    """
    if quarantined.is_empty():
        return None
    path = Path(folder) / f"quarantine-{shard}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    quarantined.match_to_schema(QUARANTINE_SCHEMA).write_parquet(draft)
    draft.replace(path)
    return path
