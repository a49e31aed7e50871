"""The kernel against the same rules in plain Python, and what must never change."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claimpt_tf.claims.events import EVENT_SCHEMA, QUARANTINE_SCHEMA
from claimpt_tf.visits.assemble import Assembled, assemble
from claimpt_tf.visits.records import TIMELINE_SCHEMA, encode
from claimpt_tf.visits.rules import VisitRules
from tests.visits import drawn, naive
from tests.visits.tables import CHILD, OTHER_CHILD, events, line, member, members


def fates(made: Assembled, table: str = "claims") -> dict[str, int]:
    return {
        name.split("/")[-1]: count
        for name, count in made.counts.items()
        if name.startswith(f"rows/{table}/")
    }


def visits_of(made: Assembled, child: str = CHILD) -> list[tuple[Any, ...]]:
    row = made.timelines.filter(patient_id=child)
    columns = ["visit_days", "visit_length", "visit_types", "codes", "cost"]
    return list(zip(*row.select(columns).row(0), strict=True))


@settings(max_examples=40)
@given(drawn.seeds, drawn.rules)
def test_equals_the_rules_in_plain_python(seed: int, rules: VisitRules) -> None:
    lines = drawn.lines(seed)
    made = assemble(events(*lines), members(*drawn.PEOPLE), rules)
    plain = [{**one, "codes": sorted(one["codes"])} for one in lines]
    expected, expected_fates = naive.timelines(plain, drawn.PEOPLE, rules)
    for child in drawn.CHILDREN:
        assert visits_of(made, child) == expected[child], child
    assert fates(made) == dict(expected_fates)


@settings(max_examples=15)
@given(drawn.seeds, drawn.rules, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(
    seed: int, rules: VisitRules, chance: random.Random
) -> None:
    lines = drawn.lines(seed)
    table, people = events(*lines), members(*drawn.PEOPLE)
    straight = assemble(table, people, rules)
    order = chance.sample(range(table.height), table.height)
    shuffled = assemble(table[order], people.reverse(), rules)
    assert encode(shuffled.timelines) == encode(straight.timelines)
    assert shuffled.quarantined.equals(straight.quarantined)
    assert shuffled.counts == straight.counts


@settings(max_examples=15)
@given(drawn.seeds, drawn.rules)
def test_rows_delivered_twice_change_nothing(seed: int, rules: VisitRules) -> None:
    lines = drawn.lines(seed)
    once = events(*lines)
    again = events(*lines, first_row=len(lines) + 1)
    people = members(*drawn.PEOPLE)
    made = assemble(once, people, rules)
    twice = assemble(pl.concat([once, again]), pl.concat([people] * 2), rules)
    assert twice.timelines.equals(made.timelines)


@settings(max_examples=15)
@given(drawn.seeds, drawn.rules)
def test_every_line_has_one_fate(seed: int, rules: VisitRules) -> None:
    lines = drawn.lines(seed)
    made = assemble(events(*lines), members(*drawn.PEOPLE), rules)
    assert sum(fates(made).values()) == len(lines)
    assert made.quarantined.schema == QUARANTINE_SCHEMA
    reasons = Counter(made.quarantined["reason"].to_list())
    assert reasons == {
        name.split("/")[-1]: count
        for name, count in made.counts.items()
        if "/quarantined/" in name
    }
    assert made.timelines.schema == TIMELINE_SCHEMA


def test_nothing_in_gives_nothing() -> None:
    made = assemble(events(), members().clear())
    assert made.timelines.is_empty()
    assert made.timelines.schema == TIMELINE_SCHEMA
    assert made.quarantined.schema == QUARANTINE_SCHEMA


def test_member_without_claims_has_an_empty_timeline() -> None:
    made = assemble(events(), members())
    assert made.timelines.height == 1
    assert visits_of(made) == []
    assert made.counts["members/without_visits"] == 1
    assert "first_day" not in made.counts


def test_member_without_enrolment() -> None:
    stranger = member(OTHER_CHILD, enrolled=None)
    made = assemble(
        events(line("1", 1, "OP", 5, member=OTHER_CHILD), line("2", 1, "OP", 5)),
        members(member(), stranger),
    )
    assert made.timelines["patient_id"].to_list() == [CHILD]
    assert made.quarantined.select("table", "row", "reason").rows() == [
        ("claims", 1, "member_without_enrolment"),
        ("eligibility", 2, "member_without_enrolment"),
    ]


def test_member_without_birth_date() -> None:
    made = assemble(events(line("1", 1, "OP", 5)), members(member(birth_day=None)))
    assert made.timelines.is_empty()
    assert made.quarantined.select("table", "reason", "column").rows() == [
        ("claims", "birth_date_missing", "birth_day"),
        ("eligibility", "birth_date_missing", "birth_day"),
    ]


def test_line_before_birth_without_touching_the_rest() -> None:
    made = assemble(
        events(line("1", 1, "OP", 9), line("2", 1, "OP", 10)),
        members(member(birth_day=10)),
    )
    assert [visit[0] for visit in visits_of(made)] == [10]
    assert made.quarantined["reason"].to_list() == ["before_birth"]


def test_enrolment_that_ends_before_it_starts() -> None:
    made = assemble(
        events(), members(member(enrolled=(50, 40)), member(enrolled=(60, 90)))
    )
    assert made.timelines["enrolled_from"].to_list() == [[60]]
    assert made.quarantined["reason"].to_list() == ["enrolment_ends_before_start"]
    assert fates(made, "eligibility") == {"kept": 1, "enrolment_ends_before_start": 1}


def test_latest_enrolment_decides_where_rows_disagree() -> None:
    made = assemble(
        events(),
        members(
            member(birth_day=3, sex="M", institution="south", enrolled=(400, 500)),
            member(birth_day=2, sex="F", institution="north", enrolled=(0, 100)),
            member(birth_day=None, sex=None, institution=None, enrolled=(600, 700)),
        ),
    )
    chosen = made.timelines.select("birth_days", "sex", "institution").row(0)
    assert chosen == (3, "M", "south")
    assert made.counts["members/birth_date_conflict"] == 1


@pytest.mark.parametrize("sex", [None, "", "X", "U"])
def test_unknown_sex_is_u(sex: str | None) -> None:
    made = assemble(events(), members(member(sex=sex)))
    assert made.timelines["sex"].to_list() == ["U"]


def test_institution_of_the_latest_line_where_eligibility_has_none() -> None:
    lines = events(
        line("2", 1, "OP", 20, institution="south"),
        line("1", 1, "OP", 10, institution="north"),
        line("3", 1, "OP", 30, institution=None),
    )
    for nowhere in (None, "", "unknown"):
        silent = members(member(institution=nowhere))
        assert assemble(lines, silent).timelines["institution"].item() == "south"
        made = assemble(events(), silent)
        assert made.timelines["institution"].item() == "unknown"


def test_claim_ids_of_two_tables_do_not_meet() -> None:
    stay = events(line("1", 1, "IP", 10, end=12, paid=50))
    fill = events(line("1", 1, "IP", 10, end=12, paid=-50))
    apart = pl.concat(
        [
            stay.with_columns(table=pl.lit("medical_claim")),
            fill.with_columns(table=pl.lit("pharmacy_claim")),
        ]
    )
    made = assemble(apart, members())
    assert fates(made, "medical_claim") == {"kept": 1}
    assert fates(made, "pharmacy_claim") == {"reversal_without_original": 1}


def test_lines_without_claim_id_are_claims_of_their_own() -> None:
    lines = events(line("1", 0, "OP", 10, paid=5), line("1", 0, "OP", 10, paid=5))
    orphans = lines.with_columns(claim=pl.lit(None, pl.String))
    assert fates(assemble(orphans, members())) == {"kept": 2}


def test_amounts_add_up_exactly() -> None:
    lines = [line("1", number, "OP", 10, paid=0.1) for number in range(1, 31)]
    made = assemble(events(*lines), members())
    assert visits_of(made)[0][-1] == pytest.approx(3.0, abs=1e-6)


def test_missing_and_endless_amounts_cost_nothing() -> None:
    lines = events(line("1", 1, "OP", 10), line("1", 2, "OP", 10, paid=4))
    for missing in (None, float("nan"), float("inf")):
        odd = lines.with_columns(
            amount=pl.when(pl.col("line") == 1)
            .then(pl.lit(missing, pl.Float64))
            .otherwise("amount")
        )
        assert visits_of(assemble(odd, members()))[0][-1] == 4.0


def test_one_member_with_many_lines() -> None:
    count = 200_000
    table = pl.select(
        member=pl.repeat(CHILD, count),
        day=pl.int_range(count, dtype=pl.Int32) % 3000,
        system=pl.lit("ICD10CM"),
        code=(pl.int_range(count) % 500).cast(pl.String),
        setting=pl.lit("OP"),
        encounter=pl.lit(None, dtype=pl.String),
        claim=(pl.int_range(count) // 4).cast(pl.String),
        line=pl.int_range(count, dtype=pl.Int32) % 4,
        amount=pl.lit(1.0),
        denied=pl.lit(False),
        institution=pl.lit("north"),
        source=pl.lit("claims.csv"),
        row=pl.int_range(count) + 1,
    ).with_columns(end_day="day")
    made = assemble(table.select(list(EVENT_SCHEMA)), members())
    assert len(visits_of(made)) == 3000
    assert fates(made) == {"kept": count}
