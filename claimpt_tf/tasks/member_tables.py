"""Timelines taken apart into the tables that a task's rules join."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from claimpt_tf.codes.categories import CategoryOf
from claimpt_tf.codes.categories import category_of as published
from claimpt_tf.errors import ArtifactError
from claimpt_tf.tasks.criteria import VisitMatch
from claimpt_tf.tasks.match import with_any_code
from claimpt_tf.visits.records import TIMELINE_SCHEMA


class DataEnd(NamedTuple):
    """Until when the data reach; shards' ends merge into the end of all.

    Enrolment often runs ahead of the claims, and claims ahead of enrolment: beyond the
    earlier of the two, an outcome that is missing says nothing.
    """

    enrolled: int | None = None
    visited: int | None = None

    @property
    def day(self) -> int | None:
        """The last day on which both enrolment and visits are known, if any."""
        return min((day for day in self if day is not None), default=None)

    @classmethod
    def of(cls, timelines: pl.DataFrame) -> DataEnd:
        """The end of some members' data."""
        ends = timelines.select(
            pl.col("enrolled_to").list.max().max(),
            pl.col("visit_days").list.max().max(),
        )
        return cls(*ends.row(0))

    def merge(self, other: DataEnd) -> DataEnd:
        """The end of both."""
        return DataEnd(*(_later(a, b) for a, b in zip(self, other, strict=True)))


def _later(a: int | None, b: int | None) -> int | None:
    return max((day for day in (a, b) if day is not None), default=None)


@dataclass(frozen=True)
class MemberTables:
    """Timelines taken apart; `member` and `visit` are row numbers.

    scalars: member, patient_id, sex, birth_days, institution.
    spans: member, start, end (inclusive).
    visits: visit, member, day, end, type, length, codes, cost.
    coded: visit, code.
    category_of: the categories of codes, one each.
    """

    scalars: pl.DataFrame
    spans: pl.DataFrame
    visits: pl.DataFrame
    coded: pl.DataFrame
    category_of: CategoryOf = published

    @classmethod
    def of(
        cls, timelines: pl.DataFrame, category_of: CategoryOf = published
    ) -> MemberTables:
        """Takes a timelines frame apart.

        Raises:
            ArtifactError: a column is missing.
        """
        missing = [name for name in TIMELINE_SCHEMA if name not in timelines.columns]
        if missing:
            raise ArtifactError(
                f"timelines without the column {', '.join(missing)}; these records "
                "are of another kind or version, write them again with ingest"
            )
        numbered = timelines.select(
            pl.int_range(pl.len()).alias("member"),
            *(pl.col(name).cast(dtype) for name, dtype in TIMELINE_SCHEMA.items()),
        )
        spans = numbered.select(
            "member", start="enrolled_from", end="enrolled_to"
        ).explode("start", "end")
        visits = (
            numbered.select(
                "member",
                day="visit_days",
                type="visit_types",
                length="visit_length",
                codes="codes",
                cost="cost",
            )
            .explode("day", "type", "length", "codes", "cost")
            .filter(pl.col("day").is_not_null())
            .with_columns(end=pl.col("day") + pl.col("length"))
            .with_row_index("visit")
        )
        return cls(
            scalars=numbered.select(
                "member", "patient_id", "sex", "birth_days", "institution"
            ),
            spans=spans.filter(pl.col("start").is_not_null()),
            visits=visits,
            coded=visits.select("visit", code="codes")
            .explode("code")
            .filter(pl.col("code").is_not_null()),
            category_of=category_of,
        )

    def matching(self, match: VisitMatch) -> pl.DataFrame:
        """The visits that match, with all their columns."""
        visits = self.visits
        if match.visit_types is not None:
            visits = visits.filter(pl.col("type").is_in(list(match.visit_types)))
        if match.names_codes:
            wanted = match.codes or (), match.categories or ()
            visits = visits.join(
                with_any_code(self.coded, *wanted, self.category_of),
                on="visit",
                how="semi",
            )
        return visits

    def enrolled(
        self, rows: pl.DataFrame, first: pl.Expr, last: pl.Expr
    ) -> pl.DataFrame:
        """Those of the rows whose member is enrolled from `first` to `last`."""
        covered = rows.join(self.spans, on="member").filter(
            pl.col("start") <= first, pl.col("end") >= last
        )
        return rows.join(covered, on="row", how="semi")
