"""Every example of docs/visits.md is run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from claimpt_tf.visits.assemble import assemble
from claimpt_tf.visits.rules import VisitRules
from tests.visits import tables

PAGE = Path(__file__).resolve().parents[2] / "docs" / "visits.md"
ENROLMENT = ["from", "to"]


@dataclass
class Example:
    title: str
    rules: VisitRules
    given: list[dict[str, str]]
    fates: dict[str, int]
    expected: list[dict[str, str]] = field(default_factory=list)


def examples() -> list[Example]:
    """Each table that is followed by "becomes" and another table."""
    found: list[Example] = []
    title, rules, table, fates = "", VisitRules(), [], None
    for block in PAGE.read_text().split("\n\n"):
        if block.startswith("#"):
            title, rules = block.lstrip("# "), VisitRules()
        elif match := re.match(r"With `(\{.*\})`", block):
            rules = VisitRules(**json.loads(match[1]))
        elif block.startswith("becomes"):
            fates = {
                fate: int(count)
                for count, fate in re.findall(
                    r"(\d+) (\w+)", block.partition("with")[2]
                )
            }
        elif block.startswith("|"):
            rows = [
                [cell.strip() for cell in line.strip("|").split("|")]
                for line in block.strip().splitlines()
            ]
            previous = table
            table = [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
            if fates is not None:
                found.append(Example(title, rules, previous, fates, table))
                rules, fates = VisitRules(), None
    return found


def test_the_page_has_examples() -> None:
    assert len(examples()) >= 15


@pytest.mark.parametrize(
    "example",
    [e for e in examples() if "day" in e.expected[0]],
    ids=lambda example: (
        f"{example.title}-{example.rules.model_dump_json()}"
        if example.rules != VisitRules()
        else example.title
    ),
)
def test_visits(example: Example) -> None:
    events = tables.events(
        *(
            tables.line(
                row["claim"],
                int(row["line"]),
                row["setting"] or None,
                int(row["day"]),
                *filter(None, row["codes"].split(", ")),
                end=int(row["end"]) if row.get("end") else None,
                paid=float(row["paid"] or 0),
                denied=row.get("denied") == "yes",
                encounter=row.get("encounter") or None,
            )
            for row in example.given
        )
    )
    made = assemble(events, tables.members(), example.rules)
    assert [
        {
            "day": str(day),
            "length": str(length),
            "type": type_,
            "codes": ", ".join(codes),
            "cost": f"{cost:g}",
        }
        for day, length, type_, codes, cost in zip(
            *made.timelines.select(
                "visit_days", "visit_length", "visit_types", "codes", "cost"
            ).row(0),
            strict=True,
        )
    ] == example.expected
    assert {
        name.split("/")[-1]: count
        for name, count in made.counts.items()
        if name.startswith("rows/claims/")
    } == example.fates


def test_enrolment() -> None:
    (example,) = (e for e in examples() if list(e.expected[0]) == ENROLMENT)
    made = assemble(
        tables.events(),
        tables.members(
            *(
                tables.member(enrolled=(int(row["from"]), int(row["to"])))
                for row in example.given
            )
        ),
    )
    spans = zip(
        *made.timelines.select("enrolled_from", "enrolled_to").row(0), strict=True
    )
    assert [{"from": str(a), "to": str(b)} for a, b in spans] == example.expected
