from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.tasks.attrition import Attrition, SplitCounts
from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.member_tables import DataEnd
from claimpt_tf.tasks.spec import load_task
from claimpt_tf.visits.records import LABELLED_SCHEMA, TIMELINE_SCHEMA
from claimpt_tf.visits.splits import split_of
from tests.tasks.members import EPOCH, Member, day, member, span, task, timelines, visit

INDEX = "2022-01-01"
END = day("2023-12-31")
ASTHMA = {"codes": ["ICD10CM:J45"]}


def after(days: int) -> str:
    """The ISO date that many days after the index date of `task()`."""
    return str(date.fromisoformat(INDEX) + timedelta(days=days))


def labelled(*members: Member, **fields: Any) -> pl.DataFrame:
    return label(task(**fields), timelines(*members), data_end=END).examples


def labels(*members: Member, **fields: Any) -> list[int]:
    return labelled(*members, **fields)["label"].to_list()


def index_dates(one: Member, **index: Any) -> list[str]:
    examples = labelled(one, index=index, window_days=1)
    return [str(EPOCH + timedelta(days=number)) for number in examples["index_day"]]


def asked(one: Member, **fields: Any) -> bool:
    """Whether the member is asked about at all."""
    return labelled(one, **fields).height == 1


def test_an_example_holds_what_was_known_on_the_index_day() -> None:
    before = visit("2021-12-30", "OP", "ICD10CM:J069", "HCPCS:99213", cost=80.0)
    ended = visit("2021-12-28", "IP", "ICD10CM:J4521", length=4, cost=900.0)
    still_open = visit("2021-12-30", "IP", "ICD10CM:J4521", length=3)
    later = visit("2022-01-02", "OP", "ICD10CM:J069")
    spans = (
        span("2020-01-01", "2020-12-31"),
        span("2021-03-01", "2022-12-31"),
        span("2023-02-01", "2023-12-31"),
    )
    one = member(before, ended, still_open, later, enrolled=spans)
    examples = labelled(one)
    assert examples.schema == LABELLED_SCHEMA
    assert examples.to_dicts() == [
        {
            "patient_id": "00" * 16,
            "sex": "F",
            "birth_days": day("2010-06-15"),
            "institution": "A",
            "enrolled_from": [day("2020-01-01"), day("2021-03-01")],
            "enrolled_to": [day("2020-12-31"), day(INDEX)],
            "visit_days": [day("2021-12-28"), day("2021-12-30")],
            "visit_types": ["IP", "OP"],
            "visit_length": [4, 0],
            "codes": [["ICD10CM:J4521"], ["ICD10CM:J069", "HCPCS:99213"]],
            "cost": [900.0, 80.0],
            "index_day": day(INDEX),
            "label": 0,
            "label_value": 0.0,
            "label_categories": [],
            "label_row": -1,
            "visit_outcome": [1, 0],
            "past_days": [],
        }
    ]


def test_a_member_without_visits_is_asked_about_too() -> None:
    examples = labelled(member())
    assert examples.schema == LABELLED_SCHEMA
    assert examples["visit_days"].to_list() == [[]]
    assert examples["codes"].to_list() == [[]]
    assert examples["visit_outcome"].to_list() == [[]]


def test_enrolment_that_begins_on_the_index_day_is_known() -> None:
    row = labelled(member(enrolled=(span(INDEX, "2023-12-31"),)))
    assert row["enrolled_from"].to_list() == row["enrolled_to"].to_list() == [[18_993]]


def test_no_members_give_no_examples() -> None:
    result = label(task(), TIMELINE_SCHEMA.to_frame())
    assert result.examples.schema == LABELLED_SCHEMA
    assert result.examples.is_empty()
    assert result.attrition.total == SplitCounts()


def test_timelines_without_a_column_are_refused() -> None:
    with pytest.raises(ArtifactError, match="without the column cost, codes|codes, co"):
        label(task(), timelines(member()).drop("codes", "cost"))


@pytest.mark.parametrize(
    ("offset", "expected"), [(0, 0), (1, 1), (50, 1), (100, 1), (101, 0)]
)
def test_the_window_opens_after_the_index_day(offset: int, expected: int) -> None:
    assert labels(member(visit(after(offset), "IP"))) == [expected]


