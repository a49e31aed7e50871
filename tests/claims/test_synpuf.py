"""The DE-SynPUF reader: coverage months, claims of every kind, and open data."""

from __future__ import annotations

import csv
import datetime
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.cells import EPOCH
from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA
from claimpt_tf.claims.privacy import hash_members
from claimpt_tf.claims.readers.synpuf import SynpufReader
from tests.claims.reading import KEY, read_all

BENEFICIARY = {
    "DESYNPUF_ID": "A",
    "BENE_BIRTH_DT": "19430101",
    "BENE_DEATH_DT": "",
    "BENE_SEX_IDENT_CD": "1",
    "BENE_RACE_CD": "2",
    "BENE_HI_CVRAGE_TOT_MONS": "12",
}
INPATIENT = {
    "DESYNPUF_ID": "A",
    "CLM_ID": "1001",
    "SEGMENT": "1",
    "CLM_FROM_DT": "20090331",
    "CLM_THRU_DT": "20090404",
    "CLM_PMT_AMT": "7000.00",
    "CLM_ADMSN_DT": "20090331",
    "NCH_BENE_DSCHRG_DT": "20090404",
    "CLM_DRG_CD": "201",
    "ADMTNG_ICD9_DGNS_CD": "7866",
    "ICD9_DGNS_CD_1": "1970",
    "ICD9_DGNS_CD_2": "V5866",
    "ICD9_PRCDR_CD_1": "8154",
    "ICD9_PRCDR_CD_2": "25000",
    "HCPCS_CD_1": "",
}
OUTPATIENT = {
    "DESYNPUF_ID": "A",
    "CLM_ID": "2001",
    "SEGMENT": "1",
    "CLM_FROM_DT": "20090501",
    "CLM_THRU_DT": "20090502",
    "CLM_PMT_AMT": "50.00",
    "ICD9_DGNS_CD_1": "4019",
    "ICD9_PRCDR_CD_1": "",
    "HCPCS_CD_1": "85025",
    "HCPCS_CD_2": "",
}
CARRIER = {
    "DESYNPUF_ID": "A",
    "CLM_ID": "3001",
    "CLM_FROM_DT": "20090601",
    "CLM_THRU_DT": "20090601",
    "ICD9_DGNS_CD_1": "4019",
    "HCPCS_CD_1": "99213",
    "HCPCS_CD_2": "36415",
    "LINE_NCH_PMT_AMT_1": "60.00",
    "LINE_NCH_PMT_AMT_2": "5.00",
    "LINE_ICD9_DGNS_CD_1": "4019",
    "LINE_ICD9_DGNS_CD_2": "2724",
}
DRUG = {
    "DESYNPUF_ID": "A",
    "PDE_ID": "4001",
    "SRVC_DT": "20090701",
    "PROD_SRVC_ID": "00173068220",
    "TOT_RX_CST_AMT": "90.00",
    "PTNT_PAY_AMT": "20.00",
}

Row = Mapping[str, str]


def day(text: str) -> int:
    return (datetime.date.fromisoformat(text) - EPOCH).days


def write(path: Path, default: Row, rows: Sequence[Row]) -> None:
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, list(default), quoting=csv.QUOTE_MINIMAL)
        writer.writeheader()
        writer.writerows({**default, **row} for row in rows)


def beneficiaries(folder: Path, **years: Sequence[Row]) -> None:
    for year, rows in years.items():
        name = f"DE1_0_{year[1:]}_Beneficiary_Summary_File_Sample_9.csv.gz"
        write(folder / name, BENEFICIARY, rows)


