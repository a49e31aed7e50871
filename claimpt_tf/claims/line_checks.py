"""Row-level checks shared by the readers: what is left out, what is only noted."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from claimpt_tf.claims import cells
from claimpt_tf.claims.code_rows import CodeColumns, code_rows
from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA, QUARANTINE_SCHEMA
from claimpt_tf.claims.privacy import hash_members
from claimpt_tf.claims.quarantine import quarantine_rows
from claimpt_tf.claims.reader import Chunk

UNKNOWN_INSTITUTION = "unknown"


LARGEST_AMOUNT = 1e12  # cents are whole numbers of 64 bits, and are added up


class LineChecks:
    """Collects, column by column, which rows of a batch cannot be used and why.

    A row is left out for the first reason found; notes about a row that is left out
    are dropped.

    Args:
      table: The table the rows belong to.
      source: The file they stand in.
      lines: The rows, with their number in the file as `row`.
      key: To hash member ids with.
    """

    def __init__(
        self, table: str, source: str, lines: pl.DataFrame, key: bytes
    ) -> None:
        """Start with every row good."""
        self._table = table
        self._source = source
        self._lines = lines
        self._key = key
        self._today = cells.today()
        self._bad = pl.repeat(False, len(lines), dtype=pl.Boolean, eager=True)
        self._quarantined: list[pl.DataFrame] = []
        self._unreadable: dict[str, pl.Series] = {}
        self._notes: list[tuple[pl.Series, str, str]] = []

    @property
    def today(self) -> int:
        """Today as days since 1970-01-01."""
        return self._today

    def drop(self, where: pl.Series, reason: str, column: str) -> None:
        """Leave out the rows where `where` (Boolean, null counts as False) holds."""
        new = where.fill_null(False) & ~self._bad
        if new.any():
            self._quarantined.append(self._rows(new, reason, column))
            self._bad = self._bad | new

    def note(self, where: pl.Series, reason: str, column: str) -> None:
        """Count the rows where `where` holds, and use them."""
        if where.any():
            self._notes.append((where.fill_null(False), reason, column))

    def members(self, ids: pl.Series, column: str) -> pl.Series:
        """Hashed member ids; rows without one are left out."""
        self.drop(ids.is_null(), "member_missing", column)
        return hash_members(ids, self._key).alias("member")

    def days(self, columns: Sequence[str]) -> pl.DataFrame:
        """Int32 days since 1970-01-01 of date columns, null where unreadable."""
        parsed = {}
        for name in columns:
            given = self._lines[name]
            parsed[name] = cells.days(given)
            if parsed[name].null_count() > given.null_count():
                unreadable = parsed[name].is_null() & cells.filled(given)
                if unreadable.any():
                    self._unreadable[name] = unreadable
        return pl.DataFrame(parsed)

    def first_day(self, day: pl.Series, columns: Sequence[str]) -> pl.Series:
        """Leave out the rows where `day`, chosen among `columns`, is null."""
        self._drop_unreadable(day, columns)
        self.drop(day.is_null(), "date_missing", columns[0])
        return day

    def last_day(self, day: pl.Series, columns: Sequence[str]) -> pl.Series:
        """As `first_day`, but a last day may be missing, or lie beyond 2200: none yet.

        Rows are left out only where something was given that cannot be read.
        """
        self._drop_unreadable(day, columns)
        return day.set(day >= cells.FAR_FUTURE_DAY, None)

    def birth_days(self, column: str) -> pl.Series:
        """Birth days; an unreadable or future one is noted and left empty."""
        given = self._lines[column]
        day = cells.days(given)
        if day.null_count() > given.null_count():
            unreadable = day.is_null() & cells.filled(given)
            self.note(unreadable, "birth_unparsable", column)
        self.note(day > self._today, "birth_in_future", column)
        return day.set(day > self._today, None)

    def period(
        self, day: pl.Series, end_day: pl.Series, columns: tuple[str, str]
    ) -> tuple[pl.Series, pl.Series]:
        """First and last days in order and in the past; a missing last day is `day`.

        Args:
          day: Int32, first days.
          end_day: Int32, last days, null where none is given.
          columns: Where they come from, for the reasons.
        """
        end_day = end_day.zip_with(end_day.is_not_null(), day)
        self.drop(day > self._today, "date_in_future", columns[0])
        self.drop(end_day > self._today, "date_in_future", columns[1])
        self.drop(end_day < day, "end_before_start", columns[1])
        return day, end_day

    def span(
        self, start: pl.Series, end: pl.Series, columns: tuple[str, str]
    ) -> tuple[pl.Series, pl.Series]:
        """An enrolment span; one that is open or ends in the future ends today.

        Args:
          start: Int32, from `first_day`.
          end: Int32, from `last_day`; null where it is open.
          columns: Where they come from, for the reasons.
        """
        self.note(end.is_null(), "end_open", columns[1])
        self.drop(start > self._today, "date_in_future", columns[0])
        self.drop(end < start, "end_before_start", columns[1])
        today = pl.lit(self._today, dtype=pl.Int32)
        return start, pl.select(pl.min_horizontal(end, today)).to_series()

    def amounts(self, column: str) -> pl.Series:
        """Float64 amounts, null where missing.

        Unreadable ones, and those that no claim can have, are noted.
        """
        given = self._lines[column]
        number = cells.amounts(given)
        number = number.set(number.abs() > LARGEST_AMOUNT, None)
        if number.null_count() > given.null_count():
            unreadable = number.is_null() & cells.filled(given)
            self.note(unreadable, "amount_unparsable", column)
        return number

    def claim_ids(self, column: str) -> pl.Series:
        """Claim ids; a line without one is noted and becomes a claim of its own."""
        ids = cells.text(self._lines[column])
        if not ids.null_count():
            return ids
        self.note(ids.is_null(), "claim_missing", column)
        own = self._lines.select(pl.format(f"{self._source}#{{}}", "row")).to_series()
        return ids.zip_with(ids.is_not_null(), own)

    def events(self, claim_lines: pl.DataFrame, codes: Sequence[CodeColumns]) -> Chunk:
        """The chunk of a claims table.

        Args:
          claim_lines: One row a row of the batch: the columns of EVENT_SCHEMA but
            `system`, `code`, `source` and `row`; `encounter` only where the source has
            any.
          codes: Which columns of the batch or of `claim_lines` hold codes.
        """
        good = ~self._bad
        kept = claim_lines.with_columns(self._lines["row"]).filter(good)
        named = {name for kind in codes for name in (*kind.columns, kind.system_column)}
        own = sorted(named & set(kept.columns))
        given = self._lines.select("row", *sorted(named & set(self._lines.columns)))
        coded = code_rows(given.filter(good).hstack(kept.select(own)), codes)
        rows = kept.drop(own)[coded["index"]].hstack(coded)
        if "encounter" not in rows.columns:
            rows = rows.with_columns(encounter=pl.lit(None, dtype=pl.String))
        first = pl.col("index") != pl.col("index").shift(1)
        events = rows.with_columns(
            pl.when(first.fill_null(True)).then("amount").otherwise(0.0),
            source=pl.lit(self._source, dtype=pl.String),
        ).select(pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items())
        return self._chunk(events=events)

    def enrolment(self, members: pl.DataFrame) -> Chunk:
        """The chunk of an eligibility table.

        Args:
          members: One row a row of the batch: the columns of MEMBER_SCHEMA but
            `source` and `row`.
        """
        kept = members.with_columns(
            self._lines["row"], source=pl.lit(self._source, dtype=pl.String)
        ).filter(~self._bad)
        return self._chunk(
            members=kept.select(
                pl.col(name).cast(dtype) for name, dtype in MEMBER_SCHEMA.items()
            )
        )

    def _drop_unreadable(self, day: pl.Series, columns: Sequence[str]) -> None:
        for name in columns:
            if name in self._unreadable:
                where = day.is_null() & self._unreadable[name]
                self.drop(where, "date_unparsable", name)

    def _chunk(
        self, events: pl.DataFrame | None = None, members: pl.DataFrame | None = None
    ) -> Chunk:
        notes = [
            self._rows(where & ~self._bad, reason, column)
            for where, reason, column in self._notes
        ]
        return Chunk(
            table=self._table,
            lines=len(self._lines),
            events=events,
            members=members,
            quarantined=pl.concat(
                [QUARANTINE_SCHEMA.to_frame(), *self._quarantined, *notes]
            ),
        )

    def _rows(self, where: pl.Series, reason: str, column: str) -> pl.DataFrame:
        rows = self._lines["row"].filter(where)
        return quarantine_rows(rows, self._source, self._table, reason, column)
