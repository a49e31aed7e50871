"""What is wrong with an input is said before it is read, whatever its standard."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from claimpt_tf.claims.preflight import check_input
from claimpt_tf.claims.readers.registry import reader_for, reader_names
from claimpt_tf.errors import InputError
from tests.claims import test_synpuf, test_synthea
from tests.claims.omop_folder import omop_folder
from tests.claims.reading import read_all
from tests.claims.tuva_folder import DEFAULTS as TUVA
from tests.claims.tuva_folder import TuvaFolder


@dataclass
class Input:
    """A good input of a standard, one table of which is made wrong.

    Attributes:
      source: The reader's name.
      folder: The input.
      file: A required table in CSV, with one row or more.
      columns: Two of its columns that are required, in the file's spelling.
      date: One that must hold dates.
      stand_in: The column that dates come from where that one holds none.
    """

    source: str
    folder: Path
    file: Path
    columns: tuple[str, str]
    date: str
    stand_in: str = ""

    @property
    def rows(self) -> list[list[str]]:
        """Header and rows."""
        return list(csv.reader(io.StringIO(self.file.read_text())))

    def write(self, rows: list[list[str]], delimiter: str = ",") -> None:
        """Replaces the file's content."""
        with self.file.open("w", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows(rows)

    def complaint(self) -> str:
        """What the check says."""
        with pytest.raises(InputError) as caught:
            check_input(self.source, str(self.folder))
        assert self.file.name.removesuffix(".gz") in str(caught.value)
        return str(caught.value)


def tuva(folder: Path) -> Input:
    made = TuvaFolder(folder)
    for table in TUVA:
        made.write(table, {})
    file = folder / "medical_claim.csv"
    return Input(
        "tuva", folder, file, ("claim_id", "revenue_center_code"), "claim_start_date"
    )


def omop(folder: Path) -> Input:
    omop_folder(folder)
    file = folder / "visit_occurrence.csv"
    return Input(
        "omop", folder, file, ("VISIT_OCCURRENCE_ID", "PERSON_ID"), "visit_start_date"
    )


def synthea(folder: Path) -> Input:
    folder.mkdir()
    for table in test_synthea.DEFAULTS:
        test_synthea.write(folder, table, {})
    file = folder / "encounters.csv"
    return Input("synthea", folder, file, ("ENCOUNTERCLASS", "PATIENT"), "START")


def synpuf(folder: Path) -> Input:
    folder.mkdir()
    test_synpuf.claims(folder, "Inpatient_Claims", test_synpuf.INPATIENT, {})
    test_synpuf.beneficiaries(folder, y2009=[{}])
    (packed,) = folder.glob("*Inpatient*")
    file = packed.with_suffix("")
    file.write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    return Input(
        "synpuf", folder, file, ("CLM_ID", "SEGMENT"), "CLM_FROM_DT", "CLM_ADMSN_DT"
    )


def meds(folder: Path) -> Input:
    file = folder / "data" / "0.csv"
    file.parent.mkdir(parents=True)
    made = Input("meds", folder, file, ("subject_id", "code"), "time")
    made.write(
        [
            ["subject_id", "time", "code", "text_value"],
            ["1", "2010-05-16", "MEDS_BIRTH", ""],
            ["1", "2019-03-07", "SNOMED/195967001", ""],
        ]
    )
    return made


GOOD: dict[str, Callable[[Path], Input]] = {
    "meds": meds,
    "omop": omop,
    "synpuf": synpuf,
    "synthea": synthea,
    "tuva": tuva,
}


@pytest.fixture(params=sorted(GOOD))
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Input:
    """A good input of each standard."""
    return GOOD[request.param](tmp_path / "input")


def test_every_reader_is_tried() -> None:
    assert sorted(GOOD) == reader_names()


def test_missing_columns_all_at_once_with_the_nearest_name(given: Input) -> None:
    header, *rows = given.rows
    places = [header.index(name) for name in given.columns]
    for place in places:
        header[place] += "_x"
    given.write([header, *rows])
    said = given.complaint().splitlines()
    assert len(said) == 2
    for name in given.columns:
        assert any(f"nearest is '{name}_x'" in line for line in said)


def test_duplicated_header(given: Input) -> None:
    name = given.columns[0]
    given.write([[*row, name if n == 0 else "1"] for n, row in enumerate(given.rows)])
    assert "stands there 2 times" in given.complaint()


def test_empty_files(given: Input) -> None:
    given.file.write_bytes(b"")
    assert "the file is empty (0 bytes)" in given.complaint()
    packed = given.file.with_name(f"{given.file.name}.gz")
    given.file.unlink()
    packed.write_bytes(b"")
    assert "the file is empty (0 bytes)" in given.complaint()
    packed.write_bytes(gzip.compress(b"a,b\n" * 9999)[:-9])
    assert "gzip" in given.complaint()
    packed.write_bytes(gzip.compress(b""))
    assert "no header line" in given.complaint()


def test_delimiters(given: Input) -> None:
    rows = given.rows
    given.write(rows, delimiter=";")
    assert "separated by semicolons" in given.complaint()
    header, *rest = rows
    given.write([header, *([";".join(row)] for row in rest)])
    assert "another number of fields than the header" in given.complaint()


def test_encodings(given: Input) -> None:
    reader = reader_for(given.source)
    plain = read_all(reader, given.folder)
    content = given.file.read_text()
    given.file.write_text(content, encoding="utf-8-sig")
    check_input(given.source, str(given.folder))
    marked = read_all(reader, given.folder)
    assert marked.events.equals(plain.events)
    given.file.write_text(content, encoding="utf-16")
    assert "not UTF-8" in given.complaint()
    given.file.write_text(content)
    header, *rows = given.rows
    place = header.index(given.columns[0])
    rows[0][place] = "caf\u00e9"
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    given.file.write_bytes(text.getvalue().encode("latin-1"))
    assert "not UTF-8" in given.complaint()


def test_dates_of_another_kind(given: Input) -> None:
    header, *rows = given.rows
    place = header.index(given.date)
    for row in rows:
        row[place] = "a while ago"
    given.write([header, *rows])
    assert f"no date in column '{given.date}' can be read" in given.complaint()


def test_bad_rows_are_numbered_and_the_rest_is_used(given: Input) -> None:
    before = read_all(reader_for(given.source), given.folder)
    header, *rows = given.rows
    late = [*rows[-1]]
    for name in filter(None, (given.date, given.stand_in)):
        late[header.index(name)] = "a while ago"
    given.write([header, *rows, late, rows[-1] + ["one more"]])
    got = read_all(reader_for(given.source), given.folder)
    bad = got.quarantined.filter(
        got.quarantined["source"].str.contains(given.file.name)
    )
    assert sorted(bad.select("row", "reason").rows()) == [
        (len(rows) + 1, "date_unparsable"),
        (len(rows) + 2, "row_malformed"),
    ]
    assert got.events.equals(before.events)
    assert sum(got.lines.values()) == sum(before.lines.values()) + 2
