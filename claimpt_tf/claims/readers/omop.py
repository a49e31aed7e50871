"""OMOP Common Data Model 5.3 and 5.4: visits, conditions, drugs, procedures.

Columns, rules and examples stand in docs/sources.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import polars as pl

from claimpt_tf.claims import cells
from claimpt_tf.claims.code_rows import CodeColumns
from claimpt_tf.claims.input_folder import InputFile, find_files
from claimpt_tf.claims.line_checks import UNKNOWN_INSTITUTION, LineChecks
from claimpt_tf.claims.reader import Chunk, Unit
from claimpt_tf.claims.table_reader import TableReader
from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.claims.whole_table import whole_table
from claimpt_tf.codes.vocabularies import canonical, split_spelt, system_of

_MEMBER = Column("person_id", "member")
_VISIT = Column("visit_occurrence_id", required=False)


def _occurrences(table: str, what: str, day: str, required: bool) -> TableSpec:
    """A table whose rows are something that was found, given or done in a visit."""
    return TableSpec(
        table,
        (
            _MEMBER,
            Column(f"{table}_id"),
            Column(f"{what}_concept_id"),
            Column(day, "date", aliases=(day.removesuffix("date") + "datetime",)),
            _VISIT,
            Column(f"{what}_source_value", required=False),
            Column(f"{what}_source_concept_id", required=False),
            *([Column("drug_type_concept_id", required=False)] * (what == "drug")),
        ),
        required=required,
    )


def _periods(table: str, *others: Column) -> TableSpec:
    return TableSpec(
        table,
        (
            _MEMBER,
            Column(f"{table}_start_date", "date"),
            Column(f"{table}_end_date", "end"),
            *others,
        ),
        required=False,
        role="eligibility",
    )


PERSON = TableSpec(
    "person",
    (
        _MEMBER,
        Column("gender_concept_id"),
        Column("gender_source_value", required=False),
        Column("year_of_birth"),
        Column("month_of_birth", required=False),
        Column("day_of_birth", required=False),
        Column("birth_datetime", "birth", required=False),
        Column("race_source_value", required=False),
    ),
    role="other",
)
VISITS = TableSpec(
    "visit_occurrence",
    (
        _MEMBER,
        Column("visit_occurrence_id"),
        Column("visit_concept_id"),
        Column("visit_start_date", "date", aliases=("visit_start_datetime",)),
        Column("visit_end_date", "end", aliases=("visit_end_datetime",)),
        Column("care_site_id", required=False),
    ),
)
CONDITIONS = _occurrences(
    "condition_occurrence", "condition", "condition_start_date", required=True
)
DRUGS = _occurrences("drug_exposure", "drug", "drug_exposure_start_date", False)
PROCEDURES = _occurrences("procedure_occurrence", "procedure", "procedure_date", False)
PAYER_PLANS = _periods(
    "payer_plan_period", Column("payer_source_value", required=False)
)
OBSERVED = _periods("observation_period")
CONCEPTS = TableSpec(
    "concept",
    (Column("concept_id"), Column("vocabulary_id"), Column("concept_code")),
    required=False,
    pattern=r"(?:^|[^a-z])concepts?(?!_(?:ancestor|class|map|relation|synonym))"
    r"(?:[^a-z]|$)",
    role="lookup",
)

_SEXES = {"8507": "M", "8532": "F"}
_SETTINGS = {
    **dict.fromkeys(["9201", "262", "8717", "32037"], "IP"),
    # Critical, intensive and cardiac care, nursery.
    **dict.fromkeys(["581379", "581382", "581383", "581384"], "IP"),
    **dict.fromkeys(["9203", "8870", "581381"], "ED"),
    **dict.fromkeys(["581458"], "RX"),
    # Long-term care, nursing facility, hospice, laboratory, ambulance.
    **dict.fromkeys(
        ["42898160", "8676", "8863", "8546", "32036", "581478", "0"], "OTHER"
    ),
}
# Dispensed in a pharmacy, by mail order, as an EHR or a pharmacy claim has it.
_DISPENSED = ["38000175", "38000176", "32825", "32869"]
_NO_CONCEPT = 0


class OmopReader(TableReader):
    """OMOP CDM tables as CSV, gzip CSV or Parquet, files or folders of parts."""

    name = "omop"
    tables = (
        PERSON,
        VISITS,
        CONDITIONS,
        DRUGS,
        PROCEDURES,
        PAYER_PLANS,
        OBSERVED,
        CONCEPTS,
    )

    def tables_in(self, input_path: str) -> Sequence[TableSpec]:
        """Enrolment is payer plan periods, or observation periods if there are none."""
        plans = find_files([PAYER_PLANS], input_path)[PAYER_PLANS.name]
        chosen = PAYER_PLANS if any(map(_has_rows, plans)) else OBSERVED
        return [
            dataclasses.replace(table, required=True) if table is chosen else table
            for table in self.tables
            if table.role != "eligibility" or table is chosen
        ]

    def convert(
        self, unit: Unit, source: str, lines: pl.DataFrame, key: bytes
    ) -> Chunk:
        """See TableReader.convert."""
        checks = LineChecks(unit.table, source, lines, key)
        member = checks.members(cells.text(lines["person_id"]), "person_id")
        if unit.table == PERSON.name:
            return _person(lines, member, checks)
        if unit.table in (PAYER_PLANS.name, OBSERVED.name):
            return _enrolment(unit.table, lines, member, checks)
        if unit.table == VISITS.name:
            return _visits(lines, member, checks)
        concepts = whole_table(CONCEPTS, unit.folder, _known_concepts, "concept_id")
        return _occurred(self.spec(unit.table), lines, member, checks, concepts)


READER = OmopReader


def _has_rows(file: InputFile) -> bool:
    opened = file.open()
    if opened.rows is not None:
        return opened.rows > 0
    opened.header()
    first = next(iter(opened.batches({"first": 0}, 0, 1)), None)
    return first is not None and first.lines > 0


def _person(lines: pl.DataFrame, member: pl.Series, checks: LineChecks) -> Chunk:
    by_concept = cells.text(lines["gender_concept_id"]).replace_strict(
        _SEXES, default=None, return_dtype=pl.String
    )
    letter = cells.text(lines["gender_source_value"]).str.to_uppercase().str.slice(0, 1)
    letter = letter.set(~letter.is_in(["F", "M"]), None)
    sex = by_concept.zip_with(by_concept.is_not_null(), letter).fill_null("U")
    return checks.enrolment(
        pl.DataFrame(
            {
                "member": member,
                "birth_day": _birth_days(lines, checks),
                "sex": sex,
                "race": cells.text(lines["race_source_value"]).str.to_lowercase(),
            }
        ).with_columns(
            institution=pl.lit(None, dtype=pl.String),
            enrolled_from=pl.lit(None, dtype=pl.Int32),
            enrolled_to=pl.lit(None, dtype=pl.Int32),
        )
    )


def _birth_days(lines: pl.DataFrame, checks: LineChecks) -> pl.Series:
    """The day given, or the first that year, month and day leave possible."""
    parts = pl.DataFrame(
        [
            cells.text(lines[name]).cast(pl.Int32, strict=False)
            for name in ("year_of_birth", "month_of_birth", "day_of_birth")
        ]
    ).with_columns(pl.col("month_of_birth", "day_of_birth").fill_null(1))
    spelt = parts.select(
        pl.concat_str(
            pl.col("year_of_birth").cast(pl.String).str.zfill(4),
            pl.col("month_of_birth", "day_of_birth").cast(pl.String).str.zfill(2),
            separator="-",
        )
    ).to_series()
    first = cells.days(spelt)
    checks.note(
        first.is_null() & cells.filled(lines["year_of_birth"]),
        "birth_unparsable",
        "year_of_birth",
    )
    checks.note(first > checks.today, "birth_in_future", "year_of_birth")
    day = checks.birth_days("birth_datetime")
    return day.zip_with(day.is_not_null(), first.set(first > checks.today, None))


def _enrolment(
    table: str, lines: pl.DataFrame, member: pl.Series, checks: LineChecks
) -> Chunk:
    columns = (f"{table}_start_date", f"{table}_end_date")
    given = checks.days(columns)
    start, end = checks.span(
        checks.first_day(given[columns[0]], columns[:1]),
        checks.last_day(given[columns[1]], columns[1:]),
        columns,
    )
    payer = (
        cells.text(lines["payer_source_value"])
        if "payer_source_value" in lines.columns
        else pl.repeat(None, len(lines), dtype=pl.String, eager=True)
    )
    return checks.enrolment(
        pl.DataFrame(
            {
                "member": member,
                "institution": payer,
                "enrolled_from": start,
                "enrolled_to": end,
            }
        ).with_columns(
            birth_day=pl.lit(None, dtype=pl.Int32),
            sex=pl.lit(None, dtype=pl.String),
            race=pl.lit(None, dtype=pl.String),
        )
    )


def _visits(lines: pl.DataFrame, member: pl.Series, checks: LineChecks) -> Chunk:
    columns = ("visit_start_date", "visit_end_date")
    given = checks.days(columns)
    day, end_day = checks.period(
        checks.first_day(given[columns[0]], columns[:1]),
        checks.last_day(given[columns[1]], columns[1:]),
        columns,
    )
    concept = cells.text(lines["visit_concept_id"]).fill_null("0")
    visit = checks.claim_ids("visit_occurrence_id")
    return checks.events(
        _lines(
            pl.DataFrame(
                {
                    "member": member,
                    "day": day,
                    "end_day": end_day,
                    "setting": concept.replace_strict(_SETTINGS, default="OP"),
                    "encounter": visit,
                    "claim": visit,
                    "institution": cells.text(lines["care_site_id"]),
                }
            )
        ),
        (),
    )


def _occurred(
    table: TableSpec,
    lines: pl.DataFrame,
    member: pl.Series,
    checks: LineChecks,
    concepts: pl.DataFrame,
) -> Chunk:
    (date,) = (column.name for column in table.columns if column.kind == "date")
    day = checks.first_day(checks.days([date])[date], [date])
    day, end_day = checks.period(day, day, (date, date))
    encounter = cells.text(lines["visit_occurrence_id"])
    claim_lines = _lines(
        pl.DataFrame(
            {
                "member": member,
                "day": day,
                "end_day": end_day,
                "setting": _dispensed(lines),
                "encounter": encounter.set(encounter == "0", None),
                "claim": checks.claim_ids(f"{table.name}_id"),
            }
        ).with_columns(institution=pl.lit(None, dtype=pl.String))
    )
    what = table.name.split("_")[0]
    return checks.events(
        claim_lines.hstack(_codes(lines, what, concepts)),
        [
            CodeColumns(
                ["concept_code"], pl.Series.clone, system_column="concept_system"
            )
        ],
    )


def _lines(claim_lines: pl.DataFrame) -> pl.DataFrame:
    """What is the same for all lines: OMOP keeps money apart, by no member."""
    return claim_lines.with_columns(
        pl.col("institution").fill_null(UNKNOWN_INSTITUTION),
        line=pl.lit(0, dtype=pl.Int32),
        amount=pl.lit(0.0),
        denied=pl.lit(False),
    )


def _dispensed(lines: pl.DataFrame) -> pl.Series:
    """RX for what a pharmacy dispensed; else null, the setting of the visit."""
    if "drug_type_concept_id" not in lines.columns:
        return pl.repeat(None, len(lines), dtype=pl.String, eager=True)
    kind = cells.text(lines["drug_type_concept_id"])
    return kind.replace_strict(_DISPENSED, "RX", default=None, return_dtype=pl.String)


def _codes(lines: pl.DataFrame, what: str, concepts: pl.DataFrame) -> pl.DataFrame:
    """`concept_system` and `concept_code`, by the best that is known of each line.

    The source's own code, as its concept or its value names a vocabulary; else the
    standard concept's code; else the concept id itself, as system OMOP.
    """
    source, standard = (
        _concept_ids(lines[f"{what}_{kind}"])
        for kind in ("source_concept_id", "concept_id")
    )
    known = [
        _looked_up(source, concepts),
        split_spelt(cells.text(lines[f"{what}_source_value"])),
        _looked_up(standard, concepts),
    ]
    kept = pl.select(pl.coalesce(standard, source).cast(pl.String)).to_series()
    itself = pl.DataFrame({"code": kept}).select(
        system=pl.when(pl.col("code").is_not_null()).then(pl.lit("OMOP")), code="code"
    )
    return pl.select(
        concept_system=pl.coalesce(*(one["system"] for one in [*known, itself])),
        concept_code=pl.coalesce(*(one["code"] for one in [*known, itself])),
    )


def _concept_ids(column: pl.Series) -> pl.Series:
    """Int64; null where no concept matched."""
    ids = cells.text(column).cast(pl.Int64, strict=False)
    return ids.set(ids == _NO_CONCEPT, None)


def _looked_up(ids: pl.Series, concepts: pl.DataFrame) -> pl.DataFrame:
    return (
        ids.rename("concept_id")
        .to_frame()
        .join(concepts, on="concept_id", how="left", maintain_order="left")
        .select("system", "code")
    )


def _known_concepts(rows: pl.DataFrame) -> pl.DataFrame:
    """`concept_id`, `system`, `code` of the concepts of vocabularies we know."""
    vocabulary = cells.text(rows["vocabulary_id"])
    names = vocabulary.unique().drop_nulls()
    systems = pl.Series([system_of(name) for name in names], dtype=pl.String)
    known = pl.DataFrame(
        {
            "concept_id": cells.text(rows["concept_id"]).cast(pl.Int64, strict=False),
            "system": vocabulary.replace_strict(
                names, systems, default=None, return_dtype=pl.String
            ),
            "code": cells.text(rows["concept_code"]),
        }
    ).drop_nulls()
    coded = known.with_columns(code=canonical(known["system"], known["code"]))
    return coded.drop_nulls()
