"""CMS DE-SynPUF 2008-2010: beneficiary summaries and claims as CMS publishes them.

Columns, rules and examples stand in docs/sources.md.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from claimpt_tf.claims import cells
from claimpt_tf.claims.code_rows import CodeColumns
from claimpt_tf.claims.input_folder import find_files
from claimpt_tf.claims.line_checks import LineChecks
from claimpt_tf.claims.preflight import InputReport
from claimpt_tf.claims.reader import Chunk, Unit
from claimpt_tf.claims.table_reader import TableReader
from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.claims.whole_table import whole_files
from claimpt_tf.codes import normalise
from claimpt_tf.errors import InputError

INSTITUTION = "synpuf"


def _numbered(stem: str, last: int) -> list[str]:
    return [f"{stem}_{place}" for place in range(1, last + 1)]


def _optional(names: Sequence[str]) -> tuple[Column, ...]:
    return tuple(Column(name, required=False) for name in names)


_MEMBER = Column("DESYNPUF_ID", "member")
_DIAGNOSES = _numbered("ICD9_DGNS_CD", 10)
_LINE_DIAGNOSES = _numbered("LINE_ICD9_DGNS_CD", 13)
_PROCEDURES = _numbered("ICD9_PRCDR_CD", 6)
_HCPCS = _numbered("HCPCS_CD", 45)
_LINE_PAYMENTS = _numbered("LINE_NCH_PMT_AMT", 13)
_MONTHS = "BENE_HI_CVRAGE_TOT_MONS"

BENEFICIARIES = TableSpec(
    "beneficiary_summary",
    (
        _MEMBER,
        Column("BENE_BIRTH_DT", "birth"),
        Column("BENE_DEATH_DT", "end"),
        Column("BENE_SEX_IDENT_CD"),
        Column("BENE_RACE_CD", required=False),
        Column(_MONTHS),
    ),
    example="DE1_0_2008_Beneficiary_Summary_File_Sample_1.csv.gz",
    role="eligibility",
)
_INSTITUTIONAL = (
    _MEMBER,
    Column("CLM_ID"),
    Column("SEGMENT"),
    Column("CLM_FROM_DT", "date"),
    Column("CLM_THRU_DT", "end"),
    Column("CLM_PMT_AMT", "amount"),
    Column("ADMTNG_ICD9_DGNS_CD", required=False),
    Column("ICD9_DGNS_CD_1"),
    *_optional(_DIAGNOSES[1:]),
    *_optional(_PROCEDURES),
    *_optional(_HCPCS),
)
INPATIENT = TableSpec(
    "inpatient_claims",
    (
        *_INSTITUTIONAL,
        Column("CLM_ADMSN_DT", "date"),
        Column("NCH_BENE_DSCHRG_DT", "end"),
        Column("CLM_DRG_CD", required=False),
    ),
    example="DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.csv.gz",
)
OUTPATIENT = TableSpec("outpatient_claims", _INSTITUTIONAL, required=False)
CARRIER = TableSpec(
    "carrier_claims",
    (
        _MEMBER,
        Column("CLM_ID"),
        Column("CLM_FROM_DT", "date"),
        Column("CLM_THRU_DT", "end"),
        Column("ICD9_DGNS_CD_1"),
        *_optional(_DIAGNOSES[1:8]),
        Column("HCPCS_CD_1"),
        *_optional(_HCPCS[1:13]),
        *_optional(_LINE_DIAGNOSES),
        *(Column(name, "amount", required=False) for name in _LINE_PAYMENTS),
    ),
    required=False,
)
DRUGS = TableSpec(
    "prescription_drug_events",
    (
        _MEMBER,
        Column("PDE_ID"),
        Column("SRVC_DT", "date"),
        Column("PROD_SRVC_ID"),
        Column("TOT_RX_CST_AMT", "amount"),
        Column("PTNT_PAY_AMT", "amount", required=False),
    ),
    required=False,
)

_MONTHS_SPEC = TableSpec(BENEFICIARIES.name, (_MEMBER, Column(_MONTHS)))

_SEXES = {"1": "M", "2": "F"}
_RACES = {"1": "white", "2": "black", "3": "other", "5": "hispanic"}
_EMERGENCY_HCPCS = ["99281", "99282", "99283", "99284", "99285"]


def _procedure_systems(codes: pl.Series) -> pl.Series:
    """ICD9PCS, or ICD9CM for the diagnoses that stand in this release's columns.

    A volume 3 procedure has three or four digits; five characters or a letter make a
    diagnosis of it.
    """
    shaped = codes.str.contains(r"^\d{3,4}$")
    return (
        pl.DataFrame({"shaped": shaped})
        .select(pl.when("shaped").then(pl.lit("ICD9PCS")).otherwise(pl.lit("ICD9CM")))
        .to_series()
    )


_CLAIM_CODES = (
    CodeColumns([*_DIAGNOSES, "ADMTNG_ICD9_DGNS_CD"], normalise.diagnoses, "ICD9CM"),
    CodeColumns(_LINE_DIAGNOSES, normalise.diagnoses, "ICD9CM"),
    CodeColumns(_PROCEDURES, normalise.procedures, _procedure_systems),
    CodeColumns(_HCPCS, normalise.hcpcs, "HCPCS"),
    CodeColumns(["CLM_DRG_CD"], normalise.drgs, "MSDRG"),
)
_DRUG_CODES = (CodeColumns(["PROD_SRVC_ID"], normalise.ndcs, "NDC"),)


class SynpufReader(TableReader):
    """DE-SynPUF files, CSV or gzip CSV, in one folder or one folder a sample."""

    name = "synpuf"
    tables = (BENEFICIARIES, INPATIENT, OUTPATIENT, CARRIER, DRUGS)
    nested = True

    def inspect(self, input_path: str) -> InputReport:
        """See TableReader.inspect; a beneficiary file must also name its year."""
        for file in find_files(self.tables, input_path, self.nested)[
            BENEFICIARIES.name
        ]:
            _year(file.path.name)
        return super().inspect(input_path)

    def convert(
        self, unit: Unit, source: str, lines: pl.DataFrame, key: bytes
    ) -> Chunk:
        """See TableReader.convert."""
        checks = LineChecks(unit.table, source, lines, key)
        member = checks.members(cells.text(lines["DESYNPUF_ID"]), "DESYNPUF_ID")
        if unit.table == BENEFICIARIES.name:
            return _enrolment(unit, lines, member, checks)
        if unit.table == DRUGS.name:
            return _fills(lines, member, checks)
        if unit.table == CARRIER.name:
            return _carrier(lines, member, checks)
        return _institutional(unit, lines, member, checks)


READER = SynpufReader


def _institutional(
    unit: Unit, lines: pl.DataFrame, member: pl.Series, checks: LineChecks
) -> Chunk:
    inpatient = unit.table == INPATIENT.name
    segment = lines["SEGMENT"].cast(pl.Int32, strict=False).fill_null(1)
    starts = ("CLM_FROM_DT", *(["CLM_ADMSN_DT"] if inpatient else []))
    ends = ("CLM_THRU_DT", *(["NCH_BENE_DSCHRG_DT"] if inpatient else []))
    given = checks.days((*starts, *ends)).with_columns(continued=segment > 1)
    chosen = given.with_columns(end=pl.coalesce(ends)).select(
        "end",
        # A continuation has no dates of its own but the discharge; its admission
        # date is perturbed apart from the first segment's.
        day=pl.when(pl.col("continued") & pl.col(starts[0]).is_null())
        .then("end")
        .otherwise(pl.coalesce(starts)),
    )
    day, end_day = checks.period(
        checks.first_day(chosen["day"], starts),
        checks.last_day(chosen["end"], ends),
        (starts[0], ends[0]),
    )
    # Continuations repeat the payment of the first segment.
    paid = checks.amounts("CLM_PMT_AMT").set(segment > 1, 0.0)
    if inpatient:
        setting = pl.repeat("IP", len(lines), dtype=pl.String, eager=True)
    else:
        setting = _outpatient_setting(lines)
    claim_lines = pl.DataFrame(
        {
            "member": member,
            "day": day,
            "end_day": end_day,
            "setting": setting,
            "claim": checks.claim_ids("CLM_ID"),
            "line": segment,
            "amount": _not_negative(paid, "CLM_PMT_AMT", checks),
        }
    )
    return checks.events(_as_paid(claim_lines), _CLAIM_CODES)


def _outpatient_setting(lines: pl.DataFrame) -> pl.Series:
    """ED where an emergency evaluation is billed: there is no revenue centre here."""
    emergency = pl.any_horizontal(
        pl.col(name).cast(pl.String).is_in(_EMERGENCY_HCPCS).fill_null(False)
        for name in _HCPCS
    )
    return lines.select(
        pl.when(emergency).then(pl.lit("ED")).otherwise(pl.lit("OP"))
    ).to_series()


def _carrier(lines: pl.DataFrame, member: pl.Series, checks: LineChecks) -> Chunk:
    columns = ("CLM_FROM_DT", "CLM_THRU_DT")
    given = checks.days(columns)
    day, end_day = checks.period(
        checks.first_day(given[columns[0]], columns[:1]),
        checks.last_day(given[columns[1]], columns[1:]),
        columns,
    )
    payments = pl.DataFrame([checks.amounts(name) for name in _LINE_PAYMENTS])
    paid = payments.select(pl.sum_horizontal(pl.all())).to_series()
    claim_lines = pl.DataFrame(
        {
            "member": member,
            "day": day,
            "end_day": end_day,
            "setting": pl.repeat("OP", len(lines), dtype=pl.String, eager=True),
            "claim": checks.claim_ids("CLM_ID"),
            "line": pl.repeat(1, len(lines), dtype=pl.Int32, eager=True),
            "amount": _not_negative(paid, _LINE_PAYMENTS[0], checks),
        }
    )
    return checks.events(_as_paid(claim_lines), _CLAIM_CODES)


def _fills(lines: pl.DataFrame, member: pl.Series, checks: LineChecks) -> Chunk:
    columns = ("SRVC_DT",)
    day = checks.first_day(checks.days(columns)[columns[0]], columns)
    day, end_day = checks.period(day, day, (columns[0], columns[0]))
    cost = checks.amounts("TOT_RX_CST_AMT").fill_null(0.0)
    paid = cost - checks.amounts("PTNT_PAY_AMT").fill_null(0.0)
    claim_lines = pl.DataFrame(
        {
            "member": member,
            "day": day,
            "end_day": end_day,
            "setting": pl.repeat("RX", len(lines), dtype=pl.String, eager=True),
            "claim": checks.claim_ids("PDE_ID"),
            "line": pl.repeat(1, len(lines), dtype=pl.Int32, eager=True),
            "amount": _not_negative(paid, "TOT_RX_CST_AMT", checks),
        }
    )
    return checks.events(_as_paid(claim_lines), _DRUG_CODES)


def _as_paid(claim_lines: pl.DataFrame) -> pl.DataFrame:
    """The release holds paid claims of one payer only."""
    return claim_lines.with_columns(
        denied=pl.lit(False), institution=pl.lit(INSTITUTION, dtype=pl.String)
    )


def _not_negative(paid: pl.Series, column: str, checks: LineChecks) -> pl.Series:
    """A deductible above the payment makes it negative here; it is no reversal."""
    checks.note(paid < 0, "amount_negative", column)
    return paid.clip(lower_bound=0.0).fill_null(0.0)


def _enrolment(
    unit: Unit, lines: pl.DataFrame, member: pl.Series, checks: LineChecks
) -> Chunk:
    year = _year(Path(unit.path).name)
    months = lines[_MONTHS].cast(pl.Float64, strict=False).cast(pl.Int32, strict=False)
    checks.drop(
        ~months.is_between(0, 12).fill_null(False), "months_unparsable", _MONTHS
    )
    checks.drop(months == 0, "not_covered", _MONTHS)
    death = checks.days(["BENE_DEATH_DT"])["BENE_DEATH_DT"]
    checks.last_day(death, ["BENE_DEATH_DT"])
    spans = _spans(unit, year, cells.text(lines["DESYNPUF_ID"]), months, death)
    checks.drop(
        spans["enrolled_to"] < spans["enrolled_from"],
        "end_before_start",
        "BENE_DEATH_DT",
    )
    sex = cells.text(lines["BENE_SEX_IDENT_CD"])
    race = cells.text(lines["BENE_RACE_CD"])
    return checks.enrolment(
        pl.DataFrame(
            {
                "member": member,
                "birth_day": checks.birth_days("BENE_BIRTH_DT"),
                "sex": sex.replace_strict(_SEXES, default="U"),
                "race": race.replace_strict(
                    _RACES, default=None, return_dtype=pl.String
                ),
                "institution": pl.repeat(
                    INSTITUTION, len(lines), dtype=pl.String, eager=True
                ),
                "enrolled_from": spans["enrolled_from"],
                "enrolled_to": spans["enrolled_to"],
            }
        )
    )


def _spans(
    unit: Unit, year: int, ids: pl.Series, months: pl.Series, death: pl.Series
) -> pl.DataFrame:
    """First and last covered day of the year, from the number of covered months.

    Fewer than twelve months count from January, unless the member joined within the
    year: not covered the year before, but covered the year after (where there is no
    file for the year after, being new is enough). Then they end in December.
    """
    before, after = (_neighbour(unit, year, step) for step in (-1, 1))
    frame = pl.DataFrame({"id": ids, "months": months, "death": death})
    for name, path in (("before", before), ("after", after)):
        known = whole_files(_MONTHS_SPEC, [path] if path else [], _covered_months)
        known = known.unique("id", keep="first", maintain_order=True)
        frame = frame.join(
            known.rename({"months": name}), on="id", how="left", maintain_order="left"
        )
    new = pl.col("before").fill_null(0) == 0
    if after:
        joined = new & (pl.col("after").fill_null(0) > 0)
    else:
        joined = new & pl.lit(before is not None)
    died = pl.col("death").is_between(_day(year, 1), _day(year + 1, 1) - 1)
    joined = joined & ~died.fill_null(False)
    month_starts = [_day(year, month) for month in range(1, 13)] + [_day(year + 1, 1)]
    start_of = dict(enumerate(month_starts))
    # Deaths are coarsened to the first of the month: cover lasts to its end.
    death_end = {
        start: following - 1 for start, following in itertools.pairwise(month_starts)
    }
    counted = pl.col("months").clip(1, 12)
    return frame.select(
        enrolled_from=pl.when(joined)
        .then((12 - counted).replace_strict(start_of, return_dtype=pl.Int32))
        .otherwise(pl.lit(month_starts[0], dtype=pl.Int32)),
        enrolled_to=pl.min_horizontal(
            pl.when(joined)
            .then(pl.lit(month_starts[12] - 1, dtype=pl.Int32))
            .otherwise(counted.replace_strict(start_of, return_dtype=pl.Int32) - 1),
            pl.col("death").replace_strict(
                death_end, default=pl.col("death"), return_dtype=pl.Int32
            ),
        ),
    )


def _day(year: int, month: int) -> int:
    return (datetime.date(year, month, 1) - cells.EPOCH).days


def _year(name: str) -> int:
    found = re.search(r"((?:19|20)\d\d)_beneficiary", name.lower())
    if found is None:
        raise InputError(
            f"{name}: no year stands before 'Beneficiary' in the file's name, so its "
            f"months cannot be placed. Name it like {BENEFICIARIES.example}."
        )
    return int(found.group(1))


def _neighbour(unit: Unit, year: int, step: int) -> Path | None:
    """The file of the same sample for another year, if it is there."""
    path = Path(unit.path)
    name = re.sub(
        rf"{year}(?=_beneficiary)", str(year + step), path.name, flags=re.IGNORECASE
    )
    other = path.with_name(name)
    return other if other.exists() else None


def _covered_months(rows: pl.DataFrame) -> pl.DataFrame:
    """`id` and `months` of each member in some rows of a beneficiary file."""
    return rows.select(
        id=cells.text(rows["DESYNPUF_ID"]),
        months=rows[_MONTHS].cast(pl.Int32, strict=False),
    ).drop_nulls("id")