@pytest.mark.parametrize(("offset", "expected"), [(14, 0), (15, 1), (114, 1), (115, 0)])
def test_what_happens_in_the_gap_counts_neither_way(offset: int, expected: int) -> None:
    assert labels(member(visit(after(offset), "IP")), gap_days=14) == [expected]


def test_an_outcome_begins_in_the_window_whenever_it_ends() -> None:
    long_stay = visit(after(100), "IP", length=60)
    under_way = visit(after(-1), "IP", length=60)
    assert labels(member(long_stay)) == [1]
    assert labels(member(under_way)) == [0]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ({"visit_types": ["ED", "IP"]}, 1),
        ({"visit_types": ["IP"]}, 0),
        ({"codes": ["ICD10CM:J4521"]}, 1),
        ({"codes": ["ICD10CM:J45[3-5]"]}, 0),
        ({"codes": ["ICD10CM:J45"], "visit_types": ["IP"]}, 0),
        ({"codes": ["ICD10CM:J45"], "visit_types": ["ED"]}, 1),
        ({"codes": ["ICD10CM:J45"], "min_count": 2}, 1),
        ({"codes": ["ICD10CM:J45"], "min_count": 3}, 0),
        ({"min_cost": 700.0}, 1),
        ({"min_cost": 700.5}, 0),
        ({"min_cost": 600.0, "visit_types": ["ED"]}, 1),
        ({"min_cost": 600.5, "visit_types": ["ED"]}, 0),
    ],
)
def test_outcomes(outcome: dict[str, Any], expected: int) -> None:
    one = member(
        visit(after(-5), "ED", "ICD10CM:J4521", cost=5000.0),
        visit(after(5), "ED", "ICD10CM:J4521", cost=600.0),
        visit(after(7), "OP", "ICD10CM:J4520", cost=60.0),
        visit(after(7), "RX", "ICD10CM:J4520", cost=40.0),
        visit(after(101), "OP", "ICD10CM:J4520", cost=9000.0),
    )
    assert labels(one, outcome=outcome) == [expected]


def test_visit_outcome_marks_occurrences_among_the_inputs() -> None:
    one = member(
        visit(after(-9), "ED", "ICD10CM:J4521", cost=600.0),
        visit(after(-8), "OP", "ICD10CM:J4521", cost=700.0),
        visit(after(-7), "ED", "ICD10CM:J069", cost=800.0),
    )
    marks = labelled(one, outcome={"codes": ["ICD10CM:J45"], "visit_types": ["ED"]})
    assert marks["visit_outcome"].to_list() == [[1, 0, 0]]
    dear = labelled(one, outcome={"min_cost": 700})
    assert dear["visit_outcome"].to_list() == [[0, 1, 1]]
    recurring = labelled(one, outcome={"codes": ["ICD10CM:J45"], "min_count": 2})
    assert recurring["visit_outcome"].to_list() == [[1, 1, 0]]


@pytest.mark.parametrize(
    ("birth", "expected"),
    [
        ("2020-01-01", True),
        ("2020-01-02", False),
        ("2004-01-01", False),
        ("2004-01-02", True),
    ],
)
def test_ages_are_completed_years_on_the_index_date(birth: str, expected: bool) -> None:
    one = member(birth=day(birth))
    assert asked(one, population={"ages": {"min": 2, "max": 17}}) is expected


def test_without_a_birth_date_no_age_demand_is_met() -> None:
    assert not asked(member(birth=None), population={"ages": {}})
    assert asked(member(birth=None))


