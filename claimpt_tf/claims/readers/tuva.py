"""The Tuva input layer: medical_claim, pharmacy_claim and eligibility.

Columns, rules and examples stand in docs/sources.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from claimpt_tf.claims import cells
from claimpt_tf.claims.code_rows import CodeColumns
from claimpt_tf.claims.line_checks import UNKNOWN_INSTITUTION, LineChecks
from claimpt_tf.claims.reader import Chunk, Unit
from claimpt_tf.claims.table_reader import TableReader
from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.codes import normalise
from claimpt_tf.codes.normalise import ICD10_FROM_DAY

_MEMBER = (
    Column("person_id", "member", aliases=("member_id", "patient_id")),
    Column("member_id", "member", required=False),
)
_DIAGNOSES = [f"diagnosis_code_{place}" for place in range(1, 26)]
_PROCEDURES = [f"procedure_code_{place}" for place in range(1, 26)]

MEDICAL = TableSpec(
    "medical_claim",
    (
        *_MEMBER,
        Column("claim_id"),
        Column("claim_line_number"),
        Column("claim_type"),
        Column("claim_start_date", "date"),
        Column("claim_end_date", "end"),
        Column("claim_line_start_date", "date", required=False),
        Column("claim_line_end_date", "end", required=False),
        Column("admission_date", "date", required=False),
        Column("discharge_date", "end", required=False),
        Column("place_of_service_code"),
        Column("bill_type_code"),
        Column("revenue_center_code"),
        Column("drg_code_type", required=False),
        Column("drg_code", required=False, aliases=("ms_drg_code",)),
        Column("hcpcs_code"),
        Column("paid_amount", "amount"),
        Column("allowed_amount", "amount", required=False),
        Column("charge_amount", "amount", required=False),
        Column("diagnosis_code_type", required=False),
        Column("procedure_code_type", required=False),
        Column("data_source", required=False),
        Column("diagnosis_code_1"),
        *(Column(name, required=False) for name in _DIAGNOSES[1:]),
        *(Column(name, required=False) for name in _PROCEDURES),
    ),
)
PHARMACY = TableSpec(
    "pharmacy_claim",
    (
        *_MEMBER,
        Column("claim_id"),
        Column("claim_line_number", required=False),
        Column("dispensing_date", "date"),
        Column("paid_date", "date", required=False),
        Column("ndc_code"),
        Column("paid_amount", "amount"),
        Column("allowed_amount", "amount", required=False),
        Column("charge_amount", "amount", required=False),
        Column("data_source", required=False),
    ),
    required=False,
)
ELIGIBILITY = TableSpec(
    "eligibility",
    (
        *_MEMBER,
        Column("gender"),
        Column("race", required=False),
        Column("birth_date", "birth"),
        Column("death_date", "end", required=False),
        Column("enrollment_start_date", "date"),
        Column("enrollment_end_date", "end"),
        Column("data_source", required=False),
    ),
    role="eligibility",
)

# Type of bill, first two digits: hospital inpatient; and stays that are no hospital
# stay (swing bed, nursing facility, home health, hospice, residential).
_INPATIENT_BILLS = ["11", "12", "41"]
_OTHER_BILLS = ["18", "21", "22", "28", "32", "33", "34", "65", "66", "81", "82", "86"]
_INPATIENT_PLACES = ["21", "51", "61"]
_EMERGENCY_PLACE = "23"
_EMERGENCY_REVENUE = r"^(?:045\d|0981)$"
_ROOM_AND_BOARD_REVENUE = r"^0(?:1\d|20|21)\d$"


class TuvaReader(TableReader):
    """Tuva's claims tables as CSV, gzip CSV or Parquet, files or folders of parts."""

    name = "tuva"
    tables = (MEDICAL, PHARMACY, ELIGIBILITY)

    def convert(
        self, unit: Unit, source: str, lines: pl.DataFrame, key: bytes
    ) -> Chunk:
        """See TableReader.convert."""
        checks = LineChecks(unit.table, source, lines, key)
        ids = cells.text(lines["person_id"])
        if ids.null_count():
            ids = ids.zip_with(ids.is_not_null(), cells.text(lines["member_id"]))
        member = checks.members(ids, "person_id")
        if unit.table == ELIGIBILITY.name:
            return _enrolment(lines, member, checks)
        if unit.table == PHARMACY.name:
            return _fills(lines, member, checks)
        return _medical(lines, member, checks)


READER = TuvaReader


