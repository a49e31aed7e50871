"""The MEDS reader: facts, spans, visits, codes of any origin, subjects in pieces."""

from __future__ import annotations

import datetime
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA
from claimpt_tf.claims.preflight import check_input
from claimpt_tf.claims.readers.meds import MedsReader
from tests.claims.reading import Everything, read_all
from tests.claims.test_synpuf import day

SCHEMA = {
    "subject_id": pl.Int64,
    "time": pl.Datetime("us"),
    "code": pl.String,
    "numeric_value": pl.Float32,
    "hadm_id": pl.Int64,
}
ADMISSION = [
    (1, "2010-05-16", "MEDS_BIRTH", None, None),
    (1, None, "GENDER//F", None, None),
    (1, None, "RACE//WHITE", None, None),
    (1, "2019-03-07", "HOSPITAL_ADMISSION//URGENT", None, 70),
    (1, "2019-03-08", "DIAGNOSIS//ICD//10//J45901", None, 70),
    (1, "2019-03-08", "LAB//50868//mEq/L", 12.0, 70),
    (1, "2019-03-09", "HOSPITAL_DISCHARGE//HOME", None, 70),
    (1, "2019-04-01", "SNOMED/195967001", None, None),
]

Row = tuple[int | None, str | None, str | None, float | None, int | None]


def write(folder: Path, *rows: Row, group: int = 100, name: str = "0") -> Path:
    path = folder / "data" / "train" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    moments = [
        (who, when and datetime.datetime.fromisoformat(when), *rest)
        for who, when, *rest in rows
    ]
    frame = pl.DataFrame(moments, schema=SCHEMA, orient="row")
    frame.write_parquet(path, row_group_size=group)
    return folder


def read(folder: Path, batch_rows: int = 1000) -> Everything:
    return read_all(MedsReader(), folder, batch_rows)


def test_a_stay_of_another_extract(tmp_path: Path) -> None:
    got = read(write(tmp_path, *ADMISSION))
    assert got.events.schema == EVENT_SCHEMA
    assert got.members.schema == MEMBER_SCHEMA
    assert got.lines == {"data": 8}
    assert got.quarantined.is_empty()
    shown = ("day", "end_day", "setting", "encounter", "system", "code")
    first, second, last = (day(f"2019-03-0{n}") for n in (7, 8, 9))
    assert got.events.select(shown).rows() == [
        (first, last, "IP", "70", None, None),
        (second, second, None, "70", "ICD10CM", "J45901"),
        (second, second, None, "70", "MEDS", "LAB50868MEQL"),
        (last, last, "IP", "70", None, None),
        (day("2019-04-01"), day("2019-04-01"), None, None, "SNOMED", "195967001"),
    ]
    assert got.members.select("birth_day", "sex", "race").rows() == [
        (day("2010-05-16"), None, None),
        (None, "F", None),
        (None, None, "white"),
    ]


def test_without_enrolment_what_was_seen_counts(tmp_path: Path) -> None:
    got = read(write(tmp_path, *ADMISSION))
    assert got.members.select("enrolled_from", "enrolled_to").row(0) == (
        first_seen := day("2019-03-07"),
        day("2019-04-01"),
    )
    unborn = read(write(tmp_path, *ADMISSION[1:])).members
    assert unborn["enrolled_from"].to_list() == [first_seen, None]


def test_enrolment_spans_pair_up(tmp_path: Path) -> None:
    rows: list[Row] = [
        (1, "2019-01-01", "ENROLMENT//START", None, None),
        (1, "2019-02-28", "ENROLMENT//END", None, None),
        (1, "2019-05-01", "ENROLMENT//START", None, None),
        (1, "2019-06-01", "SNOMED/1234567", None, None),
    ]
    got = read(write(tmp_path, *rows))
    assert got.members.select("enrolled_from", "enrolled_to").rows() == [
        (day("2019-01-01"), day("2019-02-28")),
        (None, None),
        (day("2019-05-01"), day("2019-06-01")),
    ]
    assert got.reasons() == [("data", 3, "end_open", "time")]


def test_parents_tell_what_a_local_code_is(tmp_path: Path) -> None:
    rows: list[Row] = [
        (1, "2019-01-01", code, None, None) for code in ("LAB//1", "LAB//2", "ICD/3")
    ]
    (tmp_path / "metadata").mkdir()
    pl.DataFrame(
        {
            "code": ["LAB//1", "LAB//2"],
            "description": [None, None],
            "parent_codes": [["local/7", "LOINC/2345-7"], None],
        },
        schema_overrides={"description": pl.String},
    ).write_parquet(tmp_path / "metadata" / "codes.parquet")
    got = read(write(tmp_path, *rows)).events
    assert got.select(pl.format("{}:{}", "system", "code")).to_series().to_list() == [
        "LOINC:23457",
        "MEDS:LAB2",
        "MEDS:ICD3",
    ]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
@pytest.mark.parametrize("group", [1, 3, 100])
def test_subjects_are_read_whole(tmp_path: Path, batch_rows: int, group: int) -> None:
    people = [(who, *rest) for who in (1, 2, 3) for _, *rest in ADMISSION]
    got = read(write(tmp_path, *people, group=group), batch_rows)
    assert got.lines == {"data": 24}
    assert got.events.height + got.members.height == 24
    assert got.events.n_unique("member") == 3
    ends = got.events.filter(pl.col("setting") == "IP")["end_day"].unique()
    assert ends.to_list() == [day("2019-03-09")]
    assert got.members["enrolled_to"].drop_nulls().to_list() == [day("2019-04-01")] * 3


def test_times_may_lie_in_the_future(tmp_path: Path) -> None:
    shifted = [
        (who, when and str(int(when[:4]) + 130) + when[4:], *rest)
        for who, when, *rest in ADMISSION
    ]
    folder = write(tmp_path, *shifted)
    check_input("meds", str(folder))
    assert read(folder).quarantined.is_empty()


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    rows: list[Row] = [
        (1, None, "SNOMED/195967001", None, None),
        (1, "2019-01-01", None, None, None),
        (None, "2019-01-01", "SNOMED/195967001", None, None),
    ]
    assert sorted(read(write(tmp_path, *rows)).reasons()) == [
        ("data", 1, "date_missing", "time"),
        ("data", 2, "code_missing", "code"),
        ("data", 3, "member_missing", "subject_id"),
    ]
