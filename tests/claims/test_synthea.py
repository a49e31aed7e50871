"""The Synthea reader: encounters and what belongs to them, insurance, open data."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA
from claimpt_tf.claims.readers.synthea import SyntheaReader
from tests.claims.reading import read_all
from tests.claims.test_synpuf import day

Row = Mapping[str, str]

BELONGS: Row = {
    "START": "2019-03-07T10:00:00Z",
    "PATIENT": "A",
    "ENCOUNTER": "E1",
    "CODE": "195967001",
}
DEFAULTS: Mapping[str, Row] = {
    "patients": {
        "Id": "A",
        "BIRTHDATE": "2010-05-16",
        "DEATHDATE": "",
        "GENDER": "F",
        "RACE": "white",
    },
    "encounters": {
        "Id": "E1",
        "START": "2019-03-07T10:00:00Z",
        "STOP": "2019-03-09T09:00:00Z",
        "PATIENT": "A",
        "ORGANIZATION": "hospital",
        "ENCOUNTERCLASS": "inpatient",
        "CODE": "185345009",
        "PAYER_COVERAGE": "80.5",
        "REASONCODE": "195967001",
    },
    "conditions": BELONGS,
    "procedures": {**BELONGS, "CODE": "430193006"},
    "medications": {**BELONGS, "CODE": "895994", "PAYER_COVERAGE": "12"},
    "immunizations": {
        "DATE": "2019-03-08T10:00:00Z",
        "PATIENT": "A",
        "ENCOUNTER": "E1",
        "CODE": "08",
    },
    "payer_transitions": {
        "PATIENT": "A",
        "START_YEAR": "2018-06-01T04:17:47Z",
        "END_YEAR": "2019-06-01T04:17:47Z",
        "PAYER": "P1",
    },
    "payers": {"Id": "P1", "NAME": "Humana"},
}


def write(folder: Path, table: str, *rows: Row) -> None:
    with (folder / f"{table}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(DEFAULTS[table]))
        writer.writeheader()
        writer.writerows({**DEFAULTS[table], **row} for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for table in DEFAULTS:
        write(tmp_path, table, {})
    return tmp_path


def test_one_row_of_each_table(folder: Path) -> None:
    got = read_all(SyntheaReader(), folder)
    assert got.events.schema == EVENT_SCHEMA
    assert got.members.schema == MEMBER_SCHEMA
    assert got.quarantined.is_empty()
    assert got.events["encounter"].unique().to_list() == ["E1"]
    shown = ("source", "setting", "system", "code", "amount")
    assert got.events.select(shown).rows() == [
        ("encounters.csv", "IP", "SNOMED", "185345009", 80.5),
        ("encounters.csv", "IP", "SNOMED", "195967001", 0.0),
        ("conditions.csv", None, "SNOMED", "195967001", 0.0),
        ("procedures.csv", None, "SNOMED", "430193006", 0.0),
        ("medications.csv", "RX", "RXNORM", "895994", 12.0),
        ("immunizations.csv", None, "CVX", "08", 0.0),
    ]
    assert got.events["end_day"][0] == day("2019-03-09")
    assert got.events["day"][5] == day("2019-03-08")
    assert got.events["institution"][0] == "hospital"
    assert got.members.select("birth_day", "sex", "race").row(0) == (
        day("2010-05-16"),
        "F",
        "white",
    )
    assert got.members.select("enrolled_from", "enrolled_to").row(1) == (
        day("2018-06-01"),
        day("2019-06-01"),
    )


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("Emergency", "ED"),
        ("wellness", "OP"),
        ("urgentcare", "OP"),
        ("snf", "OTHER"),
        ("", "OTHER"),
    ],
)
def test_setting(folder: Path, kind: str, setting: str) -> None:
    write(folder, "encounters", {"ENCOUNTERCLASS": kind})
    assert read_all(SyntheaReader(), folder).events["setting"][0] == setting


def test_years_are_whole_ones(folder: Path) -> None:
    write(folder, "payer_transitions", {"START_YEAR": "2017", "END_YEAR": "2018"})
    spans = read_all(SyntheaReader(), folder).members.drop_nulls("enrolled_from")
    assert spans.select("enrolled_from", "enrolled_to").rows() == [
        (day("2017-01-01"), day("2018-12-31"))
    ]


def test_times_without_insurance_are_left_out_by_rule(folder: Path) -> None:
    write(folder, "payers", {}, {"Id": "P9", "NAME": "no_insurance"})
    known = {"PAYER": "b1c428d6-4f07-31e0-90f0-68ffa6ff8c76"}
    write(folder, "payer_transitions", {}, {"PAYER": "P9"}, known)
    reasons = read_all(SyntheaReader(), folder).reasons()
    assert [(row, reason) for _, row, reason, _ in reasons] == [
        (2, "not_covered"),
        (3, "not_covered"),
    ]


def test_death_ends_enrolment(folder: Path) -> None:
    write(folder, "patients", {"DEATHDATE": "2018-12-24"})
    write(folder, "payer_transitions", {}, {"START_YEAR": "2019-01-01"})
    got = read_all(SyntheaReader(), folder)
    assert got.members["enrolled_to"].to_list() == [None, day("2018-12-24")]
    assert got.reasons() == [("payer_transitions", 2, "end_before_start", "DEATHDATE")]


def test_a_death_told_in_two_files_is_one(folder: Path) -> None:
    write(folder, "patients", {"DEATHDATE": "2018-12-24"})
    (folder / "patients").mkdir()
    (folder / "patients.csv").rename(folder / "patients" / "1.csv")
    shutil.copy(folder / "patients" / "1.csv", folder / "patients" / "2.csv")
    got = read_all(SyntheaReader(), folder)
    assert got.members["enrolled_to"].drop_nulls().to_list() == [day("2018-12-24")]


def test_a_drug_prescribed_twice_is_no_repeat(folder: Path) -> None:
    with (folder / "medications.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*DEFAULTS["medications"], "STOP"])
        values = [*DEFAULTS["medications"].values()]
        writer.writerows([*values, stop] for stop in ("2019-03-07", "2020-03-07", ""))
    got = read_all(SyntheaReader(), folder).events
    claims = got.filter(pl.col("setting") == "RX")["claim"]
    assert claims.to_list() == ["E1 until 2019-03-07", "E1 until 2020-03-07", "E1"]


def test_rows_that_cannot_be_used(folder: Path) -> None:
    write(
        folder,
        "conditions",
        {"PATIENT": " "},
        {"START": "someday"},
        {"START": ""},
        {"ENCOUNTER": ""},
    )
    assert sorted(read_all(SyntheaReader(), folder).reasons()) == [
        ("conditions", 1, "member_missing", "PATIENT"),
        ("conditions", 2, "date_unparsable", "START"),
        ("conditions", 3, "date_missing", "START"),
        ("conditions", 4, "claim_missing", "ENCOUNTER"),
    ]


def test_open_data_reconciles(open_data: Path) -> None:
    folder = open_data / "synthea"
    got = read_all(SyntheaReader(), folder, 100)
    for table, lines in got.lines.items():
        raw = pl.read_csv(folder / f"{table}.csv", infer_schema=False)
        assert lines == len(raw), table
    used = [
        frame.select("source", "row").unique() for frame in (got.events, got.members)
    ]
    assert got.quarantined["reason"].unique().to_list() == ["not_covered"]
    assert len(got.quarantined) == 258
    assert sum(map(len, used)) + len(got.quarantined) == sum(got.lines.values())
    assert got.events["system"].null_count() == 0
    encounters = pl.read_csv(folder / "encounters.csv", infer_schema=False)
    medications = pl.read_csv(folder / "medications.csv", infer_schema=False)
    paid = sum(
        float(frame["PAYER_COVERAGE"].cast(pl.Float64).sum())
        for frame in (encounters, medications)
    )
    assert got.events["amount"].sum() == pytest.approx(paid)
