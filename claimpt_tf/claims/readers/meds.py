"""MEDS datasets: one table of timed codes, subject by subject.

Columns, rules and examples stand in docs/sources.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import meds
import polars as pl

from claimpt_tf.claims import cells, meds_codes
from claimpt_tf.claims.code_rows import CodeColumns
from claimpt_tf.claims.line_checks import UNKNOWN_INSTITUTION, LineChecks
from claimpt_tf.claims.reader import WHOLE_FILE, Chunk, Unit
from claimpt_tf.claims.table_batch import TableBatch
from claimpt_tf.claims.table_file import TableFile
from claimpt_tf.claims.table_reader import TableReader
from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.claims.whole_table import whole_files
from claimpt_tf.codes import normalise
from claimpt_tf.codes.vocabularies import split_spelt

DATA = TableSpec(
    "data",
    (
        Column("subject_id", "member"),
        Column("time", "end"),  # may lie in the future: datasets are shifted there
        Column("code"),
        Column("numeric_value", required=False),
        Column("visit_id", required=False, aliases=("visit_occurrence_id", "hadm_id")),
        Column("end", "end", required=False),
    ),
    pattern=r"^data$",
    example="data/train/0.parquet",
    role="other",
)
CODES = TableSpec("codes", (Column("code"), Column("parent_codes", required=False)))

# What a row tells: a fact about the member, or care.
_BIRTH, _SEX, _RACE, _INSTITUTION = "birth", "sex", "race", "institution"
_COVER, _COVER_END, _DEATH = "cover", "cover end", "death"
_FACTS = (_BIRTH, _SEX, _RACE, _INSTITUTION, _COVER, _COVER_END, _DEATH)
_VISIT, _VISIT_END, _CARE = "visit", "visit end", "care"

# Patterns of codes: the first that fits tells the kind of row, and of visit.
_KINDS: tuple[tuple[str, str, str | None], ...] = (
    (rf"^{meds_codes.BIRTH}(?://|$)", _BIRTH, None),
    (rf"^{meds_codes.DEATH}(?://|$)", _DEATH, None),
    (r"^(?i:GENDER|SEX)(?://|/|:)", _SEX, None),
    (r"^(?i:RACE|ETHNICITY)(?://|/|:)", _RACE, None),
    (rf"^{meds_codes.INSTITUTION}", _INSTITUTION, None),
    (rf"^{meds_codes.ENROLMENT_START}$", _COVER, None),
    (rf"^{meds_codes.ENROLMENT_END}$", _COVER_END, None),
    *((rf"^{code}$", _VISIT, kind) for code, kind in meds_codes.VISIT_STARTS.items()),
    *((rf"^{code}$", _VISIT_END, kind) for code, kind in meds_codes.VISIT_ENDS.items()),
    (r"^HOSPITAL_ADMISSION(?://|$)", _VISIT, "IP"),
    (r"^HOSPITAL_DISCHARGE(?://|$)", _VISIT_END, "IP"),
    (r"^ED_REGISTRATION(?://|$)", _VISIT, "ED"),
    (r"^ED_OUT(?://|$)", _VISIT_END, "ED"),
    (r"^(?i:VISIT)/(?:IP|ERIP)$", _VISIT, "IP"),
    (r"^(?i:VISIT)/ER$", _VISIT, "ED"),
    (r"^(?i:VISIT)/OP$", _VISIT, "OP"),
)
_AFTER_NAME = r"^[^/:]+(?://|/|:)(.+)$"
_SEXES = {"8507": "M", "8532": "F"}


class MedsReader(TableReader):
    """A MEDS dataset: the folder that holds `data/` and, mostly, `metadata/`."""

    name = "meds"
    tables = (DATA,)

    def units(self, input_path: str) -> list[Unit]:
        """Whole files: a subject is in one file, but may be in two row groups."""
        return [
            Unit(unit.table, unit.path, WHOLE_FILE, unit.folder)
            for unit in super().units(input_path)
            if unit.part == 0
        ]

    def batches(
        self,
        file: TableFile,
        positions: Mapping[str, int],
        part: int,
        batch_rows: int,
    ) -> Iterator[TableBatch]:
        """Whole subjects, so a batch may have more rows by those of one subject."""
        return _whole_subjects(
            batch
            for group in range(file.parts)
            for batch in file.batches(positions, group, batch_rows)
        )

    def convert(
        self, unit: Unit, source: str, lines: pl.DataFrame, key: bytes
    ) -> Chunk:
        """See TableReader.convert; `lines` holds whole subjects."""
        lines = _told(lines)
        is_fact = pl.col("kind").is_in(_FACTS) & pl.col("subject").is_not_null()
        facts = _with_cover(lines).filter(is_fact)
        care = _with_visits(lines).filter(~is_fact)
        parents = whole_files(CODES, _code_files(unit), _known_parents)
        members = _members(facts, LineChecks(unit.table, source, facts, key))
        events = _events(care, LineChecks(unit.table, source, care, key), parents)
        return Chunk(
            unit.table,
            len(lines),
            events.events,
            members.members,
            pl.concat([members.quarantined, events.quarantined]),
        )


READER = MedsReader


def _whole_subjects(batches: Iterator[TableBatch]) -> Iterator[TableBatch]:
    held: list[TableBatch] = []
    for batch in batches:
        ids = batch.frame["subject_id"]
        last = ids.last() if len(ids) else None
        differs = ids.is_not_null() if last is None else ids.ne_missing(last)
        others = differs.arg_true()
        begin = int(others[-1]) + 1 if len(others) else 0
        if begin or (held and held[-1].frame["subject_id"].last() != last):
            head = TableBatch(batch.frame[:begin], batch.rows[:begin], batch.malformed)
            yield _joined([*held, head])
            held = [TableBatch(batch.frame[begin:], batch.rows[begin:])]
        else:
            held.append(batch)
    if held:
        yield _joined(held)


def _joined(batches: list[TableBatch]) -> TableBatch:
    return TableBatch(
        pl.concat([batch.frame for batch in batches]),
        pl.concat([batch.rows for batch in batches]),
        tuple(row for batch in batches for row in batch.malformed),
    )


def _told(lines: pl.DataFrame) -> pl.DataFrame:
    """Adds `subject`, `spelt`, `visit` as text, `day`, `last`, `kind`, `setting`."""
    named = lines.with_columns(
        cells.text(lines["subject_id"]).alias("subject"),
        cells.text(lines["code"]).alias("spelt"),
        cells.text(lines["visit_id"]).alias("visit"),
        cells.days(lines["time"]).alias("day"),
        cells.days(lines["end"]).alias("last"),
    )
    kinds = pl.lit(_CARE)
    settings = pl.lit(None, dtype=pl.String)
    for pattern, kind, setting in reversed(_KINDS):
        fits = pl.col("spelt").str.contains(pattern)
        kinds = pl.when(fits).then(pl.lit(kind)).otherwise(kinds)
        settings = pl.when(fits).then(pl.lit(setting)).otherwise(settings)
    distinct = named.select("spelt").drop_nulls().unique()
    return named.join(
        distinct.with_columns(kind=kinds, setting=settings),
        on="spelt",
        how="left",
        maintain_order="left",
    ).with_columns(pl.col("kind").fill_null(_CARE))


def _with_cover(lines: pl.DataFrame) -> pl.DataFrame:
    """Adds `from` and `to` where a row tells, or stands for, an enrolment span.

    The nth start belongs to the nth end of a subject; one without an end lasts until
    the subject's last row. A subject without any is enrolled from the first to the
    last row after birth, which their birth (or first other fact) then stands for.
    """
    seen = (
        lines.filter(pl.col("kind") != _BIRTH)
        .group_by("subject")
        .agg(first_seen=pl.col("day").min(), last_seen=pl.col("day").max())
    )
    nth = pl.int_range(pl.len()).over("subject").alias("nth")
    ordered = lines.sort("subject", "day", "row").select(
        "subject", "day", "row", "kind"
    )
    starts = ordered.filter(pl.col("kind") == _COVER).with_columns(nth)
    ends = ordered.filter(pl.col("kind") == _COVER_END).with_columns(nth)
    told = starts.join(
        ends.select("subject", "nth", to="day"), on=["subject", "nth"], how="left"
    ).select("subject", "row", pl.col("day").alias("from"), "to")
    standing = (
        lines.filter(pl.col("kind").is_in(_FACTS))
        .join(told, on="subject", how="anti")
        .sort(pl.col("kind") != _BIRTH, "row")
        .unique("subject", keep="first", maintain_order=True)
        .join(seen, on="subject")
        .select("row", pl.col("first_seen").alias("from"), to="last_seen")
    )
    spans = pl.concat(
        [
            told.join(seen, on="subject", how="left").select(
                "row",
                "from",
                to=pl.coalesce("to", "last_seen"),
                open=pl.col("to").is_null(),
            ),
            standing.with_columns(open=pl.lit(False)),
        ]
    )
    return lines.join(spans, on="row", how="left", maintain_order="left")


def _with_visits(lines: pl.DataFrame) -> pl.DataFrame:
    """Puts rows of a visit of our own writing into it, and gives stays their end.

    Our codes stand on the last day of their visit, so that none is known too early;
    they are read as of the whole visit. Adds `place`, the row's within the visit.
    """
    key = ["subject", "visit"]
    begun = pl.col("kind") == _VISIT
    visits = (
        lines.filter(
            pl.col("kind").is_in([_VISIT, _VISIT_END]), pl.col("visit").is_not_null()
        )
        .group_by(key)
        .agg(
            begin=pl.col("day").filter(begun).min(),
            finish=pl.max_horizontal("day", "last").max(),
            whole=pl.col("setting")
            .filter(pl.col("spelt").is_in(list(meds_codes.VISIT_STARTS)))
            .first(),
        )
        .drop_nulls("begin")
    )
    ours = pl.col("whole").is_not_null()
    return lines.join(visits, on=key, how="left", maintain_order="left").with_columns(
        day=pl.when(ours).then("begin").otherwise("day"),
        end_day=pl.when(ours | (begun & pl.col("finish").is_not_null()))
        .then("finish")
        .when(begun)
        .then(pl.coalesce("last", "day"))
        .otherwise("day"),
        setting=pl.when(ours).then("whole").otherwise("setting"),
        place=pl.when(ours)
        .then(pl.int_range(pl.len()).over(key))
        .otherwise(0)
        .cast(pl.Int32),
        paid=pl.when(pl.col("spelt").is_in(list(meds_codes.VISIT_ENDS))).then(
            pl.col("numeric_value").cast(pl.Float64, strict=False)
        ),
    )


def _members(facts: pl.DataFrame, checks: LineChecks) -> Chunk:
    value = facts["spelt"].str.extract(_AFTER_NAME)
    letter = value.replace(_SEXES).str.to_uppercase().str.slice(0, 1)
    checks.note(facts["open"], "end_open", "time")
    known = facts.with_columns(
        value.alias("value"), letter.set(~letter.is_in(["F", "M"]), "U").alias("letter")
    ).select(
        checks.members(facts["subject"], "subject_id"),
        birth_day=pl.when(pl.col("kind") == _BIRTH).then("day"),
        sex=pl.when(pl.col("kind") == _SEX).then("letter"),
        race=pl.when(pl.col("kind") == _RACE).then(pl.col("value").str.to_lowercase()),
        institution=pl.when(pl.col("kind") == _INSTITUTION).then("value"),
        enrolled_from="from",
        enrolled_to="to",
    )
    return checks.enrolment(known)


def _events(care: pl.DataFrame, checks: LineChecks, parents: pl.DataFrame) -> Chunk:
    member = checks.members(care["subject"], "subject_id")
    checks.drop(care["spelt"].is_null(), "code_missing", "code")
    checks.days(["time"])
    day = checks.first_day(care["day"], ["time"])
    checks.drop(care["end_day"] < day, "end_before_start", "time")
    is_code = care["kind"] == _CARE
    codes = _codes(care["spelt"].set(~is_code, None), parents)
    claim_lines = pl.DataFrame(
        {
            "member": member,
            "day": day,
            "end_day": care["end_day"],
            "setting": care["setting"],
            "encounter": care["visit"],
            "claim": care["visit"],
            "line": care["place"],
            "amount": care["paid"].fill_null(0.0),
        }
    ).with_columns(denied=pl.lit(False), institution=pl.lit(UNKNOWN_INSTITUTION))
    return checks.events(
        claim_lines.hstack(codes),
        [CodeColumns(["known_code"], pl.Series.clone, system_column="known_system")],
    )


def _codes(spelt: pl.Series, parents: pl.DataFrame) -> pl.DataFrame:
    """`known_system` and `known_code`: its own vocabulary, a parent's, or MEDS."""
    own = split_spelt(spelt)
    inherited = (
        pl.DataFrame({"spelt": spelt})
        .join(parents, on="spelt", how="left", maintain_order="left")
        .select("system", "code")
    )
    itself = pl.DataFrame({"code": normalise.plain(spelt)}).select(
        system=pl.when(pl.col("code").is_not_null()).then(pl.lit("MEDS")), code="code"
    )
    known = (own, inherited, itself)
    return pl.select(
        known_system=pl.coalesce(*(one["system"] for one in known)),
        known_code=pl.coalesce(*(one["code"] for one in known)),
    )


def _code_files(unit: Unit) -> list[Path]:
    path = Path(unit.folder) / meds.code_metadata_filepath
    return [path] if path.exists() else []


def _known_parents(rows: pl.DataFrame) -> pl.DataFrame:
    """`spelt`, and `system` and `code` of its first parent in a known vocabulary."""
    given = rows.select(spelt=cells.text(rows["code"]), parent=rows["parent_codes"])
    if isinstance(given["parent"].dtype, pl.List):
        given = given.explode("parent")
    parents = given["parent"].cast(pl.String)
    found = given.select("spelt").hstack(split_spelt(parents)).drop_nulls()
    return found.unique("spelt", keep="first", maintain_order=True)
