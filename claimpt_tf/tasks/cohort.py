"""A task on timelines: who is asked about, on which day, with which answer.

    lookback        index day   gap      outcome window
    ----------------------|-------------|------------------|
    what the model sees ..|             (label: does the outcome begin in here?)

Inputs and criteria use what is known on the index day: visits that have ended by
then. Only the label, and the rows dropped because their window was not seen, look
beyond it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from claimpt_tf.errors import ArtifactError
from claimpt_tf.tasks.attrition import Attrition, SplitCounts, Step
from claimpt_tf.tasks.match import with_any_code
from claimpt_tf.tasks.spec import (
    BirthdayIndex,
    CalendarIndex,
    Criterion,
    FixedIndex,
    Task,
    VisitMatch,
)
from claimpt_tf.visits.records import LABELLED_SCHEMA, TIMELINE_SCHEMA

_MONTHS = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
_EPOCH_MONTHS = 1970 * 12


@dataclass(frozen=True)
class Labelled:
    """Examples of a task (LABELLED_SCHEMA, by record and index day) and who was lost.

    `attrition` holds true counts, under the one split that `label` was given.
    """

    examples: pl.DataFrame
    attrition: Attrition


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


def label(
    task: Task,
    timelines: pl.DataFrame,
    *,
    split: str = "all",
    data_end: int | None = None,
) -> Labelled:
    """Labelled examples of a task from whole timelines.

    Args:
        task: the task.
        timelines: TIMELINE_SCHEMA, one row a member, visits in order.
        split: the split that these members are in, for the counts.
        data_end: last day (since 1970-01-01) on which the whole data, not only this
            shard, know enrolment and visits; taken from `timelines` where None.
            Rows whose window passes it cannot be labelled.

    Returns:
        One row a (member, index day), ordered as `timelines` and by day, with the
        visits known on that day, enrolment up to that day, and the label.

    Raises:
        ArtifactError: `timelines` lacks a column.
    """
    members = _Members.of(timelines)
    end = DataEnd.of(timelines).day if data_end is None else data_end
    funnel = _Funnel(members.scalars)
    funnel.keep(f"index date: {task.index.describe()}", _index_days(task, members, end))
    _apply_population(task, members, funnel)
    _apply_past(task, members, funnel)
    if task.censoring.require_enrolled_to_end:
        seen = pl.lit(end) >= pl.col("index_day") + task.horizon_days
        funnel.keep("data reach the end of the window", funnel.rows.filter(seen))
    if task.index.take != "all":
        chosen = _chosen(funnel.rows, members.scalars, task)
        funnel.keep(f"{task.index.take} index date of the member", chosen)
    rows = _with_label(task, members, funnel.rows)
    if task.censoring.require_enrolled_to_end:
        rows = _uncensored(task, members, rows)
        funnel.keep(_censoring_step(task), rows)
    examples = _examples(task, members, rows)
    ages = (
        rows.join(members.scalars, on="member")
        .select(age=_age())
        .drop_nulls()
        .group_by("age")
        .len()
        .sort("age")
    )
    counts = SplitCounts(
        rows["member"].n_unique(), rows.height, int(rows["label"].sum())
    )
    attrition = Attrition(
        task.name, tuple(funnel.steps), {split: counts}, dict(ages.iter_rows())
    )
    return Labelled(examples, attrition)


@dataclass(frozen=True)
class _Members:
    """Timelines taken apart; `member` and `visit` are row numbers.

    scalars: member, patient_id, sex, birth_days, institution.
    spans: member, start, end (inclusive).
    visits: visit, member, day, end, type, length, codes, cost.
    coded: visit, code.
    """

    scalars: pl.DataFrame
    spans: pl.DataFrame
    visits: pl.DataFrame
    coded: pl.DataFrame

    @classmethod
    def of(cls, timelines: pl.DataFrame) -> _Members:
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
        )

    def matching(self, match: VisitMatch) -> pl.DataFrame:
        """The visits that match, with all their columns."""
        visits = self.visits
        if match.visit_types is not None:
            visits = visits.filter(pl.col("type").is_in(list(match.visit_types)))
        if match.codes is not None:
            coded = with_any_code(self.coded, match.codes)
            visits = visits.join(coded, on="visit", how="semi")
        return visits

    def enrolled(
        self, rows: pl.DataFrame, first: pl.Expr, last: pl.Expr
    ) -> pl.DataFrame:
        """Those of the rows whose member is enrolled from `first` to `last`."""
        covered = rows.join(self.spans, on="member").filter(
            pl.col("start") <= first, pl.col("end") >= last
        )
        return rows.join(covered, on="row", how="semi")


class _Funnel:
    """The rows (row, member, index_day) that are left, and the steps so far."""

    def __init__(self, members: pl.DataFrame) -> None:
        self.rows = members.clear()
        self.steps = [Step("members read", members.height, 0)]

    def keep(self, name: str, rows: pl.DataFrame) -> None:
        self.rows = rows
        self.steps.append(Step(name, rows["member"].n_unique(), rows.height))


def _index_days(task: Task, members: _Members, end: int | None) -> pl.DataFrame:
    index = task.index
    if isinstance(index, FixedIndex):
        day = pl.lit(index.date).to_physical().cast(pl.Int64)
        days = members.scalars.select("member", index_day=day)
    elif isinstance(index, CalendarIndex):
        days = _calendar_days(index, _spans_until(members, end))
    elif isinstance(index, BirthdayIndex):
        days = _birthdays(members, _spans_until(members, end))
    else:
        days = members.matching(index.visit).select("member", index_day="end")
    days = days.filter(pl.col("index_day") <= pl.lit(end))
    if index.since is not None:
        days = days.filter(_as_date("index_day") >= index.since)
    if index.until is not None:
        days = days.filter(_as_date("index_day") <= index.until)
    return days.unique().sort("member", "index_day").with_row_index("row")


def _spans_until(members: _Members, end: int | None) -> pl.DataFrame:
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


def _birthdays(members: _Members, spans: pl.DataFrame) -> pl.DataFrame:
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


def _age() -> pl.Expr:
    """Completed years on the index day, null without a birth date."""
    born, index = _as_date("birth_days"), _as_date("index_day")
    birthday_to_come = (index.dt.month() < born.dt.month()) | (
        (index.dt.month() == born.dt.month()) & (index.dt.day() < born.dt.day())
    )
    return index.dt.year() - born.dt.year() - birthday_to_come.cast(pl.Int32)


def _apply_population(task: Task, members: _Members, funnel: _Funnel) -> None:
    population = task.population
    demands: list[tuple[str, pl.Expr]] = []
    if population.ages is not None:
        low, high = population.ages.min, population.ages.max
        demands.append((f"aged {low} to {high}", _age().is_between(low, high)))
    if population.sexes is not None:
        wanted = pl.col("sex").is_in(list(population.sexes))
        demands.append((f"sex {', '.join(population.sexes)}", wanted))
    if population.institutions is not None:
        wanted = pl.col("institution").is_in(list(population.institutions))
        demands.append((f"institution {', '.join(population.institutions)}", wanted))
    for name, demand in demands:
        wanted_rows = funnel.rows.join(members.scalars, on="member").filter(demand)
        funnel.keep(name, funnel.rows.join(wanted_rows, on="row", how="semi"))
    days = population.enrolled_days
    enrolled = members.enrolled(
        funnel.rows, pl.col("index_day") - days, pl.col("index_day")
    )
    before = f"the {days} days before" if days else "the index date"
    funnel.keep(f"enrolled on {before}", enrolled)


def _apply_past(task: Task, members: _Members, funnel: _Funnel) -> None:
    for criterion in task.population.require:
        met = _met(criterion, members, funnel.rows)
        kept = funnel.rows.join(met, on="row", how="semi")
        funnel.keep(criterion.describe(), kept)
    for criterion in task.exclusions:
        met = _met(criterion, members, funnel.rows)
        kept = funnel.rows.join(met, on="row", how="anti")
        funnel.keep(f"not: {criterion.describe()}", kept)
    if task.washout_days:
        since = pl.col("index_day") - task.washout_days
        past = _past(funnel.rows, _occurrences(task, members), since)
        if task.outcome.min_cost is not None:
            past = past.group_by("row").agg(pl.col("cost").sum())
            past = past.filter(pl.col("cost") >= task.outcome.min_cost)
        kept = funnel.rows.join(past, on="row", how="anti")
        funnel.keep(f"no outcome in the last {task.washout_days} days", kept)


def _met(criterion: Criterion, members: _Members, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that meet a criterion (column `row`)."""
    since = None
    if criterion.within_days is not None:
        since = pl.col("index_day") - criterion.within_days
    past = _past(rows, members.matching(criterion), since)
    days = past.group_by("row").agg(
        count=pl.col("day").n_unique(),
        span=pl.col("day").max() - pl.col("day").min(),
    )
    return days.filter(
        pl.col("count") >= criterion.min_count,
        pl.col("span") >= criterion.min_days_apart,
    )


