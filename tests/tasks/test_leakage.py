"""What may enter an example, by property: nothing that is known after its index."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from claimpt_tf.tasks.attrition import merge
from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.labels import LABEL_COLUMNS
from claimpt_tf.tasks.spec import Task
from tests.tasks import naive
from tests.tasks.drawn import FIRST, LAST, in_order, people, tasks, visits
from tests.tasks.members import Member, Visit, timelines

pytestmark = pytest.mark.slow

INPUTS = pl.all().exclude(list(LABEL_COLUMNS))
ENDS = st.integers(LAST - 200, LAST)
often = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def examples(task: Task, members: list[Member], end: int) -> pl.DataFrame:
    return label(task, timelines(*members), data_end=end).examples


def known_by(member: Member, cut: int) -> Member:
    """The member as the tables of that day would have shown them."""
    return member._replace(
        visits=tuple(visit for visit in member.visits if naive.known(visit, cut)),
        enrolled=tuple(
            (first, min(last, cut)) for first, last in member.enrolled if first <= cut
        ),
    )


@often
@given(tasks(), people(), ENDS)
def test_examples_are_those_of_a_plain_reading_of_the_rules(
    task: Task, members: list[Member], end: int
) -> None:
    found = examples(task, members, end)
    assert naive.rows_of(found) == naive.label(task, members, end)


@often
@given(tasks(), people(), ENDS)
def test_nothing_known_after_the_index_day_is_an_input(
    task: Task, members: list[Member], end: int
) -> None:
    for row in naive.rows_of(examples(task, members, end)):
        index = row["index_day"]
        ends = map(sum, zip(row["visit_days"], row["visit_length"], strict=True))
        assert all(day <= index for day in ends)
        assert all(day <= index for day in row["enrolled_from"] + row["enrolled_to"])
        lengths = {len(row[name]) for name in row if name.startswith("visit_")}
        assert lengths == {len(row["codes"])} == {len(row["cost"])}


@often
@given(tasks(censored=False), people(), st.integers(FIRST, LAST))
def test_inputs_are_those_of_tables_that_end_on_the_index_day(
    task: Task, members: list[Member], cut: int
) -> None:
    """Who is asked about, when, and on what grounds: all known on the day itself."""
    assume(not drops_by_the_future(task))
    task = task.model_copy(
        update={"index": task.index.model_copy(update={"take": "all"})}
    )
    whole = examples(task, members, LAST).filter(pl.col("index_day") <= cut)
    then = examples(task, [known_by(member, cut) for member in members], LAST)
    assert whole.select(INPUTS).equals(then.select(INPUTS))


@often
@given(tasks(), people(2), ENDS, st.data())
def test_moving_events_after_the_index_changes_no_input(
    task: Task, members: list[Member], end: int, data: st.DataObject
) -> None:
    before = examples(task, members, end)
    if before.is_empty():
        return
    row = data.draw(st.sampled_from(naive.rows_of(before)), label="row")
    index = row["index_day"]
    moved = []
    for member in members:
        if member.id == row["patient_id"]:
            kept = [visit for visit in member.visits if naive.known(visit, index)]
            added = data.draw(st.lists(later_visits(index), max_size=5), label="later")
            spans = data.draw(st.sampled_from([((FIRST, LAST),), member.enrolled]))
            if spans != member.enrolled:
                spans = tuple(known_by(member, index).enrolled[:-1]) + (
                    (known_by(member, index).enrolled[-1][0], LAST),
                )
            member = member._replace(visits=in_order(kept + added), enrolled=spans)
        moved.append(member)
    same = (pl.col("patient_id") == row["patient_id"]) & (pl.col("index_day") == index)
    after = examples(task, moved, end).filter(same).select(INPUTS)
    # The row may be gone (not to be labelled, or another date taken), never another.
    if not after.is_empty():
        assert after.equals(before.filter(same).select(INPUTS))
    if task.index.take == "all" and not drops_by_the_future(task):
        assert not after.is_empty()


def drops_by_the_future(task: Task) -> bool:
    """Whether what comes later decides if a row can have a label at all."""
    assert task.outcome is not None
    return (
        task.censoring.require_enrolled_to_end
        or task.censoring.drop_if_in_gap
        or task.outcome.kind == "next_visit"
    )


def later_visits(index: int) -> st.SearchStrategy[Visit]:
    """Visits not known on the index day: begun later, or a stay still open."""
    open_stay = st.builds(
        Visit, day=st.just(index - 2), type=st.just("IP"), length=st.integers(3, 9)
    )
    later = visits().map(lambda visit: visit._replace(day=max(visit.day, index + 1)))
    return later | open_stay


@often
@given(tasks(), people(6), ENDS, st.randoms(use_true_random=False), st.data())
def test_examples_and_counts_do_not_depend_on_shards_or_order(
    task: Task, members: list[Member], end: int, random, data: st.DataObject
) -> None:
    whole = label(task, timelines(*members), data_end=end)
    shuffled = list(members)
    random.shuffle(shuffled)
    cut = data.draw(st.integers(0, len(members)), label="cut")
    parts = [
        label(task, timelines(*part), data_end=end)
        for part in (shuffled[:cut], shuffled[cut:])
    ]
    joined = pl.concat([part.examples for part in parts])
    by = ["patient_id", "index_day"]
    assert joined.sort(by).equals(whole.examples.sort(by))
    merged = merge(part.attrition for part in parts)
    assert merged.to_dict() == {
        **whole.attrition.to_dict(),
        "ages": merged.to_dict()["ages"],
    }
    assert merged.ages == whole.attrition.ages
