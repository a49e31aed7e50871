"""A task on timelines: who is asked about, on which day, with which answer.

    lookback        index day   gap      outcome window
    ----------------------|-------------|------------------|
    what the model sees ..|             (label: does the outcome begin in here?)

Inputs and criteria use what is known on the index day: visits that have ended by
then. Only the label, and the rows dropped because their window was not seen, look
beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import polars as pl

from claimpt_tf.tasks.attrition import Attrition, SplitCounts
from claimpt_tf.tasks.index_dates import age, chosen_days, index_days, within_limits
from claimpt_tf.tasks.labels import (
    event_labels,
    in_gap,
    next_visit_labels,
    occurrences,
    with_label_columns,
)
from claimpt_tf.tasks.member_tables import DataEnd, MemberTables
from claimpt_tf.tasks.outcome_spec import Definition
from claimpt_tf.tasks.past_days import past_days
from claimpt_tf.tasks.population import Funnel, keep_asked
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.unlabelled import NO_LABEL, unlabelled_rows
from claimpt_tf.visits.records import LABELLED_SCHEMA

TRAIN: Final = "train"
_COUNTED_KINDS = ("binary", "time_to_event")


@dataclass(frozen=True)
class Labelled:
    """Examples of a task (LABELLED_SCHEMA, by record and index day) and who was lost.

    Attributes:
        examples: the labelled examples.
        splits: the split of each example.
        attrition: true counts, by those splits.
        table_rows: rows of the table of labels whose member is among these.
        unlabelled: what `unlabelled_rows` finds in the training split, as examples
            whose label is -1; none of a task whose past cannot be searched.
    """

    examples: pl.DataFrame
    splits: pl.Series
    attrition: Attrition
    table_rows: list[int] = field(default_factory=list)
    unlabelled: pl.DataFrame = field(default_factory=LABELLED_SCHEMA.to_frame)


def label(
    task: Task,
    timelines: pl.DataFrame,
    *,
    split: str = "all",
    data_end: int | None = None,
    table: pl.DataFrame | None = None,
) -> Labelled:
    """Labelled examples of a task from whole timelines.

    Args:
        task: the task; one with a table of labels has its kind told.
        timelines: TIMELINE_SCHEMA, one row a member, visits in order.
        split: the split that these members are in, where no table says another.
        data_end: last day (since 1970-01-01) on which the whole data, not only this
            shard, know enrolment and visits; taken from `timelines` where None.
            Rows whose window passes it cannot be labelled.
        table: `LabelRows.rows`, of a task with a table of labels.

    Returns:
        One row a (member, index day), ordered as `timelines` and by day, with the
        visits known on that day, enrolment up to that day, and the label.

    Raises:
        ArtifactError: `timelines` lacks a column.
        ValueError: the task takes its labels from a table and there is none.
    """
    members = MemberTables.of(timelines, task.category_of)
    end = DataEnd.of(timelines).day if data_end is None else data_end
    funnel = Funnel(members.scalars)
    table_rows: list[int] = []
    told = members.scalars["member"].clear()
    if task.labels is None:
        days = index_days(task, members, end)
        funnel.keep(f"index date: {task.index.describe()}", days)
    else:
        if table is None:
            raise ValueError(f"task {task.name} needs its table of labels")
        days = _table_days(table, members)
        table_rows, told = days["label_row"].to_list(), days["member"]
        funnel.keep(task.index.describe(), days)
        funnel.keep("index date within the data", within_limits(task.index, days, end))
    keep_asked(task, members, funnel)
    sees_all = task.censoring.require_enrolled_to_end and task.labels is None
    if sees_all:
        seen = pl.lit(end) >= pl.col("index_day") + task.horizon_days
        funnel.keep("data reach the end of the window", funnel.rows.filter(seen))
    if task.index.take != "all":
        chosen = chosen_days(funnel.rows, members, task)
        funnel.keep(f"{task.index.take} index date of the member", chosen)
    if task.labels is None:
        assert task.definition is not None
        _apply_outcome(task, task.definition, members, funnel)
    rows = with_label_columns(funnel.rows)
    splits = (
        rows.select(split=pl.col("split").fill_null(split))["split"]
        if "split" in rows.columns
        else pl.repeat(split, rows.height, dtype=pl.String, eager=True).alias("split")
    )
    searched = task.definition is not None and task.definition.by_visit
    learned = _latest(rows, splits) if searched else rows.clear()
    examples = _examples(task, members, rows, learned)
    attrition = Attrition(
        task.name,
        tuple(funnel.steps),
        _split_counts(task, rows.with_columns(splits), split),
        _ages(rows, members),
        task.label_kind or "binary",
        _class_counts(task, rows),
    )
    unlabelled = LABELLED_SCHEMA.to_frame()
    if split == TRAIN and searched:
        asked = pl.concat([told, rows["member"]]).unique()
        outside = unlabelled_rows(task, members, asked, end)
        outside = with_label_columns(outside.with_columns(label=NO_LABEL))
        unlabelled = _examples(task, members, outside, outside)
    return Labelled(examples, splits, attrition, table_rows, unlabelled)


def _table_days(table: pl.DataFrame, members: MemberTables) -> pl.DataFrame:
    """The table's rows of these members, by member and day."""
    return (
        table.join(members.scalars.select("member", "patient_id"), on="patient_id")
        .drop("patient_id")
        .sort("member", "index_day")
        .with_row_index("row")
    )


