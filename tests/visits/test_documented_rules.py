"""Every example of docs/visits.md is run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.readers.omop import OmopReader
from claimpt_tf.claims.readers.tuva import TuvaReader
from claimpt_tf.visits.assemble import assemble
from claimpt_tf.visits.rules import VisitRules
from tests.claims.omop_folder import omop_folder
from tests.claims.reading import read_all
from tests.claims.tuva_folder import DEFAULTS, TuvaFolder
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


@pytest.mark.parametrize(
    "example", [e for e in examples() if list(e.expected[0]) == ENROLMENT]
)
def test_enrolment(example: Example) -> None:
    made = assemble(
        tables.events(),
        tables.members(
            *(
                tables.member(enrolled=(int(row["from"]), int(row["to"])))
                for row in example.given
            )
        ),
        example.rules,
    )
    spans = zip(
        *made.timelines.select("enrolled_from", "enrolled_to").row(0), strict=True
    )
    assert [{"from": str(a), "to": str(b)} for a, b in spans] == example.expected


def test_members() -> None:
    (example,) = (e for e in examples() if "sex" in e.expected[0])
    names = {row["member"]: row["member"] * 32 for row in example.given}
    made = assemble(
        tables.events(),
        tables.members(
            *(
                tables.member(
                    names[row["member"]],
                    int(row["birth"]) if row["birth"] else None,
                    row["sex"] or None,
                    (int(row["from"]), int(row["to"])),
                )
                for row in example.given
            )
        ),
    )
    assert [
        {"member": who[0], "birth": str(birth), "sex": sex}
        for who, birth, sex in made.timelines.select(
            "patient_id", "birth_days", "sex"
        ).rows()
    ] == example.expected
    assert {
        name.split("/")[-1]: count
        for name, count in made.counts.items()
        if name.startswith("rows/eligibility/")
    } == example.fates
    assert made.counts["members/sex_unknown"] == 1
    assert made.counts["members/birth_date_conflict"] == 1


def settings() -> list[dict[str, str]]:
    """The rows of tables that end in a column `setting`."""
    found = []
    for block in PAGE.read_text().split("\n\n"):
        lines = block.strip().splitlines()
        if block.startswith("|") and lines[0].rstrip("| ").endswith("| setting"):
            rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
            found += [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    return [row for row in found if "claim" not in row]


@pytest.mark.parametrize("row", settings(), ids=lambda row: "-".join(row.values()))
def test_settings(row: dict[str, str], tmp_path: Path) -> None:
    given = {name: cell for name, cell in row.items() if name != "setting"}
    if "visit_concept_id" in row:
        omop_folder(tmp_path).write("visit_occurrence", given)
        lines = read_all(OmopReader(), tmp_path).events
    else:
        folder = TuvaFolder(tmp_path)
        for table in DEFAULTS:
            folder.write(table, given if table == "medical_claim" else {})
        lines = read_all(TuvaReader(), tmp_path).events
    # A row of a visit without a setting of its own takes the visit's.
    told = lines.filter(pl.col("setting").is_not_null() & (pl.col("setting") != "RX"))
    assert set(told["setting"]) == {row["setting"]}