def test_sexes_and_institutions() -> None:
    one = member(sex="M", institution="B")
    assert asked(one, population={"sexes": ["M", "U"]})
    assert not asked(one, population={"sexes": ["F"]})
    assert asked(one, population={"institutions": ["B"]})
    assert not asked(one, population={"institutions": ["A", "b"]})


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (after(-30), "2023-12-31", True),
        (after(-29), "2023-12-31", False),
        ("2020-01-01", after(-1), False),
    ],
)
def test_enrolment_before_the_index_is_without_a_gap(
    first: str, last: str, expected: bool
) -> None:
    fields = {
        "population": {"enrolled_days": 30},
        "censoring": {"require_enrolled_to_end": False},
    }
    assert asked(member(enrolled=(span(first, last),)), **fields) is expected
    parted = (span("2020-01-01", after(-10)), span(after(-8), "2023-12-31"))
    assert not asked(member(enrolled=parted), **fields)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (ASTHMA, True),
        ({"codes": ["ICD10CM:E11"]}, False),
        ({"visit_types": ["OP"]}, True),
        ({"visit_types": ["IP"]}, False),
        ({**ASTHMA, "visit_types": ["RX"]}, False),
        ({**ASTHMA, "within_days": 10}, False),
        ({**ASTHMA, "within_days": 11}, True),
        ({**ASTHMA, "min_count": 2}, True),
        ({**ASTHMA, "min_count": 3}, False),
        ({**ASTHMA, "min_count": 2, "within_days": 40}, False),
        ({**ASTHMA, "min_count": 2, "within_days": 41}, True),
        ({**ASTHMA, "min_count": 2, "min_days_apart": 30}, True),
        ({**ASTHMA, "min_count": 2, "min_days_apart": 31}, False),
    ],
)
def test_criteria_demand_and_exclude(criterion: dict[str, Any], expected: bool) -> None:
    one = member(
        visit(after(-40), "OP", "ICD10CM:J4520"),
        visit(after(-10), "ED", "ICD10CM:J4521"),
        visit(after(-10), "OP", "ICD10CM:J4520"),
        visit(after(-1), "OP", "ICD10CM:J4520", length=2),
        visit(after(1), "IP", "ICD10CM:E119", "ICD10CM:J4520"),
    )
    assert asked(one, population={"require": [criterion]}) is expected
    assert asked(one, exclusions=[criterion]) is not expected


def test_all_that_is_required_must_be_met_and_nothing_that_excludes() -> None:
    one = member(visit(after(-5), "OP", "ICD10CM:J4520"))
    other = {"codes": ["CVX:*"]}
    assert not asked(one, population={"require": [ASTHMA, other]})
    assert not asked(one, exclusions=[other, ASTHMA])
    assert asked(one, population={"require": [ASTHMA]}, exclusions=[other])


@pytest.mark.parametrize(("washout", "expected"), [(30, True), (31, False)])
def test_washout(washout: int, expected: bool) -> None:
    one = member(visit(after(-30), "IP"))
    assert asked(one, washout_days=washout) is expected
    under_way = member(visit(after(-30), "IP", length=31))
    assert asked(under_way, washout_days=washout)


def test_washout_of_costs_adds_them_up() -> None:
    one = member(visit(after(-3), cost=60.0), visit(after(-2), cost=50.0))
    assert not asked(one, washout_days=4, outcome={"min_cost": 110})
    assert asked(one, washout_days=4, outcome={"min_cost": 110.5})
    assert asked(one, washout_days=3, outcome={"min_cost": 110})


@pytest.mark.parametrize(
    ("last", "expected"), [(after(100), [0]), (after(99), []), (after(0), [])]
)
def test_rows_not_seen_to_the_end_are_dropped(last: str, expected: list[int]) -> None:
    one = member(enrolled=(span("2020-01-01", last),))
    assert labels(one) == expected
    assert labels(one, censoring={"require_enrolled_to_end": False}) == [0]


def test_one_who_left_after_the_outcome_is_kept_unless_told_otherwise() -> None:
    one = member(visit(after(20), "IP"), enrolled=(span("2020-01-01", after(40)),))
    assert labels(one) == [1]
    assert labels(one, censoring={"keep_if_outcome": False}) == []


def test_a_window_beyond_the_data_is_dropped_whatever_happened() -> None:
    """Else the last index dates would have positives only."""
    one = member(visit(after(20), "IP"))
    frame = timelines(one)
    ends = {after(100): 1, after(99): 0}
    for end, rows in ends.items():
        assert label(task(), frame, data_end=day(end)).examples.height == rows
    never = task(censoring={"require_enrolled_to_end": False})
    assert label(never, frame, data_end=day(after(99))).examples.height == 1
    assert label(never, frame, data_end=day(after(-1))).examples.height == 0


