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
from tests.tasks.drawn import FIRST, LAST, days, in_order, people, tasks, visits
from tests.tasks.members import Member, Visit, timelines

pytestmark = pytest.mark.slow

INPUTS = pl.all().exclude(list(LABEL_COLUMNS))
ENDS = st.integers(LAST - 200, LAST)
often = settings(
    max_examples=60,
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


LABEL_TASK = Task.model_validate(
    {
        "name": "charts",
        "labels": {"kind": "binary"},
        "proxy": {"outcome": {"visit_types": ["IP"]}, "window_days": 30},
    }
)


@st.composite
def tables(draw: st.DrawFn, members: list[Member]) -> pl.DataFrame:
    """Rows of a table of labels about the members, and about strangers."""
    ids = [*(member.id for member in members), "f" * 32]
    split = {one: draw(st.sampled_from(["train", "eval", "test"])) for one in ids}
    place = st.tuples(st.sampled_from(ids), days())
    places = draw(st.lists(place, max_size=8, unique=True), label="rows")
    return pl.DataFrame(
        [
            {
                "label_row": number + 1,
                "patient_id": one,
                "index_day": day,
                "label": draw(st.integers(0, 1)),
                "label_value": 0.0,
                "split": split[one],
            }
            for number, (one, day) in enumerate(places)
        ],
        schema={
            "label_row": pl.Int64,
            "patient_id": pl.String,
            "index_day": pl.Int64,
            "label": pl.Int64,
            "label_value": pl.Float32,
            "split": pl.String,
        },
    )


@often
@given(people(), st.data())
def test_labels_of_a_table_enter_no_input_and_move_no_member(
    members: list[Member], data: st.DataObject
) -> None:
    table = data.draw(tables(members))
    frame = timelines(*members)
    result = label(LABEL_TASK, frame, data_end=LAST, table=table)
    known = {member.id for member in members}
    want = table.filter(pl.col("patient_id").is_in(known), pl.col("index_day") <= LAST)
    examples = result.examples.with_columns(result.splits)
    answer = ["label_row", "patient_id", "index_day", "label", "split"]
    by_row = examples.select(answer).sort("label_row")
    assert by_row.equals(want.select(answer).sort("label_row"))
    assert (examples.group_by("patient_id").n_unique()["split"] == 1).all()

    turned = table.with_columns(label=1 - pl.col("label"))
    other = label(LABEL_TASK, frame, data_end=LAST, table=turned).examples
    assert other.select(INPUTS).equals(result.examples.select(INPUTS))


@often
@given(people(), st.data())
def test_inputs_of_a_tables_rows_are_those_of_tables_that_end_there(
    members: list[Member], data: st.DataObject
) -> None:
    table = data.draw(tables(members))
    whole = label(LABEL_TASK, timelines(*members), data_end=LAST, table=table).examples
    for row in naive.rows_of(whole):
        cut = row["index_day"]
        then = label(
            LABEL_TASK,
            timelines(*(known_by(member, cut) for member in members)),
            data_end=LAST,
            table=table.filter(pl.col("label_row") == row["label_row"]),
        ).examples
        (alone,) = naive.rows_of(then)
        days, own = row.pop("past_days"), alone.pop("past_days")
        assert alone == row
        assert days in ([], own)  # a member's last training row alone has them
