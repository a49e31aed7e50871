"""Synthea's CSV export: simulated patients with encounters and what belongs to them.

Columns, rules and examples stand in docs/sources.md.
"""

from __future__ import annotations

import polars as pl

from claimpt_tf.claims import cells
from claimpt_tf.claims.code_rows import CodeColumns
from claimpt_tf.claims.line_checks import UNKNOWN_INSTITUTION, LineChecks
from claimpt_tf.claims.reader import Chunk, Unit
from claimpt_tf.claims.table_reader import TableReader
from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.claims.whole_table import whole_table
from claimpt_tf.codes import normalise

_MEMBER = Column("PATIENT", "member")
_ENCOUNTER = Column("ENCOUNTER")
_CODE = Column("CODE")

PATIENTS = TableSpec(
    "patients",
    (
        Column("Id", "member"),
        Column("BIRTHDATE", "birth"),
        Column("DEATHDATE", "end"),
        Column("GENDER"),
        Column("RACE", required=False),
    ),
    role="other",
)
ENCOUNTERS = TableSpec(
    "encounters",
    (
        Column("Id"),
        _MEMBER,
        Column("START", "date"),
        Column("STOP", "end"),
        Column("ENCOUNTERCLASS"),
        _CODE,
        Column("REASONCODE", required=False),
        Column("ORGANIZATION", required=False),
        Column("PAYER_COVERAGE", "amount", required=False),
    ),
)
_START = Column("START", "date", aliases=("DATE",))
CONDITIONS = TableSpec("conditions", (_MEMBER, _ENCOUNTER, _START, _CODE))
PROCEDURES = TableSpec("procedures", (_MEMBER, _ENCOUNTER, _START, _CODE), False)
MEDICATIONS = TableSpec(
    "medications",
    (
        _MEMBER,
        _ENCOUNTER,
        _START,
        Column("STOP", "end", required=False),
        _CODE,
        Column("PAYER_COVERAGE", "amount", required=False),
    ),
    required=False,
)
IMMUNIZATIONS = TableSpec("immunizations", (_MEMBER, _ENCOUNTER, _START, _CODE), False)
PAYER_TRANSITIONS = TableSpec(
    "payer_transitions",
    (
        _MEMBER,
        # Days in some versions of Synthea, years in others.
        Column("START_YEAR", aliases=("START_DATE",)),
        Column("END_YEAR", aliases=("END_DATE",)),
        Column("PAYER"),
    ),
    role="eligibility",
)
PAYERS = TableSpec(
    "payers", (Column("Id"), Column("NAME")), required=False, role="lookup"
)
_DEATHS = TableSpec("patients", (Column("Id"), Column("DEATHDATE")))

_SETTINGS = {
    "inpatient": "IP",
    "emergency": "ED",
    **dict.fromkeys(
        ["ambulatory", "home", "outpatient", "urgentcare", "virtual", "wellness"], "OP"
    ),
}
_NOT_INSURED = "NO_INSURANCE"
# Synthea gives this payer the same id in every export.
_NOT_INSURED_ID = "b1c428d6-4f07-31e0-90f0-68ffa6ff8c76"
_SYSTEMS = {
    ENCOUNTERS.name: "SNOMED",
    CONDITIONS.name: "SNOMED",
    PROCEDURES.name: "SNOMED",
    MEDICATIONS.name: "RXNORM",
    IMMUNIZATIONS.name: "CVX",
}


class SyntheaReader(TableReader):
    """Synthea's tables as CSV, gzip CSV or Parquet, files or folders of parts."""

    name = "synthea"
    tables = (
        PATIENTS,
        ENCOUNTERS,
        CONDITIONS,
        PROCEDURES,
        MEDICATIONS,
        IMMUNIZATIONS,
        PAYER_TRANSITIONS,
        PAYERS,
    )

    def convert(
        self, unit: Unit, source: str, lines: pl.DataFrame, key: bytes
    ) -> Chunk:
        """See TableReader.convert."""
        if unit.table == PAYER_TRANSITIONS.name:
            lines = _with_whole_years(lines)
        checks = LineChecks(unit.table, source, lines, key)
        column = "Id" if unit.table == PATIENTS.name else "PATIENT"
        member = checks.members(cells.text(lines[column]), column)
        if unit.table == PATIENTS.name:
            return _patients(lines, member, checks)
        if unit.table == PAYER_TRANSITIONS.name:
            return _enrolment(unit, lines, member, checks)
        return _events(unit.table, lines, member, checks)


READER = SyntheaReader


