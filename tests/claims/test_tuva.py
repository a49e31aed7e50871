"""The Tuva reader: each rule of docs/sources.md, row-level faults, and open data."""

from __future__ import annotations

import datetime
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.cells import EPOCH
from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA, QUARANTINE_SCHEMA
from claimpt_tf.claims.privacy import hash_members
from claimpt_tf.claims.readers.tuva import TuvaReader
from tests.claims.reading import KEY, Everything, chunks, read_all
from tests.claims.tuva_folder import DEFAULTS, Row, TuvaFolder


def day(text: str) -> int:
    return (datetime.date.fromisoformat(text) - EPOCH).days


def medical(folder: TuvaFolder, *rows: Row) -> Everything:
    folder.write("medical_claim", *rows)
    got = read_all(TuvaReader(), folder)
    return Everything(
        got.lines,
        got.events.filter(pl.col("source") == "medical_claim.csv"),
        got.members,
        got.quarantined.filter(pl.col("table") == "medical_claim"),
    )


def only(frame: pl.DataFrame, column: str) -> object:
    (value,) = frame[column].unique().to_list()
    return value


def test_one_row_of_each_table(tuva_folder: TuvaFolder) -> None:
    got = read_all(TuvaReader(), tuva_folder)
    assert got.lines == {"medical_claim": 1, "pharmacy_claim": 1, "eligibility": 1}
    assert got.events.schema == EVENT_SCHEMA
    assert got.members.schema == MEMBER_SCHEMA
    assert got.quarantined.is_empty()
    assert got.quarantined.schema == QUARANTINE_SCHEMA
    member = hash_members(pl.Series(["P1"]), KEY)[0]
    service, fill = day("2019-03-07"), day("2019-03-08")
    common = {"member": member, "denied": False, "institution": "payer a"}
    common["encounter"] = None
    visit = {"day": service, "end_day": service, "setting": "OP", "claim": "C1"}
    visit |= {"line": 1, "source": "medical_claim.csv", "row": 1, **common}
    drug = {"day": fill, "end_day": fill, "setting": "RX", "claim": "R1", "line": 1}
    drug |= {"source": "pharmacy_claim.csv", "row": 1, **common}
    assert got.events.to_dicts() == [
        {**visit, "system": "ICD10CM", "code": "J45901", "amount": 80.0},
        {**visit, "system": "HCPCS", "code": "99213", "amount": 0.0},
        {**drug, "system": "NDC", "code": "00173068220", "amount": 35.5},
    ]
    assert got.members.to_dicts() == [
        {
            "member": member,
            "birth_day": day("2010-05-16"),
            "sex": "F",
            "race": "white",
            "institution": "payer a",
            "enrolled_from": day("2018-01-01"),
            "enrolled_to": day("2020-12-31"),
            "source": "eligibility.csv",
            "row": 1,
        }
    ]


@pytest.mark.parametrize(
    ("fields", "setting"),
    [
        ({}, "OP"),
        ({"place_of_service_code": "21"}, "IP"),
        ({"place_of_service_code": "51"}, "IP"),
        ({"place_of_service_code": "61"}, "IP"),
        ({"place_of_service_code": "23"}, "ED"),
        ({"place_of_service_code": "2"}, "OP"),
        ({"bill_type_code": "111"}, "IP"),
        ({"bill_type_code": "0111"}, "IP"),
        ({"bill_type_code": "131"}, "OP"),
        ({"bill_type_code": "131", "revenue_center_code": "0450"}, "ED"),
        ({"bill_type_code": "131", "revenue_center_code": "459"}, "ED"),
        ({"bill_type_code": "131", "revenue_center_code": "0981"}, "ED"),
        ({"bill_type_code": "131", "revenue_center_code": "0460"}, "OP"),
        ({"bill_type_code": "111", "revenue_center_code": "0450"}, "IP"),
        ({"bill_type_code": "131", "admission_date": "2019-03-01"}, "OP"),
        ({"bill_type_code": "211", "revenue_center_code": "0120"}, "OTHER"),
        ({"revenue_center_code": "0120", "place_of_service_code": ""}, "IP"),
        ({"revenue_center_code": "0200", "place_of_service_code": ""}, "IP"),
        (
            {
                "claim_type": "institutional",
                "place_of_service_code": "",
                "admission_date": "2019-03-01",
            },
            "IP",
        ),
        ({"claim_type": "institutional", "place_of_service_code": ""}, "OP"),
        ({"claim_type": "dental", "place_of_service_code": ""}, "OTHER"),
        ({"claim_type": "", "place_of_service_code": ""}, "OTHER"),
        ({"claim_type": "", "place_of_service_code": "11"}, "OP"),
    ],
)
def test_setting(tuva_folder: TuvaFolder, fields: Row, setting: str) -> None:
    assert only(medical(tuva_folder, fields).events, "setting") == setting


