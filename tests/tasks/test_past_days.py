"""Earlier days of training members: those on which the task would have asked."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.past_days import DAYS
from claimpt_tf.tasks.spec import Task
from tests.tasks import naive
from tests.tasks.drawn import LAST, people, tasks
from tests.tasks.members import Member, day, member, span, task, timelines, visit

ASTHMA = {"require": [{"codes": ["ICD10CM:J45"], "within_days": 90}]}
YEARS = member(visit("2021-05-01", "OP", "ICD10CM:J4520"))
INDEX = day("2022-01-01")


def training(asked: Task, *members: Member, end: int = LAST) -> pl.DataFrame:
    found = label(asked, timelines(*members), split="train", data_end=end)
    return pl.concat([found.examples, found.unlabelled])


def days_of(asked: Task, *members: Member) -> list[list[int]]:
    return training(asked, *members)["past_days"].to_list()


def test_they_are_spread_over_the_past() -> None:
    (found,) = days_of(task(), YEARS)
    assert len(found) == DAYS and found == sorted(found)
    first, last = day("2020-01-01"), INDEX - 30
    assert first <= found[0] and found[-1] <= last
    steps = {after - before for before, after in zip(found, found[1:], strict=False)}
    assert steps <= {(last - first + 1) // DAYS, (last - first + 1) // DAYS + 1}
    other = days_of(task(), YEARS._replace(id="22" * 16))[0]
    assert other != found  # each member starts elsewhere
    assert days_of(task(), YEARS) == [found]


def test_only_days_that_fit_the_population_count() -> None:
    (row,) = training(task(population=ASTHMA), YEARS).rows(named=True)
    assert row["label"] == -1  # nobody asks on 2022-01-01: outside the cohort
    assert row["past_days"]
    assert all(0 <= one - day("2021-05-01") < 90 for one in row["past_days"])


def test_one_row_of_a_member_has_them() -> None:
    asked = task(index={"kind": "calendar", "every": "half_year"})
    found = training(asked, YEARS)
    assert found.height > 2
    with_days = found.filter(pl.col("past_days").list.len() > 0)
    assert with_days["index_day"].to_list() == [found["index_day"].max()]


@pytest.mark.parametrize("split", ["eval", "test", "all"])
def test_only_training_members_have_them(split: str) -> None:
    found = label(task(), timelines(YEARS), split=split, data_end=LAST).examples
    assert found["past_days"].to_list() == [[]]


def test_where_visits_are_asked_about_earlier_ones_are() -> None:
    stays = [visit(f"2021-{month:02d}-03", "IP", length=2) for month in range(1, 9)]
    index = {"kind": "each_visit", "visit": {"visit_types": ["IP"]}}
    many = member(*stays, visit("2021-06-20", "OP"))
    found = training(task(index=index), many)
    last = found.filter(pl.col("index_day") == found["index_day"].max())
    ends = [stay.day + 2 for stay in stays]
    assert last["past_days"].to_list() == [ends[:-1]]
    first = stays[0].day
    weekly = [visit("2020-01-01", "IP")._replace(day=first - 7 * n) for n in range(52)]
    found = training(task(index=index), member(*weekly))
    (thinned,) = found.filter(pl.col("past_days").list.len() > 0)["past_days"]
    assert len(thinned) == DAYS
    assert thinned[0] == weekly[-1].day and {b % 7 for b in thinned} == {first % 7}


def test_enrolment_before_such_a_day_is_not_asked_for() -> None:
    late = YEARS._replace(enrolled=(span("2021-04-01", "2023-12-31"),))
    (found,) = days_of(task(population={"enrolled_days": 180}), late)
    assert found[0] < day("2021-05-15")
    assert found[0] >= day("2021-04-01")  # but on the day itself


def test_a_first_diagnosis_has_no_earlier_day() -> None:
    index = {"kind": "first_diagnosis", "visit": {"codes": ["ICD10CM:J45"]}}
    assert days_of(task(index=index), YEARS) == [[]]


def test_a_member_without_enrolment_or_visit_has_none() -> None:
    fresh = member(enrolled=(span("2022-01-01", "2023-12-31"),))
    assert days_of(task(), fresh) == [[]]


@pytest.mark.slow
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(tasks(), people())
def test_they_are_those_of_a_plain_reading_of_the_rules(
    asked: Task, members: list[Member]
) -> None:
    """Of the days tried, those on which the naive rules find the member eligible."""
    anybody = asked.population.model_copy(update={"require": ()})
    everybody = asked.model_copy(update={"population": anybody})
    found = training(asked, *members)
    tried = label(everybody, timelines(*members), split="train", data_end=LAST)
    tried_days = pl.concat([tried.examples, tried.unlabelled])
    by_id = {one.id: one for one in members}
    # How long a member was enrolled before such a day does not matter.
    population = asked.population.model_copy(update={"enrolled_days": 0})
    rules = asked.model_copy(update={"population": population})
    known = {
        (row["patient_id"], row["index_day"]): set(row["past_days"])
        for row in naive.rows_of(tried_days)
    }
    for row in naive.rows_of(found):
        one, days = by_id[row["patient_id"]], row["past_days"]
        never = row["index_day"] + 10**6
        assert all(naive.eligible(rules, one, past, never) for past in days)
        assert all(past < row["index_day"] for past in days)
        at = (row["patient_id"], row["index_day"])
        if asked.index.take == "all" and at in known:
            fit = {d for d in known[at] if naive.eligible(rules, one, d, never)}
            assert fit == set(days)