def _medical(lines: pl.DataFrame, member: pl.Series, checks: LineChecks) -> Chunk:
    setting = _setting(lines)
    day, end_day = _period(lines, setting, checks)
    paid = checks.amounts("paid_amount")
    claim_lines = pl.DataFrame(
        {
            "member": member,
            "day": day,
            "end_day": end_day,
            "setting": setting["setting"],
            "claim": checks.claim_ids("claim_id"),
            "line": _line_numbers(lines),
            "amount": paid.fill_null(0.0),
            "denied": _denied(lines, paid),
            "institution": _institution(lines),
            "diagnosis_system": _icd_system(
                lines["diagnosis_code_type"], end_day, "ICD9CM", "ICD10CM"
            ),
            "procedure_system": _icd_system(
                lines["procedure_code_type"], end_day, "ICD9PCS", "ICD10PCS"
            ),
            "drg_system": _drg_system(lines),
        }
    )
    return checks.events(claim_lines, _MEDICAL_CODES)


_MEDICAL_CODES = (
    CodeColumns(_DIAGNOSES, normalise.diagnoses, system_column="diagnosis_system"),
    CodeColumns(_PROCEDURES, normalise.procedures, system_column="procedure_system"),
    CodeColumns(["hcpcs_code"], normalise.hcpcs, "HCPCS"),
    CodeColumns(["drg_code"], normalise.drgs, system_column="drg_system"),
)
_FILL_CODES = (CodeColumns(["ndc_code"], normalise.ndcs, "NDC"),)


def _fills(lines: pl.DataFrame, member: pl.Series, checks: LineChecks) -> Chunk:
    columns = ("dispensing_date", "paid_date")
    given = checks.days(columns)
    dispensed = checks.first_day(_first_of(given, columns), columns)
    day, end_day = checks.period(dispensed, dispensed, (columns[0], columns[0]))
    paid = checks.amounts("paid_amount")
    claim_lines = pl.DataFrame(
        {
            "member": member,
            "day": day,
            "end_day": end_day,
            "setting": pl.repeat("RX", len(lines), eager=True),
            "claim": checks.claim_ids("claim_id"),
            "line": _line_numbers(lines),
            "amount": paid.fill_null(0.0),
            "denied": _denied(lines, paid),
            "institution": _institution(lines),
        }
    )
    return checks.events(claim_lines, _FILL_CODES)


def _enrolment(lines: pl.DataFrame, member: pl.Series, checks: LineChecks) -> Chunk:
    columns = ("enrollment_start_date", "enrollment_end_date", "death_date")
    given = checks.days(columns)
    start = checks.first_day(given[columns[0]], columns[:1])
    given_end = checks.last_day(given[columns[1]], columns[1:2])
    death = checks.last_day(given[columns[2]], columns[2:])
    start, end = checks.span(start, given_end, (columns[0], columns[1]))
    checks.drop(death < start, "end_before_start", "death_date")
    return checks.enrolment(
        pl.DataFrame(
            {
                "member": member,
                "birth_day": checks.birth_days("birth_date"),
                "sex": _sex(lines["gender"]),
                "race": cells.text(lines["race"]).str.to_lowercase(),
                "institution": _institution(lines),
                "enrolled_from": start,
                "enrolled_to": pl.select(pl.min_horizontal(end, death)).to_series(),
            }
        )
    )


def _setting(lines: pl.DataFrame) -> pl.DataFrame:
    """`setting`, and `facility`: whether a stay's own dates are those of the claim."""
    claim_type = pl.col("claim_type").str.to_lowercase()
    bill = pl.col("bill_type_code").str.strip_chars_start("0").str.slice(0, 2)
    place = pl.col("place_of_service_code").str.zfill(2)
    revenue = pl.col("revenue_center_code").str.zfill(4)
    names = [
        "claim_type",
        "bill_type_code",
        "place_of_service_code",
        "revenue_center_code",
    ]
    given = pl.DataFrame([cells.text(lines[name]) for name in names])
    given = given.with_columns(lines["admission_date"].is_not_null().alias("admitted"))
    combinations = given.unique()
    unplaced = bill.is_null() & place.is_null()
    room = revenue.str.contains(_ROOM_AND_BOARD_REVENUE)
    institutional = claim_type.str.starts_with("inst")
    known_type = institutional | claim_type.str.starts_with("prof")
    admitted = unplaced & institutional & pl.col("admitted")
    in_hospital = (
        pl.when(bill.is_not_null())
        .then(bill.is_in(_INPATIENT_BILLS))
        .otherwise(_any(place.is_in(_INPATIENT_PLACES), room, admitted))
    )
    emergency = _any(
        place == _EMERGENCY_PLACE, revenue.str.contains(_EMERGENCY_REVENUE)
    )
    elsewhere = _any(bill.is_in(_OTHER_BILLS), unplaced & ~known_type.fill_null(False))
    decided = combinations.with_columns(
        setting=pl.when(in_hospital)
        .then(pl.lit("IP"))
        .when(emergency)
        .then(pl.lit("ED"))
        .when(elsewhere)
        .then(pl.lit("OTHER"))
        .otherwise(pl.lit("OP")),
        facility=in_hospital & _any(bill.is_not_null(), institutional),
    )
    return given.join(
        decided, on=given.columns, how="left", nulls_equal=True, maintain_order="left"
    ).select("setting", "facility")


