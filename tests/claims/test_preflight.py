"""Every way an input can be bad that shows before any long work starts."""

from __future__ import annotations

import csv
import gzip
import shutil
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.preflight import check_input
from claimpt_tf.errors import InputError
from tests.claims.tuva_folder import TuvaFolder


def complaint(folder: TuvaFolder | Path, source: str = "tuva") -> str:
    with pytest.raises(InputError) as error:
        check_input(source, str(folder))
    return str(error.value)


def test_good_input(tuva_folder: TuvaFolder) -> None:
    report = check_input("tuva", str(tuva_folder))
    assert [table.table for table in report.tables] == [
        "medical_claim",
        "pharmacy_claim",
        "eligibility",
    ]
    assert report.tables[0].files == ("medical_claim.csv",)
    assert report.tables[0].sampled == 1
    assert report.tables[0].days == (17962, 17962)


def test_pharmacy_claims_are_optional(tuva_folder: TuvaFolder) -> None:
    (tuva_folder.path / "pharmacy_claim.csv").unlink()
    assert len(check_input("tuva", str(tuva_folder)).tables) == 2


def test_open_data(open_data: Path) -> None:
    tuva = check_input("tuva", str(open_data / "tuva"))
    assert [table.sampled for table in tuva.tables] == [1000, 291, 31]
    synpuf = check_input("synpuf", str(open_data / "synpuf" / "sample_1"))
    assert [len(table.files) for table in synpuf.tables] == [3, 1]
    assert all(table.sampled == 1000 * len(table.files) for table in synpuf.tables)


def test_rows_are_known_of_parquet(tuva_folder: TuvaFolder) -> None:
    for path in list(tuva_folder.path.iterdir()):
        frame = pl.read_csv(path, infer_schema=False)
        frame.write_parquet(path.with_suffix(".parquet"))
        path.unlink()
    report = check_input("tuva", str(tuva_folder))
    assert [table.rows for table in report.tables] == [1, 1, 1]


def test_unknown_source(tuva_folder: TuvaFolder) -> None:
    assert "did you mean 'tuva'" in complaint(tuva_folder, "tuvaa")


def test_missing_folder(tmp_path: Path) -> None:
    assert "there is no such folder" in complaint(tmp_path / "gone")


def test_missing_tables(tmp_path: Path) -> None:
    message = complaint(tmp_path)
    assert "no file for the table 'medical_claim'" in message
    assert "no file for the table 'eligibility'" in message