def _apply_outcome(
    task: Task, asked: Definition, members: MemberTables, funnel: Funnel
) -> None:
    """Gives each row its label, and drops those that cannot have one."""
    if asked.outcome.kind == "next_visit":
        name = f"a next visit within {task.horizon_days} days"
        funnel.keep(name, next_visit_labels(asked, members, funnel.rows))
        return
    if task.censoring.drop_if_in_gap:
        early = in_gap(asked, members, funnel.rows)
        kept = funnel.rows.join(early, on="row", how="anti")
        funnel.keep(f"no outcome in the {task.gap_days} days of the gap", kept)
    rows = event_labels(asked, members, funnel.rows)
    if task.censoring.require_enrolled_to_end:
        funnel.keep(_censoring_step(task), _uncensored(task, members, rows))
    else:
        funnel.rows = rows


def _split_counts(task: Task, rows: pl.DataFrame, split: str) -> dict[str, SplitCounts]:
    """Counts by split; those of `split` also where there are no rows."""
    counted = (task.label_kind or "binary") in _COUNTED_KINDS
    found = rows.group_by("split").agg(
        pl.col("member").n_unique(),
        pl.len(),
        pl.col("label").sum() if counted else pl.lit(0),
    )
    by_split = {name: SplitCounts(*counts) for name, *counts in found.iter_rows()}
    return by_split or {split: SplitCounts()}


def _class_counts(task: Task, rows: pl.DataFrame) -> dict[str, int]:
    """Rows by class or category; nothing for labels of other kinds."""
    if task.label_kind == "multi_label":
        names = rows["label_categories"].explode().drop_nulls()
    elif task.label_kind == "multi_class" and task.labels and task.labels.classes:
        classes = pl.Series(task.labels.classes, dtype=pl.String)
        names = classes.gather(rows["label"])
    else:
        return {}
    counts = names.alias("class").value_counts().sort("class")
    return dict(counts.iter_rows())


def _ages(rows: pl.DataFrame, members: MemberTables) -> dict[int, int]:
    ages = rows.select("member", "index_day").join(members.scalars, on="member")
    counts = ages.select(age=age()).drop_nulls().group_by("age").len().sort("age")
    return dict(counts.iter_rows())


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


def _latest(rows: pl.DataFrame, splits: pl.Series) -> pl.DataFrame:
    """The last row of each training member: its past holds that of all others."""
    learned = rows.filter(splits == TRAIN)
    return learned.filter(
        pl.col("index_day") == pl.col("index_day").max().over("member")
    )


def _examples(
    task: Task, members: MemberTables, rows: pl.DataFrame, learned: pl.DataFrame
) -> pl.DataFrame:
    """What is known on each index day, with the label: LABELLED_SCHEMA.

    Args:
        task: the task.
        members: the members.
        rows: labelled rows.
        learned: those of them that get earlier days of their member.
    """
    examples = (
        rows.join(members.scalars, on="member")
        .join(_known_spans(members, rows), on="row", how="left")
        .join(_known_visits(task, members, rows), on="row", how="left")
        .join(past_days(task, members, learned), on="row", how="left")
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
    marked = _outcome_marks(task, members)
    # Only the numbers are joined; the codes are then picked by number.
    pairs = (
        rows.select("row", "member", "index_day")
        .join(members.visits.select("visit", "member", "day", "end"), on="member")
        .filter(pl.col("end") <= pl.col("index_day"))
    )
    if task.lookback_days is not None:
        since = pl.col("index_day") - task.lookback_days
        pairs = pairs.filter(pl.col("day") > since)
    pairs = pairs.sort("row", "visit")
    known = marked.select(
        visit_days="day",
        visit_types="type",
        visit_length="length",
        codes="codes",
        cost="cost",
        visit_outcome="occurs",
    )[pairs["visit"]]
    return (
        known.with_columns(pairs["row"])
        .group_by("row", maintain_order=True)
        .agg(pl.all().exclude("row"))
    )


def _outcome_marks(task: Task, members: MemberTables) -> pl.DataFrame:
    """All visits in order, with `occurs`: 1 where one alone is the outcome, else 0."""
    asked = task.definition
    if asked is None:
        return members.visits.with_columns(occurs=pl.lit(0, pl.Int64))
    found = occurrences(asked.outcome, members)
    if asked.outcome.min_cost is not None:
        found = found.filter(pl.col("cost") >= asked.outcome.min_cost)
    return (
        members.visits.join(
            found.select("visit", occurs=pl.lit(1, pl.Int64)), on="visit", how="left"
        )
        .with_columns(pl.col("occurs").fill_null(0))
        .sort("visit")
    )