def test_the_end_of_the_data_is_the_earlier_of_enrolment_and_visits() -> None:
    left = timelines(member(visit("2022-05-01")))
    right = timelines(
        member(enrolled=(span("2020-01-01", "2024-12-31"),)), member(enrolled=())
    )
    end = DataEnd.of(left).merge(DataEnd.of(right))
    assert end == DataEnd(day("2024-12-31"), day("2022-05-01"))
    assert end.day == day("2022-05-01")
    assert DataEnd().merge(end) == end
    assert DataEnd().day is None
    assert DataEnd.of(right).day == day("2024-12-31")


@pytest.mark.parametrize(
    ("every", "at", "expected"),
    [
        ("month", "first_day", ["2022-02-01", "2022-03-01", "2022-04-01"]),
        ("month", "last_day", ["2022-01-31", "2022-02-28", "2022-03-31"]),
        ("quarter", "first_day", ["2022-04-01"]),
        ("quarter", "last_day", ["2022-03-31"]),
        ("half_year", "first_day", []),
        ("year", "last_day", []),
    ],
)
def test_calendar_dates_lie_within_enrolment(
    every: str, at: str, expected: list[str]
) -> None:
    one = member(enrolled=(span("2022-01-02", "2022-04-02"),))
    assert index_dates(one, kind="calendar", every=every, at=at) == expected


def test_calendar_dates_fall_in_each_span_and_within_since_and_until() -> None:
    one = member(
        enrolled=(span("2021-01-01", "2021-08-01"), span("2022-06-01", "9999-12-31"))
    )
    half_years = {"kind": "calendar", "every": "half_year"}
    assert index_dates(one, **half_years) == [
        *("2021-01-01", "2021-07-01", "2022-07-01", "2023-01-01", "2023-07-01"),
    ]
    limits = {"since": "2021-07-01", "until": "2023-01-01"}
    assert index_dates(one, **half_years, **limits) == [
        *("2021-07-01", "2022-07-01", "2023-01-01"),
    ]


def test_an_index_date_on_the_end_of_each_visit() -> None:
    one = member(
        visit("2022-02-01", "IP", "ICD10CM:J4521", length=3),
        visit("2022-02-02", "IP", "ICD10CM:J4521", length=2),
        visit("2022-03-01", "IP", "ICD10CM:E119"),
        visit("2022-05-01", "ED", "ICD10CM:J4521"),
    )
    each = {"kind": "each_visit", "visit": {"visit_types": ["IP"]}}
    assert index_dates(one, **each) == ["2022-02-04", "2022-03-01"]
    each["visit"] = {"codes": ["ICD10CM:J45"]}
    assert index_dates(one, **each) == ["2022-02-04", "2022-05-01"]
    assert index_dates(one, kind="each_visit", visit={}) == [
        *("2022-02-04", "2022-03-01", "2022-05-01"),
    ]


def test_birthdays() -> None:
    birthday = {"kind": "birthday"}
    leap = member(birth=day("2016-02-29"))
    assert index_dates(leap, **birthday) == [
        *("2020-02-29", "2021-03-01", "2022-03-01", "2023-03-01"),
    ]
    infant = member(birth=day("2022-06-15"))
    assert index_dates(infant, **birthday) == ["2023-06-15"]
    assert index_dates(member(birth=None), **birthday) == []


def test_one_date_of_a_member_may_be_taken() -> None:
    quarters = {"kind": "calendar", "every": "quarter"}
    one = member(enrolled=(span("2022-01-01", "2022-12-31"),))
    every = index_dates(one, **quarters)
    assert index_dates(one, **quarters, take="first") == [every[0]]
    assert index_dates(one, **quarters, take="last") == [every[-1]]
    drawn = index_dates(one, **quarters, take="random")
    assert len(drawn) == 1
    assert drawn[0] in every


def test_the_random_date_is_spread_and_another_task_draws_others() -> None:
    year = (span("2022-01-01", "2022-12-31"),)
    many = [member(id=f"{number:032x}", enrolled=year) for number in range(400)]
    index = {"kind": "calendar", "every": "quarter", "take": "random"}
    drawn = labelled(*many, index=index, window_days=1)
    counts = drawn["index_day"].value_counts()["count"]
    assert len(counts) == 4
    assert counts.min() > 60
    again = labelled(*many, index=index, window_days=1)
    assert drawn.equals(again)
    other = labelled(*many, index=index, window_days=1, name="other")
    assert not drawn["index_day"].equals(other["index_day"])