def _past(
    rows: pl.DataFrame, visits: pl.DataFrame, since: pl.Expr | None
) -> pl.DataFrame:
    """Pairs of a row and a visit known on its index day, begun after `since`."""
    pairs = rows.join(visits.select("member", "day", "end", "cost"), on="member")
    pairs = pairs.filter(pl.col("end") <= pl.col("index_day"))
    return pairs if since is None else pairs.filter(pl.col("day") > since)


def _occurrences(task: Task, members: _Members) -> pl.DataFrame:
    visits = members.matching(task.outcome)
    return visits.with_columns(pl.col("cost").cast(pl.Float64).fill_null(0.0))


def _with_label(task: Task, members: _Members, rows: pl.DataFrame) -> pl.DataFrame:
    occurrences = _occurrences(task, members).select("member", "day", "cost")
    after = pl.col("day") - pl.col("index_day")
    window = rows.join(occurrences, on="member").filter(
        after > task.gap_days, after <= task.horizon_days
    )
    happened = window.group_by("row").agg(
        pl.col("day").n_unique(), pl.col("cost").sum()
    )
    if task.outcome.min_cost is not None:
        happened = happened.filter(pl.col("cost") >= task.outcome.min_cost)
    else:
        happened = happened.filter(pl.col("day") >= task.outcome.min_count)
    positive = happened.select("row", label=pl.lit(1, pl.Int64))
    return (
        rows.join(positive, on="row", how="left")
        .with_columns(pl.col("label").fill_null(0))
        .sort("row")
    )