def period(got: Everything) -> tuple[object, object]:
    return only(got.events, "day"), only(got.events, "end_day")


CLAIM = {"claim_start_date": "2019-03-01", "claim_end_date": "2019-03-31"}
LINE = {"claim_line_start_date": "2019-03-05", "claim_line_end_date": "2019-03-06"}
STAY = {"admission_date": "2019-02-27", "discharge_date": "2019-03-04"}


@pytest.mark.parametrize(
    ("fields", "first", "last"),
    [
        (CLAIM, "2019-03-01", "2019-03-31"),
        ({**CLAIM, **LINE}, "2019-03-05", "2019-03-06"),
        ({**CLAIM, **LINE, "claim_line_end_date": ""}, "2019-03-05", "2019-03-05"),
        ({**CLAIM, "claim_end_date": ""}, "2019-03-01", "2019-03-01"),
        (
            {**CLAIM, **LINE, **STAY, "bill_type_code": "111"},
            "2019-02-27",
            "2019-03-04",
        ),
        ({**CLAIM, **LINE, "bill_type_code": "111"}, "2019-03-01", "2019-03-31"),
        ({**CLAIM, **STAY, "bill_type_code": "131"}, "2019-03-01", "2019-03-31"),
        (
            {**CLAIM, **STAY, "bill_type_code": "112", "discharge_date": "9999-12-31"},
            "2019-02-27",
            "2019-03-31",
        ),
        ({**CLAIM, "claim_start_date": "", **STAY}, "2019-02-27", "2019-03-31"),
    ],
)
def test_days(tuva_folder: TuvaFolder, fields: Row, first: str, last: str) -> None:
    assert period(medical(tuva_folder, fields)) == (day(first), day(last))


@pytest.mark.parametrize(
    ("fields", "system"),
    [
        ({"diagnosis_code_type": "icd-10-cm"}, "ICD10CM"),
        ({"diagnosis_code_type": "icd-10-pcs"}, "ICD10CM"),
        ({"diagnosis_code_type": "icd-9-cm"}, "ICD9CM"),
        ({"diagnosis_code_type": "ICD9"}, "ICD9CM"),
        ({"diagnosis_code_type": ""}, "ICD10CM"),
        (
            {
                "diagnosis_code_type": "",
                "claim_start_date": "2015-09-30",
                "claim_end_date": "2015-09-30",
            },
            "ICD9CM",
        ),
        (
            {
                "diagnosis_code_type": "",
                "claim_start_date": "2015-09-30",
                "claim_end_date": "2015-10-01",
            },
            "ICD10CM",
        ),
    ],
)
def test_revision_of_diagnoses(
    tuva_folder: TuvaFolder, fields: Row, system: str
) -> None:
    assert medical(tuva_folder, fields).events["system"][0] == system


