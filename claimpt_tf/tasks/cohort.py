"""A task on timelines: who is asked about, on which day, with which answer.

    lookback        index day   gap      outcome window
    ----------------------|-------------|------------------|
    what the model sees ..|             (label: does the outcome begin in here?)

Inputs and criteria use what is known on the index day: visits that have ended by
then. Only the label, and the rows dropped because their window was not seen, look
beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from claimpt_tf.tasks.attrition import Attrition, SplitCounts, Step
from claimpt_tf.tasks.index_dates import age, chosen_days, index_days
from claimpt_tf.tasks.member_tables import DataEnd, MemberTables
from claimpt_tf.tasks.spec import (
    Criterion,
    Task,
)
from claimpt_tf.visits.records import LABELLED_SCHEMA


@dataclass(frozen=True)
class Labelled:
    """Examples of a task (LABELLED_SCHEMA, by record and index day) and who was lost.

    `attrition` holds true counts, under the one split that `label` was given.
    """

    examples: pl.DataFrame
    attrition: Attrition


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
    members = MemberTables.of(timelines)
    end = DataEnd.of(timelines).day if data_end is None else data_end
    funnel = _Funnel(members.scalars)
    funnel.keep(f"index date: {task.index.describe()}", index_days(task, members, end))
    _apply_population(task, members, funnel)
    _apply_past(task, members, funnel)
    if task.censoring.require_enrolled_to_end:
        seen = pl.lit(end) >= pl.col("index_day") + task.horizon_days
        funnel.keep("data reach the end of the window", funnel.rows.filter(seen))
    if task.index.take != "all":
        chosen = chosen_days(funnel.rows, members, task)
        funnel.keep(f"{task.index.take} index date of the member", chosen)
    rows = _with_label(task, members, funnel.rows)
    if task.censoring.require_enrolled_to_end:
        rows = _uncensored(task, members, rows)
        funnel.keep(_censoring_step(task), rows)
    examples = _examples(task, members, rows)
    ages = (
        rows.join(members.scalars, on="member")
        .select(age=age())
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


class _Funnel:
    """The rows (row, member, index_day) that are left, and the steps so far."""

    def __init__(self, members: pl.DataFrame) -> None:
        self.rows = members.clear()
        self.steps = [Step("members read", members.height, 0)]

    def keep(self, name: str, rows: pl.DataFrame) -> None:
        self.rows = rows
        self.steps.append(Step(name, rows["member"].n_unique(), rows.height))


def _apply_population(task: Task, members: MemberTables, funnel: _Funnel) -> None:
    population = task.population
    demands: list[tuple[str, pl.Expr]] = []
    if population.ages is not None:
        low, high = population.ages.min, population.ages.max
        demands.append((f"aged {low} to {high}", age().is_between(low, high)))
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


def _apply_past(task: Task, members: MemberTables, funnel: _Funnel) -> None:
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


def _met(
    criterion: Criterion, members: MemberTables, rows: pl.DataFrame
) -> pl.DataFrame:
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


def _occurrences(task: Task, members: MemberTables) -> pl.DataFrame:
    visits = members.matching(task.outcome)
    return visits.with_columns(pl.col("cost").cast(pl.Float64).fill_null(0.0))


def _with_label(task: Task, members: MemberTables, rows: pl.DataFrame) -> pl.DataFrame:
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


def _uncensored(task: Task, members: MemberTables, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows enrolled from the index day to the window's end, or already positive."""
    last = pl.col("index_day") + task.horizon_days
    seen = members.enrolled(rows, pl.col("index_day"), last)
    if task.censoring.keep_if_outcome:
        seen = pl.concat([seen, rows.filter(pl.col("label") == 1)])
    return rows.join(seen, on="row", how="semi").sort("row")


def _examples(task: Task, members: MemberTables, rows: pl.DataFrame) -> pl.DataFrame:
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


def _known_spans(members: MemberTables, rows: pl.DataFrame) -> pl.DataFrame:
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


def _known_visits(
    task: Task, members: MemberTables, rows: pl.DataFrame
) -> pl.DataFrame:
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