def _censoring_step(task: Task) -> str:
    if task.censoring.keep_if_outcome:
        return "enrolled to the end of the window, or outcome before"
    return "enrolled to the end of the window"


def _uncensored(task: Task, members: _Members, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows enrolled from the index day to the window's end, or already positive."""
    last = pl.col("index_day") + task.horizon_days
    seen = members.enrolled(rows, pl.col("index_day"), last)
    if task.censoring.keep_if_outcome:
        seen = pl.concat([seen, rows.filter(pl.col("label") == 1)])
    return rows.join(seen, on="row", how="semi").sort("row")


def _chosen(rows: pl.DataFrame, scalars: pl.DataFrame, task: Task) -> pl.DataFrame:
    """One row a member: the first, the last, or the one whose hash is smallest.

    A hash of member, task and day is the same however the data were cut in shards,
    and another eligible day leaves the ranks of the others as they are.
    """
    if task.index.take == "random":
        named = rows.join(scalars.select("member", "patient_id"), on="member")
        ranks = [
            hashlib.blake2b(f"{task.name}|{patient}|{day}".encode(), digest_size=7)
            for patient, day in named.select("patient_id", "index_day").iter_rows()
        ]
        rank = pl.Series("rank", [int.from_bytes(one.digest(), "big") for one in ranks])
        ranked = named.with_columns(rank.cast(pl.Int64))
    else:
        sign = 1 if task.index.take == "first" else -1
        ranked = rows.with_columns(rank=sign * pl.col("index_day"))
    best = ranked.sort("rank", "index_day").unique("member", keep="first")
    return rows.join(best, on="row", how="semi").sort("row")


def _examples(task: Task, members: _Members, rows: pl.DataFrame) -> pl.DataFrame:
    """What is known on each index day, with the label: LABELLED_SCHEMA."""
    examples = (
        rows.join(members.scalars, on="member")
        .join(_known_spans(members, rows), on="row", how="left")
        .join(_known_visits(task, members, rows), on="row", how="left")
        .sort("row")
    )
    return examples.select(
        pl.col(name).fill_null(pl.lit([], dtype)).cast(dtype)
        if isinstance(dtype, pl.List)
        else pl.col(name).cast(dtype)
        for name, dtype in LABELLED_SCHEMA.items()
    )


def _known_spans(members: _Members, rows: pl.DataFrame) -> pl.DataFrame:
    """Enrolment up to the index day: that it goes on, or ends, is not known yet."""
    spans = rows.select("row", "member", "index_day").join(members.spans, on="member")
    return (
        spans.filter(pl.col("start") <= pl.col("index_day"))
        .sort("row", "start")
        .group_by("row", maintain_order=True)
        .agg(
            enrolled_from="start",
            enrolled_to=pl.min_horizontal("end", "index_day"),
        )
    )


def _known_visits(task: Task, members: _Members, rows: pl.DataFrame) -> pl.DataFrame:
    """Visits that have ended by the index day, in their order in the record."""
    occurs = _occurrences(task, members)
    if task.outcome.min_cost is not None:
        occurs = occurs.filter(pl.col("cost") >= task.outcome.min_cost)
    visits = members.visits.join(
        occurs.select("visit", occurs=pl.lit(1, pl.Int64)), on="visit", how="left"
    ).sort("visit")
    # Only the numbers are joined; the codes are then picked by number.
    pairs = (
        rows.select("row", "member", "index_day")
        .join(members.visits.select("visit", "member", "end"), on="member")
        .filter(pl.col("end") <= pl.col("index_day"))
        .sort("row", "visit")
    )
    known = visits.select(
        visit_days="day",
        visit_types="type",
        visit_length="length",
        codes="codes",
        cost="cost",
        visit_outcome=pl.col("occurs").fill_null(0),
    )[pairs["visit"]]
    return (
        known.with_columns(pairs["row"])
        .group_by("row", maintain_order=True)
        .agg(pl.all().exclude("row"))
    )
