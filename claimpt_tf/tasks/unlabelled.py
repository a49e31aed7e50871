"""Training members without an index date: their past can be searched for the outcome.

Adaptation rehearses a task's question on earlier dates. If only the cohort took part,
it would learn from those alone whom the future brought into the cohort; so members of
the training split outside it take part too.
"""

from __future__ import annotations

import polars as pl

from claimpt_tf.tasks.index_dates import age
from claimpt_tf.tasks.member_tables import MemberTables
from claimpt_tf.tasks.spec import Task

UNLABELLED = "unlabelled"  # the split that they are written to
NO_LABEL = pl.lit(-1, pl.Int64)


def unlabelled_rows(
    task: Task, members: MemberTables, asked: pl.Series, data_end: int | None
) -> pl.DataFrame:
    """Members outside a cohort who could have been in it, observed to their last day.

    Who they are is told by what does not change, or changes in step with time alone:
    sex, institution and age. Diagnoses are not looked at: to take only members who
    get one some day would tell what that day brings.

    Args:
        task: the task; it defines an outcome.
        members: members of the training split.
        asked: member numbers that have a labelled example, or a row in a table of
            labels.
        data_end: last day of the data.

    Returns:
        row, member, index_day: the last enrolled day of each, ordered by member.
    """
    population = task.population
    last = members.spans.group_by("member").agg(
        index_day=pl.col("end").max(), first=pl.col("start").min()
    )
    if data_end is not None:
        last = last.with_columns(pl.min_horizontal("index_day", pl.lit(data_end)))
    wanted = pl.col("index_day") > pl.col("first")
    if population.sexes is not None:
        wanted &= pl.col("sex").is_in(list(population.sexes))
    if population.institutions is not None:
        wanted &= pl.col("institution").is_in(list(population.institutions))
    if population.ages is not None:
        too_old = pl.col("first") - pl.col("birth_days") > 366 * (
            population.ages.max + 1
        )
        wanted &= (age() >= population.ages.min) & ~too_old
    return (
        last.join(members.scalars, on="member")
        .filter(wanted, ~pl.col("member").is_in(asked.implode()))
        .sort("member")
        .select("member", "index_day")
        .with_row_index("row")
    )
