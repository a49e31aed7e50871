"""Members and tasks written by hand, a line each."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import polars as pl

from claimpt_tf.tasks.spec import Task
from claimpt_tf.visits.records import TIMELINE_SCHEMA

EPOCH = date(1970, 1, 1)


def day(text: str) -> int:
    """Days since 1970 of an ISO date."""
    return (date.fromisoformat(text) - EPOCH).days


class Visit(NamedTuple):
    day: int
    type: str = "OP"
    codes: tuple[str, ...] = ()
    length: int = 0
    cost: float = 0.0


def visit(when: str, type_: str = "OP", *codes: str, **more: Any) -> Visit:
    return Visit(day(when), type_, codes, **more)


class Member(NamedTuple):
    visits: tuple[Visit, ...] = ()
    enrolled: tuple[tuple[int, int], ...] = ((day("2020-01-01"), day("2023-12-31")),)
    birth: int | None = day("2010-06-15")
    sex: str = "F"
    institution: str = "A"
    id: str = "00" * 16


def member(*visits: Visit, **more: Any) -> Member:
    return Member(tuple(sorted(visits, key=lambda one: one.day)), **more)


def span(first: str, last: str) -> tuple[int, int]:
    return day(first), day(last)


def timelines(*members: Member) -> pl.DataFrame:
    rows = [
        {
            "patient_id": one.id,
            "sex": one.sex,
            "birth_days": one.birth,
            "institution": one.institution,
            "enrolled_from": [first for first, _ in one.enrolled],
            "enrolled_to": [last for _, last in one.enrolled],
            "visit_days": [visit.day for visit in one.visits],
            "visit_types": [visit.type for visit in one.visits],
            "visit_length": [visit.length for visit in one.visits],
            "codes": [list(visit.codes) for visit in one.visits],
            "cost": [visit.cost for visit in one.visits],
        }
        for one in members
    ]
    return pl.DataFrame(rows, schema=TIMELINE_SCHEMA)


def task(**fields: Any) -> Task:
    """A task that asks on 2022-01-01 for an admission in the 100 days after."""
    given = {
        "name": "asked",
        "index": {"kind": "fixed", "date": "2022-01-01"},
        "outcome": {"visit_types": ["IP"]},
        "window_days": 100,
        **fields,
    }
    return Task.model_validate(given)
