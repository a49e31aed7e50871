"""Which files of a folder are taken for which table."""

from __future__ import annotations

from pathlib import Path

import pytest

from claimpt_tf.claims.input_folder import find_files
from claimpt_tf.claims.table_spec import TableSpec
from claimpt_tf.errors import InputError

TABLES = (
    TableSpec("medical_claim", ()),
    TableSpec("eligibility", (), role="eligibility"),
    TableSpec("pharmacy_claim", (), required=False),
)


def found_in(folder: Path, *names: str, nested: bool = False) -> dict[str, list[str]]:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    files = find_files(TABLES, str(folder), nested)
    return {table: [file.source for file in found] for table, found in files.items()}


def test_names_and_folders(tmp_path: Path) -> None:
    assert found_in(
        tmp_path,
        "Medical_Claim_2019.CSV",
        "medical_claim_2020.csv.gz",
        "eligibility/year=2019/part-0.parquet",
        "eligibility/year=2020/part-0.parquet",
        "eligibility/_SUCCESS",
        "eligibility/.part-0.parquet.crc",
        "stg_pharmacy_claims.parquet",
        "LICENSE",
        "true_risk.parquet",
    ) == {
        "medical_claim": ["Medical_Claim_2019.CSV", "medical_claim_2020.csv.gz"],
        "eligibility": [
            "eligibility/year=2019/part-0.parquet",
            "eligibility/year=2020/part-0.parquet",
        ],
        "pharmacy_claim": ["stg_pharmacy_claims.parquet"],
    }


def test_folder_named_like_a_table(tmp_path: Path) -> None:
    found = found_in(
        tmp_path / "medical_claims", "medical_claim.csv", "eligibility.csv"
    )
    assert found["medical_claim"] == ["medical_claim.csv"]


def test_one_folder_down(tmp_path: Path) -> None:
    names = ("a/medical_claim_1.csv", "b/medical_claim_2.csv", "a/eligibility.csv")
    found = found_in(tmp_path, *names, nested=True)
    assert found["medical_claim"] == ["medical_claim_1.csv", "medical_claim_2.csv"]
    with pytest.raises(InputError, match="There is: a/, b/"):
        find_files(TABLES, str(tmp_path))


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        find_files(TABLES, str(tmp_path / "nowhere"))


def test_file_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "medical_claim.csv").touch()
    with pytest.raises(InputError, match="this is a file. Give the folder"):
        find_files(TABLES, str(tmp_path / "medical_claim.csv"))


def test_missing_tables_are_named_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        found_in(tmp_path, "claims.csv", "pharmacy_claim.csv")
    message = str(error.value)
    assert "no file for the table 'medical_claim'" in message
    assert "no file for the table 'eligibility'" in message
    assert "looked for names like eligibility.csv" in message
    assert "There is: claims.csv, pharmacy_claim.csv." in message


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is: nothing."):
        find_files(TABLES, str(tmp_path))


def test_same_table_in_two_formats(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'medical_claim' is there 2 times.*Keep one"):
        found_in(tmp_path, "medical_claim.csv", "medical_claim.parquet")