def test_attrition_counts_members_and_rows_at_each_step() -> None:
    year = (span("2022-01-01", "2022-12-31"),)
    sick = visit("2022-03-01", "OP", "ICD10CM:J4520")
    people = [
        member(sick, visit("2022-05-01", "IP"), enrolled=year, id="0" * 32),
        member(sick, enrolled=year, birth=day("1990-01-01"), id="1" * 32),
        member(enrolled=year, id="2" * 32),
        member(enrolled=(), id="3" * 32),
    ]
    spec = task(
        index={"kind": "calendar", "every": "quarter", "take": "first"},
        population={
            "ages": {"max": 17},
            "require": [{**ASTHMA, "name": "asthma"}],
        },
        washout_days=10,
        exclusions=[{"visit_types": ["ED"], "within_days": 30}],
    )
    result = label(spec, timelines(*people), split="train", data_end=END)
    assert [
        (step.name, step.members, step.rows) for step in result.attrition.steps
    ] == [
        ("members read", 4, 0),
        ("index date: first day of a quarter", 3, 12),
        ("aged 0 to 17", 2, 8),
        ("enrolled on the index date", 2, 8),
        ("asthma", 1, 3),
        ("not: ED visit in the last 30 days", 1, 3),
        ("no outcome in the last 10 days", 1, 3),
        ("data reach the end of the window", 1, 3),
        ("first index date of the member", 1, 1),
        ("enrolled to the end of the window, or outcome before", 1, 1),
    ]
    assert result.attrition.splits == {"train": SplitCounts(1, 1, 1)}
    assert result.attrition.ages == {11: 1}
    assert Attrition.from_dict(result.attrition.to_dict()) == result.attrition


def test_readmission_asks_after_each_discharge() -> None:
    one = member(
        visit("2021-03-01", "IP", length=5),
        visit("2021-03-06", "IP", length=1),
        visit("2021-04-05", "IP"),
        visit("2021-05-06", "IP"),
        birth=day("1950-01-01"),
    )
    examples = label(load_task("readmission_30d"), timelines(one), data_end=END)
    found = examples.examples.select("index_day", "label", "visit_outcome").rows()
    assert found == [
        (day("2021-03-06"), 1, [1]),  # 30 days later; not the transfer of that day
        (day("2021-03-07"), 1, [1, 1]),
        (day("2021-04-05"), 0, [1, 1, 1]),  # 31 days later
        (day("2021-05-06"), 0, [1, 1, 1, 1]),
    ]


def test_the_asthma_task_on_a_child() -> None:
    spec = load_task("asthma_exacerbation")
    asthma = [
        visit(f"2021-{month}-10", "OP", "ICD10CM:J4520") for month in ("02", "05")
    ]
    attack = visit("2021-11-20", "ED", "ICD10CM:J45901")
    child = member(*asthma, attack, enrolled=(span("2021-01-01", "2022-06-30"),))
    end = day("2022-06-30")
    results = label(spec, timelines(child), data_end=end).examples
    assert results.select("index_day", "label").rows() == [
        (day("2021-07-01"), 1),
        (day("2022-01-01"), 0),
    ]
    adult = child._replace(birth=day("2000-01-01"))
    assert label(spec, timelines(adult), data_end=end).examples.is_empty()


def test_a_member_is_in_one_split_only() -> None:
    many = [
        member(visit("2022-02-01", "IP"), id=f"{number * 2**32 // 50:08x}" * 4)
        for number in range(50)
    ]
    frame = timelines(*many)
    index = {"kind": "calendar", "every": "month"}
    splits = split_of(frame["patient_id"])
    parts = {
        name: label(task(index=index), frame.filter(splits == name), split=name)
        for name in ("train", "eval", "test")
    }
    sets = [set(part.examples["patient_id"]) for part in parts.values()]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 50
    for name, part in parts.items():
        again = split_of(part.examples["patient_id"])
        assert (again == name).all()
