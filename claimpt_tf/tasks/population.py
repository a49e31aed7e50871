"""Whom a task asks about on a day, judged on what is known then."""

from __future__ import annotations

import polars as pl

from claimpt_tf.tasks.attrition import Step
from claimpt_tf.tasks.criteria import Criterion
from claimpt_tf.tasks.index_dates import age
from claimpt_tf.tasks.labels import occurrences
from claimpt_tf.tasks.member_tables import MemberTables
from claimpt_tf.tasks.spec import Task


class Funnel:
    """The rows (row, member, index_day) that are left, and the steps so far.

    Args:
        members: one row a member; there is no index day yet.
    """

    def __init__(self, members: pl.DataFrame) -> None:
        self.rows = members.clear()
        self.steps = [Step("members read", members.height, 0)]

    def keep(self, name: str, rows: pl.DataFrame) -> None:
        """Goes on with some of the rows, and counts the step."""
        self.rows = rows
        self.steps.append(Step(name, rows["member"].n_unique(), rows.height))


def keep_asked(task: Task, members: MemberTables, funnel: Funnel) -> None:
    """Keeps the days on which the task asks about the member.

    That is its population, exclusions and washout, by what is known on each day.

    Args:
        task: the task.
        members: the members.
        funnel: rows (row, member, index_day), which it narrows down.
    """
    _apply_population(task, members, funnel)
    _apply_past(task, members, funnel)


def _apply_population(task: Task, members: MemberTables, funnel: Funnel) -> None:
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
    if task.labels is not None and not days:
        return  # the table says who is asked about, enrolled or not
    enrolled = members.enrolled(
        funnel.rows, pl.col("index_day") - days, pl.col("index_day")
    )
    before = f"the {days} days before" if days else "the index date"
    funnel.keep(f"enrolled on {before}", enrolled)


def _apply_past(task: Task, members: MemberTables, funnel: Funnel) -> None:
    for criterion in task.population.require:
        met = _met(criterion, members, funnel.rows)
        kept = funnel.rows.join(met, on="row", how="semi")
        funnel.keep(criterion.describe(), kept)
    for criterion in task.exclusions:
        met = _met(criterion, members, funnel.rows)
        kept = funnel.rows.join(met, on="row", how="anti")
        funnel.keep(f"not: {criterion.describe()}", kept)
    if task.washout_days and task.outcome is not None:
        since = pl.col("index_day") - task.washout_days
        past = _past(funnel.rows, occurrences(task.outcome, members), since)
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
