"""The OMOP reader: its tables, codes by the best that is known, and open data."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA
from claimpt_tf.claims.preflight import check_input
from claimpt_tf.claims.readers.omop import OmopReader
from claimpt_tf.errors import InputError
from tests.claims.omop_folder import ASTHMA, OmopFolder, omop_folder
from tests.claims.reading import read_all
from tests.claims.test_synpuf import day


@pytest.fixture
def folder(tmp_path: Path) -> OmopFolder:
    return omop_folder(tmp_path / "input")


def test_one_row_of_each_table(folder: OmopFolder) -> None:
    got = read_all(OmopReader(), folder)
    assert got.events.schema == EVENT_SCHEMA
    assert got.members.schema == MEMBER_SCHEMA
    assert got.quarantined.is_empty()
    shown = ("setting", "encounter", "claim", "system", "code")
    assert got.events.select(shown).rows() == [
        ("OP", "70", "70", None, None),
        (None, "70", "700", "ICD10CM", "J45901"),
        ("RX", None, "701", "RXNORM", "435"),
        (None, "70", "702", "HCPCS", "99213"),
    ]
    assert got.events["institution"].to_list() == ["3", *["unknown"] * 3]
    assert got.members.select("birth_day", "sex", "enrolled_from").rows() == [
        (day("2010-05-16"), "F", None),
        (None, None, day("2018-01-01")),
    ]
    assert set(got.lines) == {
        "person",
        "visit_occurrence",
        "condition_occurrence",
        "drug_exposure",
        "procedure_occurrence",
        "observation_period",
    }


def test_columns_named_by_an_expression(folder: OmopFolder) -> None:
    plain = read_all(OmopReader(), folder)
    for table in ("visit_occurrence", "procedure_occurrence", "observation_period"):
        folder.write(table, {}, rename="date({},'unixepoch')")
    got = read_all(OmopReader(), folder)
    assert got.events.equals(plain.events)
    assert got.members.equals(plain.members)


@pytest.mark.parametrize(
    ("concept", "setting"),
    [
        ("9201", "IP"),
        ("262", "IP"),
        ("9203", "ED"),
        ("9202", "OP"),
        ("5083", "OP"),
        ("581458", "RX"),
        ("42898160", "OTHER"),
        ("0", "OTHER"),
        ("", "OTHER"),
    ],
)
def test_setting_of_a_visit(folder: OmopFolder, concept: str, setting: str) -> None:
    folder.write("visit_occurrence", {"visit_concept_id": concept})
    got = read_all(OmopReader(), folder)
    assert got.events["setting"][0] == setting


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "ICD10CM:J45901"),
        ({"condition_source_concept_id": "0"}, "SNOMED:195967001"),
        (
            {
                "condition_source_concept_id": "0",
                "condition_source_value": "ICD9CM:493.90",
            },
            "ICD9CM:49390",
        ),
        ({"condition_source_concept_id": "5", "condition_concept_id": "6"}, "OMOP:6"),
        ({"condition_source_concept_id": "5", "condition_concept_id": "0"}, "OMOP:5"),
        ({"condition_source_concept_id": "", "condition_concept_id": "0"}, None),
    ],
)
def test_best_known_code(
    folder: OmopFolder, fields: dict[str, str], code: str | None
) -> None:
    folder.write("condition_occurrence", fields)
    got = read_all(OmopReader(), folder).events.filter(pl.col("claim") == "700")
    assert got.select(pl.format("{}:{}", "system", "code")).item() == code


def test_concept_ids_are_kept_without_a_concept_table(folder: OmopFolder) -> None:
    (folder.path / "concept.csv").unlink()
    got = read_all(OmopReader(), folder).events
    assert got["system"].to_list() == [None, "OMOP", "OMOP", "HCPCS"]
    assert got["code"][1] == "317009"


def test_tables_beside_concept_are_not_taken_for_it(folder: OmopFolder) -> None:
    (folder.path / "concept_relationship.csv").write_text("a,b\n1,2\n")
    (folder.path / "source_to_concept_map.csv").write_text("a,b\n1,2\n")
    check_input("omop", str(folder))


def test_enrolment_is_payer_plans_where_there_are_any(folder: OmopFolder) -> None:
    folder.write("payer_plan_period", {}, {"payer_plan_period_end_date": ""})
    got = read_all(OmopReader(), folder)
    spans = got.members.drop_nulls("enrolled_from")
    assert spans["enrolled_from"].unique().to_list() == [day("2019-01-01")]
    assert spans["institution"].to_list() == ["payer a"] * 2
    assert got.reasons() == [
        ("payer_plan_period", 2, "end_open", "payer_plan_period_end_date")
    ]
    folder.write("payer_plan_period")
    (folder.path / "observation_period.csv").unlink()
    with pytest.raises(InputError, match="no file for the table 'observation_period'"):
        check_input("omop", str(folder))


def test_birth_by_what_is_given(folder: OmopFolder) -> None:
    folder.write(
        "person",
        {"birth_datetime": "2010-05-20T04:00:00"},
        {"month_of_birth": "", "day_of_birth": ""},
        {"year_of_birth": "", "gender_concept_id": "0", "gender_source_value": "x"},
        {"year_of_birth": "20X0", "gender_concept_id": "0"},
        {"year_of_birth": "2999"},
    )
    got = read_all(OmopReader(), folder)
    people = got.members.filter(pl.col("enrolled_from").is_null())
    assert people["birth_day"].to_list() == [
        day("2010-05-20"),
        day("2010-01-01"),
        None,
        None,
        None,
    ]
    assert people["sex"].to_list() == ["F", "F", "U", "F", "F"]
    assert got.reasons() == [
        ("person", 4, "birth_unparsable", "year_of_birth"),
        ("person", 5, "birth_in_future", "year_of_birth"),
    ]


def test_rows_that_cannot_be_used(folder: OmopFolder) -> None:
    folder.write(
        "visit_occurrence",
        {},
        {"person_id": ""},
        {"visit_start_date": ""},
        {"visit_start_date": "spring"},
        {"visit_end_date": "2019-03-01"},
    )
    folder.write("procedure_occurrence", {"procedure_date": "2999-01-01"})
    got = read_all(OmopReader(), folder)
    visits = "visit_occurrence"
    assert sorted(got.reasons()) == [
        ("procedure_occurrence", 1, "date_in_future", "procedure_date"),
        (visits, 2, "member_missing", "person_id"),
        (visits, 3, "date_missing", "visit_start_date"),
        (visits, 4, "date_unparsable", "visit_start_date"),
        (visits, 5, "end_before_start", "visit_end_date"),
    ]


def test_changed_concepts_are_read_again(folder: OmopFolder) -> None:
    before = read_all(OmopReader(), folder).events["code"][1]
    folder.write("concept", {"concept_code": "J45.20"}, ASTHMA)
    after = read_all(OmopReader(), folder).events["code"][1]
    assert (before, after) == ("J45901", "J4520")


def test_open_data_reconciles(open_data: Path) -> None:
    folder = open_data / "omop_gibleed"
    got = read_all(OmopReader(), folder, 50_000)
    for table, lines in got.lines.items():
        with gzip.open(folder / f"{table}.csv.gz", "rb") as file:
            assert lines == sum(1 for _ in file) - 1, table
    assert got.lines["condition_occurrence"] == 65_332
    assert got.quarantined.is_empty()
    assert len(got.events) + len(got.members) == sum(got.lines.values())
    systems = dict(got.events.group_by("system").len().rows())
    assert systems == {
        None: 1_037,
        "SNOMED": 64_853 + 37_409,
        "ICD10CM": 479,
        "RXNORM": 39_303,
        "CVX": 25_710,
        "NDC": 2_694,
    }
    assert got.members["sex"].drop_nulls().is_in(["F", "M"]).all()
