"""A small Tuva input in real files, made right so that each test can make it wrong."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MEDICAL_ROW = {
    "person_id": "P1",
    "member_id": "M1",
    "claim_id": "C1",
    "claim_line_number": "1",
    "claim_type": "professional",
    "claim_start_date": "2019-03-07",
    "claim_end_date": "2019-03-07",
    "claim_line_start_date": "",
    "claim_line_end_date": "",
    "admission_date": "",
    "discharge_date": "",
    "place_of_service_code": "11",
    "bill_type_code": "",
    "revenue_center_code": "",
    "drg_code_type": "",
    "drg_code": "",
    "hcpcs_code": "99213",
    "paid_amount": "80.00",
    "allowed_amount": "100.00",
    "charge_amount": "120.00",
    "diagnosis_code_type": "icd-10-cm",
    "diagnosis_code_1": "J45.901",
    "diagnosis_code_2": "",
    "procedure_code_type": "",
    "procedure_code_1": "",
    "data_source": "payer a",
}
PHARMACY_ROW = {
    "person_id": "P1",
    "member_id": "M1",
    "claim_id": "R1",
    "claim_line_number": "1",
    "dispensing_date": "2019-03-08",
    "ndc_code": "00173-0682-20",
    "paid_amount": "35.50",
    "allowed_amount": "40.00",
    "charge_amount": "50.00",
    "data_source": "payer a",
}
ELIGIBILITY_ROW = {
    "person_id": "P1",
    "member_id": "M1",
    "gender": "female",
    "race": "White",
    "birth_date": "2010-05-16",
    "death_date": "",
    "enrollment_start_date": "2018-01-01",
    "enrollment_end_date": "2020-12-31",
    "data_source": "payer a",
}
DEFAULTS = {
    "medical_claim": MEDICAL_ROW,
    "pharmacy_claim": PHARMACY_ROW,
    "eligibility": ELIGIBILITY_ROW,
}

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class TuvaFolder:
    """A folder with the three tables, one good row each."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def write(self, table: str, *rows: Row, name: str | None = None) -> Path:
        """Writes a CSV of default rows changed by `rows`; a None drops the column."""
        default = DEFAULTS[table]
        full = [{**default, **row} for row in rows]
        names = [n for n in full[0] if all(row[n] is not None for row in full)]
        path = self.path / (name or f"{table}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(full)
        return path