def _period(
    lines: pl.DataFrame, setting: pl.DataFrame, checks: LineChecks
) -> tuple[pl.Series, pl.Series]:
    """First and last day: of the stay for a facility's stay, of the line otherwise."""
    starts = ("claim_start_date", "claim_line_start_date", "admission_date")
    ends = ("claim_end_date", "claim_line_end_date", "discharge_date")
    given = checks.days(starts + ends).with_columns(setting["facility"])
    claim_end, line_end, discharge = (
        pl.when(pl.col(name) < cells.FAR_FUTURE_DAY).then(name) for name in ends
    )
    claim_start, line_start, admission = starts
    chosen = given.select(
        day=pl.when("facility")
        .then(pl.coalesce(admission, claim_start, line_start))
        .otherwise(pl.coalesce(line_start, claim_start, admission)),
        end_day=pl.when("facility")
        .then(pl.coalesce(discharge, claim_end, line_end))
        .otherwise(pl.coalesce(line_end, line_start, claim_end)),
    )
    day = checks.first_day(chosen["day"], starts)
    end_day = checks.last_day(chosen["end_day"], ends)
    return checks.period(day, end_day, (starts[0], ends[0]))


def _first_of(given: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    return given.select(pl.coalesce(columns)).to_series()


def _any(*conditions: pl.Expr) -> pl.Expr:
    return pl.any_horizontal(*(c.fill_null(False) for c in conditions))


def _line_numbers(lines: pl.DataFrame) -> pl.Series:
    numbers = lines["claim_line_number"].cast(pl.Float64, strict=False)
    return numbers.cast(pl.Int32, strict=False).fill_null(0)


def _denied(lines: pl.DataFrame, paid: pl.Series) -> pl.Series:
    """Refused: something was charged, and nothing of it was allowed or paid."""
    amounts = pl.DataFrame(
        {
            "paid": paid,
            "allowed": cells.amounts(lines["allowed_amount"]),
            "charge": cells.amounts(lines["charge_amount"]),
        }
    )
    refused = (
        (pl.col("allowed") == 0)
        & (pl.col("paid").fill_null(0.0) == 0)
        & (pl.col("charge") > 0)
    )
    return amounts.select(refused.fill_null(False)).to_series()


def _institution(lines: pl.DataFrame) -> pl.Series:
    return cells.text(lines["data_source"]).fill_null(UNKNOWN_INSTITUTION)


def _icd_system(
    code_type: pl.Series, end_day: pl.Series, ninth: str, tenth: str
) -> pl.Series:
    """By the type column where it names a revision, else by the last day of service."""
    given = pl.DataFrame(
        {"type": code_type.cast(pl.String), "late": end_day >= ICD10_FROM_DAY}
    )
    by_day = pl.when("late").then(pl.lit(tenth)).otherwise(pl.lit(ninth))
    if code_type.null_count() == len(code_type):
        return given.select(by_day).to_series()
    return given.select(
        pl.when(pl.col("type").str.contains("10", literal=True))
        .then(pl.lit(tenth))
        .when(pl.col("type").str.contains("9", literal=True))
        .then(pl.lit(ninth))
        .otherwise(by_day)
    ).to_series()


def _drg_system(lines: pl.DataFrame) -> pl.Series:
    """MSDRG unless the type column names the APR grouper."""
    refined = lines["drg_code_type"].cast(pl.String).str.contains("(?i)apr")
    return (
        pl.DataFrame({"refined": refined})
        .select(pl.when("refined").then(pl.lit("APRDRG")).otherwise(pl.lit("MSDRG")))
        .to_series()
    )


def _sex(gender: pl.Series) -> pl.Series:
    letter = cells.text(gender).str.to_uppercase().str.slice(0, 1)
    return letter.set(~letter.is_in(["F", "M"]), None).fill_null("U")
