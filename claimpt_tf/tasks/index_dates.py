"""On which days a task asks about a member."""

from __future__ import annotations

import polars as pl

from claimpt_tf.tasks.draws import ranks
from claimpt_tf.tasks.index_spec import (
    BirthdayIndex,
    CalendarIndex,
    EachVisitIndex,
    FirstDiagnosisIndex,
    FixedIndex,
    Index,
)
from claimpt_tf.tasks.member_tables import MemberTables
from claimpt_tf.tasks.spec import Task

_MONTHS = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
_EPOCH_MONTHS = 1970 * 12


def index_days(task: Task, members: MemberTables, end: int | None) -> pl.DataFrame:
    """Every day on which the task's index asks about a member.

    Args:
        task: the task.
        members: the members.
        end: last day of the data; None where there is none, and so no index day.

    Returns:
        row (UInt32, from 0), member, index_day (Int64): distinct, ordered by member and
        day. Enrolment on that day is not checked yet.

    Raises:
        ValueError: the dates stand in a table.
    """
    index = task.index
    if isinstance(index, FixedIndex):
        day = pl.lit(index.date).to_physical().cast(pl.Int64)
        days = members.scalars.select("member", index_day=day)
    elif isinstance(index, CalendarIndex):
        days = _calendar_days(index, _spans_until(members, end))
    elif isinstance(index, BirthdayIndex):
        days = _birthdays(members, _spans_until(members, end))
    elif isinstance(index, EachVisitIndex):
        days = members.matching(index.visit).select("member", index_day="end")
    elif isinstance(index, FirstDiagnosisIndex):
        known = members.matching(index.visit).group_by("member")
        days = known.agg(index_day=pl.col("end").min())
    else:
        raise ValueError("the index dates of a task with labels stand in its table")
    days = within_limits(index, days, end)
    return days.unique().sort("member", "index_day").with_row_index("row")


def within_limits(index: Index, days: pl.DataFrame, end: int | None) -> pl.DataFrame:
    """Those of the days (column `index_day`) that the index and the data allow.

    Args:
        index: has `since` and `until`.
        days: one row a day, with any other columns.
        end: last day of the data; None where there is none, and so no index day.
    """
    days = days.filter(pl.col("index_day") <= pl.lit(end))
    if index.since is not None:
        days = days.filter(_as_date("index_day") >= index.since)
    if index.until is not None:
        days = days.filter(_as_date("index_day") <= index.until)
    return days


def chosen_days(rows: pl.DataFrame, members: MemberTables, task: Task) -> pl.DataFrame:
    """One row a member: the first, the last, or the one whose hash is smallest.

    A hash of member, task and day is the same however the data were cut in shards,
    and another eligible day leaves the ranks of the others as they are.
    """
    if task.index.take == "random":
        named = rows.join(members.scalars, on="member")
        pairs = named.select("patient_id", "index_day").iter_rows()
        drawn = ranks(f"{task.name}|{patient}|{day}" for patient, day in pairs)
        ranked = named.with_columns(drawn)
    else:
        sign = 1 if task.index.take == "first" else -1
        ranked = rows.with_columns(rank=sign * pl.col("index_day"))
    best = ranked.sort("rank", "index_day").unique("member", keep="first")
    return rows.join(best, on="row", how="semi").sort("row")


def age() -> pl.Expr:
    """Completed years on `index_day`, null where `birth_days` is."""
    born, index = _as_date("birth_days"), _as_date("index_day")
    birthday_to_come = (index.dt.month() < born.dt.month()) | (
        (index.dt.month() == born.dt.month()) & (index.dt.day() < born.dt.day())
    )
    return index.dt.year() - born.dt.year() - birthday_to_come.cast(pl.Int32)


def _spans_until(members: MemberTables, end: int | None) -> pl.DataFrame:
    """Spans cut at the data's end: an open one may run to the year 9999."""
    cut = members.spans.with_columns(pl.min_horizontal("end", pl.lit(end)))
    return cut.filter(pl.col("start") <= pl.col("end"))


def _calendar_days(index: CalendarIndex, spans: pl.DataFrame) -> pl.DataFrame:
    months = _MONTHS[index.every]
    first = _month("start") // months * months
    periods = spans.with_columns(
        month=pl.int_ranges(first, _month("end") + 1, months)
    ).explode("month")
    if index.at == "first_day":
        day = _first_of_month(pl.col("month"))
    else:
        day = _first_of_month(pl.col("month") + months) - 1
    return _within_spans(periods.with_columns(index_day=day))


def _birthdays(members: MemberTables, spans: pl.DataFrame) -> pl.DataFrame:
    first = _as_date("start").dt.year().cast(pl.Int64)
    last = _as_date("end").dt.year().cast(pl.Int64)
    born = _as_date("birth_days")
    years = (
        spans.join(members.scalars.drop_nulls("birth_days"), on="member")
        .with_columns(year=pl.int_ranges(first, last + 1))
        .explode("year")
    )
    # Counted from the first of the month, 29 February becomes 1 March in other years.
    month = pl.col("year") * 12 + born.dt.month() - 1 - _EPOCH_MONTHS
    day = _first_of_month(month) + born.dt.day() - 1
    days = years.with_columns(index_day=day.cast(pl.Int64))
    return _within_spans(days.filter(pl.col("index_day") > pl.col("birth_days")))


def _within_spans(days: pl.DataFrame) -> pl.DataFrame:
    inside = pl.col("index_day").is_between(pl.col("start"), pl.col("end"))
    return days.filter(inside).select("member", "index_day")


def _as_date(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int32).cast(pl.Date)


def _month(column: str) -> pl.Expr:
    """Months since January 1970."""
    date = _as_date(column)
    return date.dt.year().cast(pl.Int64) * 12 + date.dt.month() - 1 - _EPOCH_MONTHS


def _first_of_month(month: pl.Expr) -> pl.Expr:
    months = month + _EPOCH_MONTHS
    date = pl.date(months // 12, months % 12 + 1, 1)
    return date.to_physical().cast(pl.Int64)
