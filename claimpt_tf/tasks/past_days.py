"""Earlier days on which a training member would have been asked about too.

Adaptation looks for the outcome in everybody's past. On most days of it most members
are not whom the task concerns, and what tells those from the cohort is no use within
it; so its trees learn from days that fit the task alone.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from claimpt_tf.tasks.draws import ranks
from claimpt_tf.tasks.index_spec import EachVisitIndex, FirstDiagnosisIndex
from claimpt_tf.tasks.member_tables import MemberTables
from claimpt_tf.tasks.population import Funnel, keep_asked
from claimpt_tf.tasks.spec import Task

DAYS: Final = 24  # tried of each member
WATCHED_DAYS: Final = 30  # of a longer window, at least, after each of them
FEWEST_OUTCOMES: Final = 100  # after such days; with fewer any day is learned from
_PARTS = 2**20


def ahead_days(gap_days: int, window_days: int) -> int:
    """Days for which a date of the past should be watched at least.

    >>> ahead_days(gap_days=5, window_days=180)
    35
    """
    return gap_days + min(WATCHED_DAYS, window_days)


def past_days(task: Task, members: MemberTables, rows: pl.DataFrame) -> pl.DataFrame:
    """Days before an index date on which the task asks about the member.

    `DAYS` days are tried, spread evenly over the member's past from a random start;
    where index dates are the ends of visits, those of as many earlier ones. A first
    diagnosis has no earlier days.

    Args:
        task: the task; it defines an outcome.
        members: the members.
        rows: row, member, index_day.

    Returns:
        row, past_days (List(Int64), ascending); rows without such a day are left out.
    """
    asked = task.definition
    if asked is None or rows.is_empty() or isinstance(task.index, FirstDiagnosisIndex):
        return _gathered(rows.clear())
    latest = pl.col("index_day") - ahead_days(asked.gap_days, asked.window_days)
    until = rows.select("member", of="row", latest=latest)
    if isinstance(task.index, EachVisitIndex):
        days = _visit_ends(members.matching(task.index.visit), until)
    else:
        days = _spread(task, members, until)
    funnel = Funnel(members.scalars)
    funnel.keep("earlier days", days.sort("of", "index_day").with_row_index("row"))
    keep_asked(_on_the_day(task), members, funnel)
    return _gathered(funnel.rows.select("member", "index_day", row="of"))


def _on_the_day(task: Task) -> Task:
    """The task without its demand for enrolment before the index date.

    How long a member had been enrolled says how much is known, not whom it concerns.
    """
    population = task.population.model_copy(update={"enrolled_days": 0})
    return task.model_copy(update={"population": population})


def _gathered(days: pl.DataFrame) -> pl.DataFrame:
    days = days.select("row", past_days=pl.col("index_day").cast(pl.Int64))
    return days.group_by("row", maintain_order=True).agg(pl.col("past_days").sort())


def _visit_ends(visits: pl.DataFrame, until: pl.DataFrame) -> pl.DataFrame:
    """Ends of earlier visits, every so many where there are more than `DAYS`."""
    ends = (
        until.join(visits.select("member", index_day="end"), on="member")
        .filter(pl.col("index_day") <= pl.col("latest"))
        .unique(["of", "index_day"])
        .sort("of", "index_day")
    )
    number = pl.int_range(pl.len()).over("of")
    place = (number * DAYS // pl.len().over("of")).alias("place")
    kept = pl.len().over("of") <= DAYS
    first = place != place.shift(1).over("of").fill_null(-1)
    return ends.filter(kept | first).select("member", "of", "index_day")


def _spread(task: Task, members: MemberTables, until: pl.DataFrame) -> pl.DataFrame:
    """Days spread over what lies between the first known day and the latest."""
    begun = pl.concat(
        [
            members.spans.select("member", first=pl.col("start").cast(pl.Int64)),
            members.visits.select("member", first=pl.col("day").cast(pl.Int64)),
        ]
    )
    named = (
        until.join(begun.group_by("member").agg(pl.col("first").min()), on="member")
        .filter(pl.col("first") <= pl.col("latest"))
        .join(members.scalars.select("member", "patient_id"), on="member")
    )
    drawn = ranks(f"{task.name}|past|{one}" for one in named["patient_id"]) % _PARTS
    length = pl.col("latest") - pl.col("first") + 1
    place = pl.col("number") * _PARTS + pl.col("start")
    return (
        named.with_columns(start=drawn)
        .with_columns(number=pl.lit(list(range(DAYS))))
        .explode("number")
        .select(
            "member",
            "of",
            index_day=pl.col("first") + place * length // (DAYS * _PARTS),
        )
        .unique(["of", "index_day"])
    )