def test_codes_in_order_and_normalised(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write(
        "medical_claim",
        {
            "diagnosis_code_1": " j45.901",
            "diagnosis_code_2": "R05.1",
            "procedure_code_type": "icd-10-pcs",
            "procedure_code_1": "0bh17ez",
            "hcpcs_code": "j7613",
            "drg_code_type": "ms-drg",
            "drg_code": "92",
        },
        {"diagnosis_code_1": "", "hcpcs_code": "", "paid_amount": "5"},
        {"drg_code": "1", "drg_code_type": "apr-drg", "hcpcs_code": "NULL"},
    )
    got = read_all(TuvaReader(), tuva_folder).events.filter(
        pl.col("source") == "medical_claim.csv"
    )
    assert got.select("row", "system", "code", "amount").rows() == [
        (1, "ICD10CM", "J45901", 80.0),
        (1, "ICD10CM", "R051", 0.0),
        (1, "ICD10PCS", "0BH17EZ", 0.0),
        (1, "HCPCS", "J7613", 0.0),
        (1, "MSDRG", "092", 0.0),
        (2, None, None, 5.0),
        (3, "ICD10CM", "J45901", 80.0),
        (3, "APRDRG", "001", 0.0),
    ]


@pytest.mark.parametrize(
    ("paid", "allowed", "charge", "denied"),
    [
        ("0", "0", "120", True),
        ("", "0.00", "120", True),
        ("0", "100", "120", False),
        ("80", "0", "120", False),
        ("", "", "120", False),
        ("0", "", "120", False),
        ("0", "0", "0", False),
        ("-80", "-100", "-120", False),
    ],
)
def test_denied(
    tuva_folder: TuvaFolder, paid: str, allowed: str, charge: str, denied: bool
) -> None:
    amounts = {"paid_amount": paid, "allowed_amount": allowed, "charge_amount": charge}
    assert only(medical(tuva_folder, amounts).events, "denied") is denied


def test_reversals_and_repeated_lines_are_handed_on(tuva_folder: TuvaFolder) -> None:
    got = medical(tuva_folder, {}, {}, {"paid_amount": "-80.00"})
    assert got.events.filter(pl.col("amount") != 0)["amount"].to_list() == [80, 80, -80]
    assert got.quarantined.is_empty()


def test_only_what_is_there_is_asked_for(tuva_folder: TuvaFolder) -> None:
    optional = dict.fromkeys(
        [
            "member_id",
            "claim_line_start_date",
            "claim_line_end_date",
            "admission_date",
            "discharge_date",
            "drg_code_type",
            "drg_code",
            "allowed_amount",
            "charge_amount",
            "diagnosis_code_type",
            "diagnosis_code_2",
            "procedure_code_type",
            "procedure_code_1",
            "data_source",
        ]
    )
    got = medical(tuva_folder, optional)
    assert got.events["code"].to_list() == ["J45901", "99213"]
    assert only(got.events, "institution") == "unknown"


def test_member_id_where_person_id_is_missing(tuva_folder: TuvaFolder) -> None:
    got = medical(tuva_folder, {"person_id": ""}, {"person_id": " P1 "})
    hashed = hash_members(pl.Series(["M1", "P1"]), KEY).to_list()
    assert got.events["member"].unique(maintain_order=True).to_list() == hashed


@pytest.mark.parametrize(
    ("fields", "reason", "column"),
    [
        ({"person_id": "", "member_id": " "}, "member_missing", "person_id"),
        ({"claim_start_date": ""}, "date_missing", "claim_start_date"),
        ({"claim_start_date": "soon"}, "date_unparsable", "claim_start_date"),
        ({"claim_end_date": "2019-02-30"}, "date_unparsable", "claim_end_date"),
        ({"claim_start_date": "2999-01-01"}, "date_in_future", "claim_start_date"),
        ({"claim_end_date": "2100-01-01"}, "date_in_future", "claim_end_date"),
        ({"claim_end_date": "2019-03-06"}, "end_before_start", "claim_end_date"),
    ],
)
def test_rows_that_cannot_be_used(
    tuva_folder: TuvaFolder, fields: Row, reason: str, column: str
) -> None:
    got = medical(tuva_folder, {}, fields, {})
    assert got.lines["medical_claim"] == 3
    assert got.reasons() == [("medical_claim", 2, reason, column)]
    assert got.events["row"].unique().sort().to_list() == [1, 3]


def test_first_reason_only(tuva_folder: TuvaFolder) -> None:
    bad = {"person_id": "", "member_id": "", "claim_start_date": "", "paid_amount": "?"}
    got = medical(tuva_folder, bad, {})
    assert [reason for _, _, reason, _ in got.reasons()] == ["member_missing"]


@pytest.mark.parametrize("paid", ["eighty", "1e20", "-2000000000000"])
def test_unreadable_amount_is_noted_and_nothing(
    tuva_folder: TuvaFolder, paid: str
) -> None:
    got = medical(tuva_folder, {"paid_amount": paid}, {"paid_amount": ""})
    assert got.reasons() == [("medical_claim", 1, "amount_unparsable", "paid_amount")]
    assert got.events["amount"].sum() == 0
    assert got.events["row"].unique().sort().to_list() == [1, 2]


def test_line_without_a_claim_id_stands_alone(tuva_folder: TuvaFolder) -> None:
    got = medical(tuva_folder, {"claim_id": ""}, {"claim_id": ""}, {})
    assert [reason for _, _, reason, _ in got.reasons()] == ["claim_missing"] * 2
    assert got.events["claim"].n_unique() == 3
    assert got.events["claim"].null_count() == 0


def test_line_numbers(tuva_folder: TuvaFolder) -> None:
    numbers = ["7", "7.0", "", "x"]
    got = medical(tuva_folder, *[{"claim_line_number": n} for n in numbers])
    by_row = got.events.unique("row", maintain_order=True)["line"]
    assert by_row.to_list() == [7, 7, 0, 0]


def test_malformed_rows_are_quarantined_with_their_number(
    tuva_folder: TuvaFolder,
) -> None:
    path = tuva_folder.write("medical_claim", {}, {})
    header, first, second = path.read_text().splitlines()
    path.write_text("\n".join([header, first, "1,2,3", second, f"{first},x"]))
    got = read_all(TuvaReader(), tuva_folder)
    assert got.lines["medical_claim"] == 4
    assert [(row, reason) for _, row, reason, _ in got.reasons()] == [
        (2, "row_malformed"),
        (4, "row_malformed"),
    ]
    rows = got.events.filter(pl.col("source") == path.name)["row"]
    assert rows.unique().sort().to_list() == [1, 3]


def test_fill_takes_the_day_it_was_paid_when_none_was_dispensed(
    tuva_folder: TuvaFolder,
) -> None:
    tuva_folder.write(
        "pharmacy_claim", {"dispensing_date": "", "paid_date": "20190401"}
    )
    got = read_all(TuvaReader(), tuva_folder)
    assert day("2019-04-01") in got.events["day"].to_list()


ENROLMENT_FAULTS = [
    ({"enrollment_start_date": ""}, "date_missing", "enrollment_start_date"),
    ({"enrollment_start_date": "x"}, "date_unparsable", "enrollment_start_date"),
    ({"enrollment_end_date": "x"}, "date_unparsable", "enrollment_end_date"),
    ({"enrollment_end_date": "2017-12-31"}, "end_before_start", "enrollment_end_date"),
    ({"death_date": "2017-12-31"}, "end_before_start", "death_date"),
    (
        {
            "enrollment_start_date": "2100-01-01",
            "enrollment_end_date": "2101-01-01",
        },
        "date_in_future",
        "enrollment_start_date",
    ),
]


@pytest.mark.parametrize(("fields", "reason", "column"), ENROLMENT_FAULTS)
def test_spans_that_cannot_be_used(
    tuva_folder: TuvaFolder, fields: Row, reason: str, column: str
) -> None:
    tuva_folder.write("eligibility", fields, {})
    got = read_all(TuvaReader(), tuva_folder)
    assert got.reasons() == [("eligibility", 1, reason, column)]
    assert got.members["row"].to_list() == [2]


def test_open_and_future_ends_are_cut_at_today(
    tuva_folder: TuvaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMPT_TODAY", "2020-06-30")
    ends = ["", "9999-12-31", "2020-12-31", "2019-12-31"]
    tuva_folder.write("eligibility", *[{"enrollment_end_date": end} for end in ends])
    got = read_all(TuvaReader(), tuva_folder)
    today = day("2020-06-30")
    last = day("2019-12-31")
    assert got.members["enrolled_to"].to_list() == [today, today, today, last]
    assert [(row, reason) for _, row, reason, _ in got.reasons()] == [
        (1, "end_open"),
        (2, "end_open"),
    ]


def test_death_ends_a_span(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write("eligibility", {"death_date": "2019-02-03"})
    got = read_all(TuvaReader(), tuva_folder)
    assert got.members["enrolled_to"].to_list() == [day("2019-02-03")]


def test_unknown_births_and_sexes(tuva_folder: TuvaFolder) -> None:
    rows = [
        {"birth_date": "", "gender": "unknown"},
        {"birth_date": "then", "gender": "M"},
        {"birth_date": "2100-01-01", "gender": ""},
        {"birth_date": "5/16/2010", "gender": "Female"},
    ]
    tuva_folder.write("eligibility", *rows)
    got = read_all(TuvaReader(), tuva_folder)
    assert got.members["birth_day"].to_list() == [None, None, None, day("2010-05-16")]
    assert got.members["sex"].to_list() == ["U", "M", "U", "F"]
    assert [(row, reason) for _, row, reason, _ in got.reasons()] == [
        (2, "birth_unparsable"),
        (3, "birth_in_future"),
    ]


def test_same_from_csv_gzip_and_parquet(tuva_folder: TuvaFolder) -> None:
    expected = read_all(TuvaReader(), tuva_folder)
    for table in DEFAULTS:
        path = tuva_folder.path / f"{table}.csv"
        frame = pl.read_csv(path, infer_schema=False)
        typed = frame.with_columns(
            pl.col("^.*_date$").str.to_date(strict=False),
            pl.col("^.*_amount$").cast(pl.Float64, strict=False),
        )
        folder = tuva_folder.path / table
        folder.mkdir()
        typed.write_parquet(folder / "part-0.parquet")
        path.unlink()
    got = read_all(TuvaReader(), tuva_folder)
    for frame, other in (
        (got.events, expected.events),
        (got.members, expected.members),
    ):
        assert frame.drop("source").equals(other.drop("source"))
    assert got.events["source"][0] == "medical_claim/part-0.parquet"


def test_links_keep_their_names(tuva_folder: TuvaFolder, tmp_path: Path) -> None:
    expected = read_all(TuvaReader(), tuva_folder)
    for number, table in enumerate(DEFAULTS):
        path = tuva_folder.path / f"{table}.csv"
        path.rename(tmp_path / f"{number}.csv")
        path.symlink_to(tmp_path / f"{number}.csv")
    assert read_all(TuvaReader(), tuva_folder).events.equals(expected.events)


def test_row_groups_and_batches_give_the_same(tuva_folder: TuvaFolder) -> None:
    rows = [{"claim_id": f"C{n}", "paid_amount": str(n)} for n in range(1, 24)]
    path = tuva_folder.write("medical_claim", *rows)
    expected = read_all(TuvaReader(), tuva_folder)
    assert read_all(TuvaReader(), tuva_folder, 4).events.equals(expected.events)
    pl.read_csv(path, infer_schema=False).write_parquet(
        path.with_suffix(".parquet"), row_group_size=5
    )
    path.unlink()
    units = TuvaReader().units(str(tuva_folder))
    assert [unit.part for unit in units if unit.table == "medical_claim"] == [*range(5)]
    got = read_all(TuvaReader(), tuva_folder, 3)
    assert got.events.drop("source").equals(expected.events.drop("source"))
    assert all(c.lines <= 3 for c in chunks(TuvaReader(), tuva_folder, 3))


def test_open_data_reconciles(open_data: Path) -> None:
    folder = open_data / "tuva"
    got = read_all(TuvaReader(), folder, 500)
    for table, rows in (
        ("medical_claim", 2075),
        ("pharmacy_claim", 291),
        ("eligibility", 31),
    ):
        assert got.lines[table] == rows
        assert sum(1 for _ in (folder / f"{table}_seed.csv").open()) == rows + 1
    assert got.quarantined.is_empty()
    by_source = got.events.group_by("source").agg(pl.col("row").n_unique())
    assert dict(by_source.rows()) == {
        "medical_claim_seed.csv": 2075,
        "pharmacy_claim_seed.csv": 291,
    }
    assert len(got.members) == 31
    raw = pl.read_csv(folder / "medical_claim_seed.csv", infer_schema=False)
    codes = raw.select(pl.col("^diagnosis_code_[0-9]+$"))
    given = sum(len(codes) - column.null_count() for column in codes)
    assert got.events["system"].eq("ICD10CM").sum() == given
    paid = raw["paid_amount"].cast(pl.Float64).sum()
    medical_events = got.events.filter(pl.col("source") == "medical_claim_seed.csv")
    assert medical_events["amount"].sum() == pytest.approx(paid)
    assert set(medical_events["setting"]) == {"IP", "ED", "OP"}
    assert got.members["member"].n_unique() == 10
    assert set(got.events["member"]) <= set(got.members["member"])
