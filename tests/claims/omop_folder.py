"""A small OMOP input in real files, made right so that each test can make it wrong."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "person": {
        "person_id": "7",
        "gender_concept_id": "8532",
        "year_of_birth": "2010",
        "month_of_birth": "5",
        "day_of_birth": "16",
        "birth_datetime": "",
        "gender_source_value": "F",
        "race_source_value": "White",
    },
    "visit_occurrence": {
        "visit_occurrence_id": "70",
        "person_id": "7",
        "visit_concept_id": "9202",
        "visit_start_date": "2019-03-07",
        "visit_end_date": "2019-03-07",
        "care_site_id": "3",
    },
    "condition_occurrence": {
        "condition_occurrence_id": "700",
        "person_id": "7",
        "condition_concept_id": "317009",
        "condition_start_date": "2019-03-07",
        "visit_occurrence_id": "70",
        "condition_source_value": "J45.901",
        "condition_source_concept_id": "45591557",
    },
    "drug_exposure": {
        "drug_exposure_id": "701",
        "person_id": "7",
        "drug_concept_id": "1154343",
        "drug_exposure_start_date": "2019-03-08",
        "drug_type_concept_id": "38000175",
        "visit_occurrence_id": "0",
        "drug_source_value": "00173-0682-20",
        "drug_source_concept_id": "0",
    },
    "procedure_occurrence": {
        "procedure_occurrence_id": "702",
        "person_id": "7",
        "procedure_concept_id": "2414393",
        "procedure_date": "2019-03-07",
        "visit_occurrence_id": "70",
        "procedure_source_value": "CPT4:99213",
        "procedure_source_concept_id": "0",
    },
    "observation_period": {
        "observation_period_id": "71",
        "person_id": "7",
        "observation_period_start_date": "2018-01-01",
        "observation_period_end_date": "2020-12-31",
    },
    "payer_plan_period": {
        "payer_plan_period_id": "72",
        "person_id": "7",
        "payer_plan_period_start_date": "2019-01-01",
        "payer_plan_period_end_date": "2019-12-31",
        "payer_source_value": "payer a",
    },
    "concept": {
        "concept_id": "45591557",
        "vocabulary_id": "ICD10CM",
        "concept_code": "J45.901",
    },
}
ASTHMA = {
    "concept_id": "317009",
    "vocabulary_id": "SNOMED",
    "concept_code": "195967001",
}
ALBUTEROL = {"concept_id": "1154343", "vocabulary_id": "RxNorm", "concept_code": "435"}


@dataclass(frozen=True)
class OmopFolder:
    """A folder with one good row a table, and three concepts."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def write(self, table: str, *rows: Mapping[str, str], rename: str = "{}") -> Path:
        """Writes a CSV of default rows changed by `rows`; `rename` forms its names."""
        default = DEFAULTS[table]
        path = self.path / f"{table}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                rename.format(name) if name.endswith("date") else name.upper()
                for name in default
            )
            writer.writerows({**default, **row}.values() for row in rows)
        return path


def omop_folder(path: Path) -> OmopFolder:
    """All tables but payer_plan_period, which has a header alone."""
    folder = OmopFolder(path)
    for table in DEFAULTS:
        folder.write(table, *([] if table == "payer_plan_period" else [{}]))
    folder.write("concept", {}, ASTHMA, ALBUTEROL)
    return folder