def test_missing_and_misnamed_columns_all_at_once(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write(
        "medical_claim",
        {"diagnosis_code_1": None, "diag_code_1": "J45", "paid_amount": None},
    )
    tuva_folder.write("eligibility", {"gender": None, "sex": "F"})
    lines = complaint(tuva_folder).splitlines()
    assert lines == [
        "medical_claim.csv: column 'paid_amount' is missing",
        "medical_claim.csv: column 'diagnosis_code_1' is missing; nearest is "
        "'diag_code_1'",
        "eligibility.csv: column 'gender' is missing",
    ]


def test_any_member_column_will_do(tuva_folder: TuvaFolder) -> None:
    for table in ("medical_claim", "pharmacy_claim", "eligibility"):
        tuva_folder.write(table, {"person_id": None})
    check_input("tuva", str(tuva_folder))


def test_no_member_column(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write("eligibility", {"person_id": None, "member_id": None})
    assert "eligibility.csv: column 'person_id' is missing" in complaint(tuva_folder)


def test_duplicated_header(tuva_folder: TuvaFolder) -> None:
    path = tuva_folder.path / "eligibility.csv"
    header, row = path.read_text().splitlines()
    path.write_text(f"{header},GENDER\n{row},female\n")
    columns = len(header.split(","))
    assert complaint(tuva_folder) == (
        f"eligibility.csv: column 'gender' stands there 2 times (columns 3, "
        f"{columns + 1}); keep one"
    )


def test_header_in_any_case_with_mark_and_spaces(tuva_folder: TuvaFolder) -> None:
    path = tuva_folder.path / "medical_claim.csv"
    header, row = path.read_text().splitlines()
    header = ",".join(f' "{name.upper()}" ' for name in header.split(","))
    path.write_bytes(b"\xef\xbb\xbf" + f"{header}\n{row}\n".encode())
    check_input("tuva", str(tuva_folder))


@pytest.mark.parametrize(("mark", "spoken"), [(";", "semicolons"), ("\t", "tabs")])
def test_wrong_delimiter(tuva_folder: TuvaFolder, mark: str, spoken: str) -> None:
    path = tuva_folder.path / "medical_claim.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows(rows)
    assert complaint(tuva_folder) == (
        f"medical_claim.csv: the columns are separated by {spoken}; commas are "
        "expected. Write the file again with commas between its columns."
    )


def test_not_utf8(tuva_folder: TuvaFolder) -> None:
    path = tuva_folder.path / "medical_claim.csv"
    path.write_bytes(path.read_text().replace("payer a", "payé").encode("latin-1"))
    assert "medical_claim.csv: the text is not UTF-8" in complaint(tuva_folder)
    path.write_text(path.read_bytes().decode("latin-1"), encoding="utf-16")
    assert "it is UTF-16" in complaint(tuva_folder)


def test_zero_bytes(tuva_folder: TuvaFolder) -> None:
    (tuva_folder.path / "eligibility.csv").write_bytes(b"")
    assert complaint(tuva_folder) == "eligibility.csv: the file is empty (0 bytes)."


def test_zero_byte_gzip(tuva_folder: TuvaFolder) -> None:
    (tuva_folder.path / "eligibility.csv").unlink()
    (tuva_folder.path / "eligibility.csv.gz").touch()
    assert complaint(tuva_folder) == "eligibility.csv.gz: the file is empty (0 bytes)."


def test_gzip_cut_short(tuva_folder: TuvaFolder) -> None:
    path = tuva_folder.path / "medical_claim.csv"
    content = gzip.compress(path.read_bytes())
    path.unlink()
    path.with_suffix(".csv.gz").write_bytes(content[:-9])
    assert "medical_claim.csv.gz: the file is no readable gzip" in complaint(
        tuva_folder
    )


def test_unreadable_parquet(tuva_folder: TuvaFolder) -> None:
    (tuva_folder.path / "medical_claim.csv").unlink()
    (tuva_folder.path / "medical_claim.parquet").write_bytes(b"PAR1 and no more")
    assert "medical_claim.parquet: the file is no readable Parquet" in complaint(
        tuva_folder
    )


def test_columns_of_another_type(tuva_folder: TuvaFolder) -> None:
    path = tuva_folder.path / "medical_claim.csv"
    frame = pl.read_csv(path, infer_schema=False).with_columns(
        pl.concat_list("diagnosis_code_1"),
        pl.col("hcpcs_code").cast(pl.Binary),
        pl.col("place_of_service_code").cast(pl.Int32),
        pl.col("data_source").cast(pl.Categorical),
    )
    frame.write_parquet(path.with_suffix(".parquet"))
    path.unlink()
    lines = complaint(tuva_folder).splitlines()
    assert [line.split("'")[1] for line in lines] == ["hcpcs_code", "diagnosis_code_1"]
    assert lines[0].startswith(
        "medical_claim.parquet: column 'hcpcs_code' has the type"
    )


@pytest.mark.parametrize("table", ["medical_claim", "eligibility"])
def test_empty_table(tuva_folder: TuvaFolder, table: str) -> None:
    path = tuva_folder.path / f"{table}.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert complaint(tuva_folder) == (
        f"{table}.csv: the table '{table}' has a header but no rows. Export it again."
    )


def test_empty_parquet_table(tuva_folder: TuvaFolder) -> None:
    path = tuva_folder.path / "medical_claim.csv"
    frame = pl.read_csv(path, infer_schema=False).clear()
    frame.write_parquet(path.with_suffix(".parquet"))
    path.unlink()
    assert "'medical_claim' has a header but no rows" in complaint(tuva_folder)


def test_an_empty_optional_table_is_fine(tuva_folder: TuvaFolder) -> None:
    path = tuva_folder.path / "pharmacy_claim.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    check_input("tuva", str(tuva_folder))


def test_dates_that_do_not_parse(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write("medical_claim", *[{"claim_start_date": "7. März 2019"}] * 3)
    assert complaint(tuva_folder) == (
        "medical_claim.csv: no date in column 'claim_start_date' can be read (rows 1 "
        "to 3). Write dates like 2019-03-07, 20190307 or 03/07/2019."
    )


def test_birth_dates_are_never_shown(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write("eligibility", {"birth_date": "16 May of 2010"})
    message = complaint(tuva_folder)
    assert "no date in column 'birth_date' can be read" in message
    assert "May" not in message and "P1" not in message


def test_dates_in_the_future(
    tuva_folder: TuvaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMPT_TODAY", "2019-01-01")
    message = complaint(tuva_folder)
    assert (
        "medical_claim.csv: every date in column 'claim_start_date' lies in the future "
        "(rows 1 to 1)" in message
    )
    assert "pharmacy_claim.csv: every date in column 'dispensing_date'" in message
    assert "enrollment_end_date" not in message


def test_no_member_id_at_all(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write("medical_claim", {"person_id": "", "member_id": " "})
    assert "medical_claim.csv: column 'person_id' is empty in rows 1 to 1" in complaint(
        tuva_folder
    )


def test_members_without_enrolment(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write("eligibility", {"person_id": "0001"}, {"person_id": "0002"})
    message = complaint(tuva_folder)
    assert message.startswith("eligibility.csv: members without enrolment: none of the")
    assert "P1" not in message and "0001" not in message


def test_one_enrolled_member_is_enough(tuva_folder: TuvaFolder) -> None:
    tuva_folder.write("medical_claim", *[{"person_id": f"X{n}"} for n in range(99)], {})
    check_input("tuva", str(tuva_folder))


def test_rows_that_do_not_fit_the_header(tuva_folder: TuvaFolder) -> None:
    path = tuva_folder.path / "medical_claim.csv"
    header, row = path.read_text().splitlines()
    path.write_text("\n".join([header, row, f"{row},1", f"{row},2", f"{row},3"]))
    assert "3 of rows 1 to 4 have another number of fields" in complaint(tuva_folder)


def test_complaints_about_many_files_are_cut(tuva_folder: TuvaFolder) -> None:
    (tuva_folder.path / "medical_claim.csv").unlink()
    for part in range(30):
        tuva_folder.write(
            "medical_claim", {"claim_id": None}, name=f"medical_claim/part-{part}.csv"
        )
    lines = complaint(tuva_folder).splitlines()
    assert lines[0] == "medical_claim/part-0.csv: column 'claim_id' is missing"
    assert lines[-1] == "and 10 more like these"
    assert len(lines) == 21


def test_synpuf_file_without_its_year(open_data: Path, tmp_path: Path) -> None:
    for path in (open_data / "synpuf" / "sample_1").iterdir():
        shutil.copy(path, tmp_path / path.name.replace("_2008_Bene", "_Bene"))
    message = complaint(tmp_path, "synpuf")
    assert message.startswith("DE1_0_Beneficiary_Summary_File_Sample_1.csv.gz: no year")


def test_synpuf_table_missing(tmp_path: Path) -> None:
    assert "DE1_0_2008_Beneficiary_Summary_File_Sample_1.csv.gz" in complaint(
        tmp_path, "synpuf"
    )