def _events(
    table: str, lines: pl.DataFrame, member: pl.Series, checks: LineChecks
) -> Chunk:
    encounters = table == ENCOUNTERS.name
    columns = ("START", "STOP") if encounters else ("START", "START")
    given = checks.days(list(dict.fromkeys(columns)))
    day, end_day = checks.period(
        checks.first_day(given[columns[0]], columns[:1]),
        checks.last_day(given[columns[1]], columns[1:]),
        columns,
    )
    encounter = checks.claim_ids("Id" if encounters else "ENCOUNTER")
    rows = len(lines)
    if encounters:
        setting = (
            cells.text(lines["ENCOUNTERCLASS"])
            .str.to_lowercase()
            .replace_strict(_SETTINGS, default="OTHER")
        )
        institution = cells.text(lines["ORGANIZATION"]).fill_null(UNKNOWN_INSTITUTION)
    else:
        filled = "RX" if table == MEDICATIONS.name else None
        setting = pl.repeat(filled, rows, dtype=pl.String, eager=True)
        institution = pl.repeat(UNKNOWN_INSTITUTION, rows, eager=True)
    paid = (
        checks.amounts("PAYER_COVERAGE").fill_null(0.0)
        if "PAYER_COVERAGE" in lines.columns
        else pl.repeat(0.0, rows, eager=True)
    )
    claim_lines = pl.DataFrame(
        {
            "member": member,
            "day": day,
            "end_day": end_day,
            "setting": setting,
            "encounter": encounter,
            "claim": encounter if table != MEDICATIONS.name else _prescribed(lines),
            "amount": paid,
            "institution": institution,
        }
    ).with_columns(line=pl.lit(0, dtype=pl.Int32), denied=pl.lit(False))
    codes = ["CODE", *(["REASONCODE"] if encounters else [])]
    return checks.events(
        claim_lines, [CodeColumns(codes, normalise.plain, _SYSTEMS[table])]
    )


def _prescribed(lines: pl.DataFrame) -> pl.Series:
    """What tells a drug that is prescribed twice from a row that is there twice."""
    return (
        pl.DataFrame([cells.text(lines[name]) for name in ("ENCOUNTER", "STOP")])
        .select(pl.concat_str(pl.all(), separator=" until ", ignore_nulls=True))
        .to_series()
    )


def _patients(lines: pl.DataFrame, member: pl.Series, checks: LineChecks) -> Chunk:
    sex = cells.text(lines["GENDER"]).str.to_uppercase().str.slice(0, 1)
    return checks.enrolment(
        pl.DataFrame(
            {
                "member": member,
                "birth_day": checks.birth_days("BIRTHDATE"),
                "sex": sex.set(~sex.is_in(["F", "M"]), None).fill_null("U"),
                "race": cells.text(lines["RACE"]).str.to_lowercase(),
            }
        ).with_columns(
            institution=pl.lit(None, dtype=pl.String),
            enrolled_from=pl.lit(None, dtype=pl.Int32),
            enrolled_to=pl.lit(None, dtype=pl.Int32),
        )
    )


def _enrolment(
    unit: Unit, lines: pl.DataFrame, member: pl.Series, checks: LineChecks
) -> Chunk:
    columns = ("START_YEAR", "END_YEAR")
    payers = whole_table(PAYERS, unit.folder, _names)
    uninsured = payers.filter(pl.col("name") == _NOT_INSURED)["id"].to_list()
    checks.drop(
        cells.text(lines["PAYER"]).is_in([*uninsured, _NOT_INSURED_ID]),
        "not_covered",
        "PAYER",
    )
    given = checks.days(columns)
    start, end = checks.span(
        checks.first_day(given[columns[0]], columns[:1]),
        checks.last_day(given[columns[1]], columns[1:]),
        columns,
    )
    deaths = whole_table(_DEATHS, unit.folder, _deaths, "id")
    death = (
        pl.DataFrame({"id": cells.text(lines["PATIENT"])})
        .join(deaths, on="id", how="left", maintain_order="left")
        .get_column("death")
    )
    checks.drop(death < start, "end_before_start", "DEATHDATE")
    return checks.enrolment(
        pl.DataFrame(
            {
                "member": member,
                "enrolled_from": start,
                "enrolled_to": pl.select(pl.min_horizontal(end, death)).to_series(),
            }
        ).with_columns(
            birth_day=pl.lit(None, dtype=pl.Int32),
            sex=pl.lit(None, dtype=pl.String),
            race=pl.lit(None, dtype=pl.String),
            institution=pl.lit(None, dtype=pl.String),
        )
    )


def _with_whole_years(lines: pl.DataFrame) -> pl.DataFrame:
    """Years as their first and last day; other spellings as they are."""
    return lines.with_columns(
        cells.text(lines[name]).str.replace(r"^(\d{4})$", f"${{1}}-{day}")
        for name, day in (("START_YEAR", "01-01"), ("END_YEAR", "12-31"))
        if not lines[name].dtype.is_temporal()
    )


def _names(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        id=cells.text(rows["Id"]), name=cells.text(rows["NAME"]).str.to_uppercase()
    )


def _deaths(rows: pl.DataFrame) -> pl.DataFrame:
    """`id` and day of `death` of those who died."""
    dead = rows.select(id=cells.text(rows["Id"]), death=cells.days(rows["DEATHDATE"]))
    return dead.drop_nulls()
