"""Who is rehearsed on outside a cohort: training members without an index date."""

from __future__ import annotations

import polars as pl
import pytest

from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.spec import Task
from tests.tasks.members import Member, day, member, span, task, timelines, visit

NOBODY = member()
STAYED = member(visit("2021-03-01", "IP"), visit("2022-02-01", "IP"), id="11" * 16)
LEFT = member(
    visit("2020-06-01"),
    visit("2020-09-01", "IP"),
    enrolled=(span("2020-01-01", "2021-05-31"),),
    id="22" * 16,
)


def unlabelled(asked: Task, *members: Member, **more: object) -> pl.DataFrame:
    given = {"split": "train", "data_end": day("2023-06-30"), **more}
    return label(asked, timelines(*members), **given).unlabelled


def test_members_without_an_index_date_with_their_whole_past() -> None:
    (row,) = unlabelled(task(), STAYED, LEFT).rows(named=True)
    assert row["patient_id"] == LEFT.id
    assert row["index_day"] == day("2021-05-31")  # observed to the end of enrolment
    assert row["visit_days"] == [day("2020-06-01"), day("2020-09-01")]
    assert row["visit_outcome"] == [0, 1]
    assert row["label"] == -1


def test_only_of_the_training_split() -> None:
    for split in ("eval", "test", "all"):
        assert unlabelled(task(), STAYED, LEFT, split=split).is_empty()


def test_the_data_end_before_an_open_span() -> None:
    opened = LEFT._replace(
        visits=(*LEFT.visits, visit("2021-05-01", "IP")),
        enrolled=(span("2022-02-01", "9999-12-31"),),
    )
    (row,) = unlabelled(task(), opened).rows(named=True)
    assert row["index_day"] == day("2023-06-30")


@pytest.mark.parametrize(
    ("population", "kept"),
    [
        ({"ages": {"min": 10, "max": 12}}, True),  # aged 9 to 10 while enrolled
        ({"ages": {"min": 0, "max": 9}}, True),
        ({"ages": {"min": 11, "max": 17}}, False),
        ({"ages": {"min": 0, "max": 5}}, False),
        ({"sexes": ["M"]}, False),
        ({"institutions": ["A"]}, True),
        # A diagnosis is not asked for: who gets one is known afterwards only.
        ({"require": [{"name": "d", "codes": ["ICD10CM:J45"]}]}, True),
    ],
)
def test_who_could_have_been_in_the_cohort(population: dict, kept: bool) -> None:
    found = unlabelled(task(population=population), LEFT)
    assert found.is_empty() != kept


def test_an_outcome_that_no_single_visit_decides_is_not_rehearsed() -> None:
    twice = task(outcome={"visit_types": ["IP"], "min_count": 2})
    assert unlabelled(twice, LEFT).is_empty()