def claims(folder: Path, table: str, default: Row, *rows: Row) -> None:
    write(folder / f"DE1_0_2008_to_2010_{table}_Sample_9.csv.gz", default, rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    claims(tmp_path, "Inpatient_Claims", INPATIENT, {})
    beneficiaries(tmp_path, y2008=[{}], y2009=[{}], y2010=[{}])
    return tmp_path


def months(*numbers: str | None, **fields: str) -> dict[str, list[Row]]:
    """Beneficiary rows for 2008, 2009, 2010; None leaves the member out."""
    other = {"DESYNPUF_ID": "someone else"}
    return {
        f"y{2008 + index}": [other]
        if number is None
        else [{"BENE_HI_CVRAGE_TOT_MONS": number, **fields}]
        for index, number in enumerate(numbers)
    }


def covered(folder: Path, rows: dict[str, list[Row]]) -> dict[int, tuple[str, str]]:
    """First and last covered day by year, of the member that `rows` are about."""
    beneficiaries(folder, **rows)
    own = hash_members(pl.Series(["A"]), KEY)[0]
    members = read_all(SynpufReader(), folder).members.filter(pl.col("member") == own)
    return {
        int(source[6:10]): (
            str(EPOCH + datetime.timedelta(first)),
            str(EPOCH + datetime.timedelta(last)),
        )
        for source, first, last in members.select(
            "source", "enrolled_from", "enrolled_to"
        ).rows()
    }


def test_a_member_and_a_stay(folder: Path) -> None:
    got = read_all(SynpufReader(), folder)
    assert got.events.schema == EVENT_SCHEMA
    assert got.members.schema == MEMBER_SCHEMA
    assert got.quarantined.is_empty()
    assert got.events.select("system", "code", "amount").rows() == [
        ("ICD9CM", "1970", 7000.0),
        ("ICD9CM", "V5866", 0.0),
        ("ICD9CM", "7866", 0.0),
        ("ICD9PCS", "8154", 0.0),
        ("ICD9CM", "25000", 0.0),
        ("MSDRG", "201", 0.0),
    ]
    (first,) = got.events.head(1).to_dicts()
    assert (first["day"], first["end_day"]) == (day("2009-03-31"), day("2009-04-04"))
    assert (first["setting"], first["claim"], first["line"]) == ("IP", "1001", 1)
    assert (first["institution"], first["denied"]) == ("synpuf", False)
    assert got.members["sex"].to_list() == ["M"] * 3
    assert got.members["race"].to_list() == ["black"] * 3
    assert got.members["birth_day"].unique().to_list() == [day("1943-01-01")]


def test_whole_years(folder: Path) -> None:
    assert covered(folder, months("12", "12", "12")) == {
        2008: ("2008-01-01", "2008-12-31"),
        2009: ("2009-01-01", "2009-12-31"),
        2010: ("2010-01-01", "2010-12-31"),
    }


def test_months_of_who_leaves_count_from_january(folder: Path) -> None:
    assert covered(folder, months("12", "5", "0"))[2009] == ("2009-01-01", "2009-05-31")
    assert covered(folder, months("12", "2", None))[2009] == (
        "2009-01-01",
        "2009-02-28",
    )
    assert covered(folder, months("2", "0", "0"))[2008] == ("2008-01-01", "2008-02-29")
    assert covered(folder, months("12", "12", "11"))[2010] == (
        "2010-01-01",
        "2010-11-30",
    )


def test_months_of_who_joins_end_in_december(folder: Path) -> None:
    assert covered(folder, months("7", "12", "12"))[2008] == (
        "2008-06-01",
        "2008-12-31",
    )
    assert covered(folder, months("0", "1", "12"))[2009] == ("2009-12-01", "2009-12-31")
    assert covered(folder, months(None, "12", "12"))[2009] == (
        "2009-01-01",
        "2009-12-31",
    )
    assert covered(folder, months("0", "0", "3"))[2010] == ("2010-10-01", "2010-12-31")


def test_gap_within_a_year_is_put_at_its_end(folder: Path) -> None:
    assert covered(folder, months("12", "7", "12"))[2009] == (
        "2009-01-01",
        "2009-07-31",
    )


def test_one_year_alone_counts_from_january(tmp_path: Path) -> None:
    claims(tmp_path, "Inpatient_Claims", INPATIENT, {})
    alone = {"y2009": [{"BENE_HI_CVRAGE_TOT_MONS": "3"}]}
    assert covered(tmp_path, alone) == {2009: ("2009-01-01", "2009-03-31")}


def test_death_ends_cover_with_its_month(folder: Path) -> None:
    dead = months("12", "12", None, BENE_DEATH_DT="20090401")
    dead["y2008"][0] = {"BENE_HI_CVRAGE_TOT_MONS": "12"}
    assert covered(folder, dead)[2009] == ("2009-01-01", "2009-04-30")
    newly = months("3", "12", "12", BENE_DEATH_DT="20080201")
    assert covered(folder, newly)[2008] == ("2008-01-01", "2008-02-29")


def test_years_without_cover_are_left_out_by_rule(folder: Path) -> None:
    beneficiaries(folder, **months("0", "12", "13"))
    got = read_all(SynpufReader(), folder)
    assert got.reasons() == [
        ("beneficiary_summary", 1, "not_covered", "BENE_HI_CVRAGE_TOT_MONS"),
        ("beneficiary_summary", 1, "months_unparsable", "BENE_HI_CVRAGE_TOT_MONS"),
    ]
    assert len(got.members) == 1


def test_continuation_belongs_to_the_first_segment(folder: Path) -> None:
    continued = {
        "SEGMENT": "2",
        "CLM_FROM_DT": "",
        "CLM_THRU_DT": "",
        "CLM_ADMSN_DT": "20090228",
        "ICD9_DGNS_CD_1": "2724",
    }
    claims(folder, "Inpatient_Claims", INPATIENT, {}, continued)
    second = read_all(SynpufReader(), folder).events.filter(pl.col("line") == 2)
    assert second["claim"].unique().to_list() == ["1001"]
    assert second["day"].unique().to_list() == [day("2009-04-04")]
    assert second["end_day"].unique().to_list() == [day("2009-04-04")]
    assert second["amount"].sum() == 0
    assert second["code"][0] == "2724"


def test_admission_and_discharge_stand_in(folder: Path) -> None:
    claims(
        folder,
        "Inpatient_Claims",
        INPATIENT,
        {"CLM_FROM_DT": "", "CLM_THRU_DT": "", "CLM_ADMSN_DT": "20090401"},
        {"CLM_FROM_DT": "", "CLM_ADMSN_DT": ""},
    )
    got = read_all(SynpufReader(), folder)
    assert got.events["day"].unique().to_list() == [day("2009-04-01")]
    assert got.events["end_day"].unique().to_list() == [day("2009-04-04")]
    assert got.reasons() == [("inpatient_claims", 2, "date_missing", "CLM_FROM_DT")]


def test_negative_payment_is_no_reversal(folder: Path) -> None:
    claims(folder, "Inpatient_Claims", INPATIENT, {"CLM_PMT_AMT": "-300.00"})
    got = read_all(SynpufReader(), folder)
    assert got.events["amount"].sum() == 0
    assert got.reasons() == [("inpatient_claims", 1, "amount_negative", "CLM_PMT_AMT")]


def test_outpatient_carrier_and_drug_files(folder: Path) -> None:
    emergency = {"CLM_ID": "2002", "HCPCS_CD_2": "99284"}
    claims(folder, "Outpatient_Claims", OUTPATIENT, {}, emergency)
    claims(folder, "Carrier_Claims", CARRIER, {})
    claims(folder, "Prescription_Drug_Events", DRUG, {}, {"PROD_SRVC_ID": "OTHER"})
    got = read_all(SynpufReader(), folder)
    assert got.quarantined.is_empty()
    events = got.events.filter(pl.col("claim") != "1001")
    shown = events.select("claim", "setting", "system", "code", "amount")
    assert shown.rows() == [
        ("2001", "OP", "ICD9CM", "4019", 50.0),
        ("2001", "OP", "HCPCS", "85025", 0.0),
        ("2002", "ED", "ICD9CM", "4019", 50.0),
        ("2002", "ED", "HCPCS", "85025", 0.0),
        ("2002", "ED", "HCPCS", "99284", 0.0),
        ("3001", "OP", "ICD9CM", "4019", 65.0),
        ("3001", "OP", "ICD9CM", "4019", 0.0),
        ("3001", "OP", "ICD9CM", "2724", 0.0),
        ("3001", "OP", "HCPCS", "99213", 0.0),
        ("3001", "OP", "HCPCS", "36415", 0.0),
        ("4001", "RX", "NDC", "00173068220", 70.0),
        ("4001", "RX", None, None, 70.0),
    ]


def test_samples_in_folders_of_their_own(folder: Path, tmp_path: Path) -> None:
    inner = tmp_path / "all" / "sample_9"
    inner.mkdir(parents=True)
    for path in folder.glob("*.csv.gz"):
        path.rename(inner / path.name)
    got = read_all(SynpufReader(), tmp_path / "all")
    assert len(got.members) == 3
    assert got.events["source"][0].startswith("DE1_0_2008_to_2010_Inpatient")


def test_open_data_reconciles(open_data: Path) -> None:
    folder = open_data / "synpuf" / "sample_1"
    got = read_all(SynpufReader(), folder, 4000)
    rows = {}
    for path in folder.iterdir():
        with gzip.open(path, "rb") as file:
            rows[path.name] = sum(1 for _ in file) - 1
    assert got.lines["inpatient_claims"] == 5775
    assert sum(got.lines.values()) == sum(rows.values())
    used = pl.concat(
        [frame.select("source", "row").unique() for frame in (got.events, got.members)]
    )
    dropped = got.quarantined.filter(pl.col("reason") == "not_covered")
    assert len(dropped) == 463 + 633 + 556
    assert len(used) + len(dropped) == sum(rows.values())
    assert set(got.quarantined["reason"]) == {"not_covered", "amount_negative"}
    assert got.events["setting"].unique().to_list() == ["IP"]
    assert (got.events["end_day"] >= got.events["day"]).all()
    raw = pl.concat(
        [
            pl.read_csv(path, infer_schema=False)
            for path in folder.glob("*Inpatient*.csv.gz")
        ]
    )
    paid = raw.filter(pl.col("SEGMENT") == "1")["CLM_PMT_AMT"].cast(pl.Float64)
    assert got.events["amount"].sum() == pytest.approx(paid.clip(0).sum())
    known = set(got.members["member"])
    claimants = set(got.events["member"])
    assert len(claimants - known) / len(claimants) < 0.02
