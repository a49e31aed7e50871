"""Patient records -> a MEDS dataset, and a cohort's labels in MEDS's label schema.

MEDS is the Medical Event Data Standard, version 0.4; the `meds` package holds its
schemas, and every table is checked against them before it is written. Nothing of a
timeline stands at a time at which it was not yet known.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import meds
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from claimpt_tf import __version__
from claimpt_tf.claims import meds_codes
from claimpt_tf.claims.line_checks import UNKNOWN_INSTITUTION
from claimpt_tf.codes.describe import describe
from claimpt_tf.codes.vocabularies import omop_spelling
from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.visits.records import decode, read_records

SPLIT_NAMES = {
    "train": meds.train_split,
    "eval": meds.tuning_split,
    "test": meds.held_out_split,
}
LABELS_FOLDER = "labels"

_ID_DIGITS = 16  # of 32; the last bit is dropped, since MEDS's integers have a sign
_MICROSECONDS_A_DAY = 86_400_000_000
# Rows of one moment stand in this order.
_STATIC, _BIRTH, _COVER, _VISITS, _COVER_END = range(5)

_LABEL_COLUMNS = ("label", "label_value", "label_categories")
_NO_LABELS = pl.DataFrame(schema={"patient_id": pl.String})

Progress = Callable[[int], None]


@dataclass(frozen=True)
class MedsExport:
    """What was written.

    Attributes:
      subjects: Members.
      rows: Events, facts included.
      codes: Different codes.
      labels: Labels, 0 without a cohort.
    """

    subjects: int
    rows: int
    codes: int
    labels: int


def export_meds(
    data: str,
    output: str,
    cohort: str | None = None,
    name: str = "claims",
    progress: Progress | None = None,
) -> MedsExport:
    """Writes a MEDS dataset of the records of an ingest.

    A subject's id is made of the hash that a record has for a member id, so it tells
    nothing about the member and is the same in data and labels.

    Args:
      data: Folder that `ingest` made.
      output: Folder to make: `data/SPLIT/N.parquet`, `metadata/`, and with a cohort
        `labels/SPLIT.parquet`.
      cohort: Folder of labelled examples that `build_cohort` made.
      name: The dataset's name, for its metadata.
      progress: Called with the number of members as they are written.

    Returns:
      What was written.

    Raises:
      InputError: There are no records in a folder, or `output` exists.
      ArtifactError: Two members have the same 63 bits of hash.
    """
    target = Path(output).expanduser().resolve()
    if target.exists():
        raise InputError(f"{output}: already exists; name another folder or remove it.")
    _record_files(data)
    if cohort is not None:
        _record_files(cohort)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        made = _write(draft, data, cohort, name, progress or (lambda _: None))
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return made


def meds_events(timelines: pl.DataFrame) -> pl.DataFrame:
    """The events of some timelines, sorted by subject and time.

    Args:
      timelines: Follows TIMELINE_SCHEMA.

    Returns:
      `subject_id` Int64, `time` Datetime in microseconds (null for what has none),
      `code` String, `numeric_value` Float32, `visit_id` Int64.
    """
    people = timelines.with_columns(subject_id=subject_ids(timelines["patient_id"]))
    parts = [
        _rows(people, _STATIC, None, pl.lit(meds_codes.SEX) + pl.col("sex")).filter(
            people["sex"].is_in(["F", "M"])
        ),
        _rows(
            people,
            _STATIC,
            None,
            pl.lit(meds_codes.INSTITUTION) + pl.col("institution"),
        ).filter(people["institution"] != UNKNOWN_INSTITUTION),
        _rows(people, _BIRTH, "birth_days", pl.lit(meds_codes.BIRTH)),
        *(
            _rows(
                people.select("subject_id", column).explode(column).drop_nulls(),
                order,
                column,
                pl.lit(code),
            )
            for column, order, code in (
                ("enrolled_from", _COVER, meds_codes.ENROLMENT_START),
                ("enrolled_to", _COVER_END, meds_codes.ENROLMENT_END),
            )
        ),
        *_visit_rows(people),
    ]
    return (
        pl.concat(parts)
        .sort("subject_id", "day", "order", "visit_id", "place", maintain_order=True)
        .select(
            "subject_id",
            time=(pl.col("day") * _MICROSECONDS_A_DAY).cast(pl.Datetime("us")),
            code="code",
            numeric_value="value",
            visit_id="visit_id",
        )
    )


def meds_labels(examples: pl.DataFrame) -> pl.DataFrame:
    """Labelled examples in MEDS's label schema.

    All that is known by the index day may be used for a prediction, that day
    included, so the prediction time is the moment at which that day's events stand.

    Args:
      examples: `patient_id`, `index_day` and `label`; where they say more than it,
        `label_value` and `label_categories`.

    Returns:
      `subject_id`, `prediction_time`, and one of: `categorical_value`, a row a
      category, where any example has categories; `float_value` where `label_value`
      is not the label itself; `boolean_value` where labels are 0 and 1; else
      `integer_value`.
    """
    given = set(examples.columns)
    if (
        "label_categories" in given
        and (examples["label_categories"].list.len() > 0).any()
    ):
        examples = examples.explode("label_categories").drop_nulls("label_categories")
        value = pl.col("label_categories").alias("categorical_value")
    elif (
        "label_value" in given and (examples["label_value"] != examples["label"]).any()
    ):
        value = pl.col("label_value").cast(pl.Float32).alias("float_value")
    elif examples["label"].is_between(0, 1).all():
        value = (pl.col("label") == 1).alias("boolean_value")
    else:
        value = pl.col("label").cast(pl.Int64).alias("integer_value")
    return examples.select(
        subject_ids(examples["patient_id"]).alias("subject_id"),
        (pl.col("index_day") * _MICROSECONDS_A_DAY)
        .cast(pl.Datetime("us"))
        .alias("prediction_time"),
        value,
    ).sort("subject_id", "prediction_time")


def subject_ids(patient_ids: pl.Series) -> pl.Series:
    """63 bits of each patient id as Int64, never negative.

    Example:
      >>> subject_ids(pl.Series(["00000000000000ff" + "0" * 16, "f" * 32])).to_list()
      [127, 9223372036854775807]
    """
    leading = patient_ids.str.slice(0, _ID_DIGITS)
    return (leading.str.to_integer(base=16, dtype=pl.UInt64) // 2).cast(pl.Int64)


def _rows(
    frame: pl.DataFrame, order: int, day: str | None, code: pl.Expr
) -> pl.DataFrame:
    """One row a row of `frame`, which has no visit."""
    return frame.select(
        "subject_id",
        day=pl.lit(None, dtype=pl.Int64) if day is None else pl.col(day),
        order=pl.lit(order, dtype=pl.Int64),
        visit_id=pl.lit(None, dtype=pl.Int64),
        place=pl.lit(0, dtype=pl.Int64),
        code=code,
        value=pl.lit(None, dtype=pl.Float32),
    )


def _visit_rows(people: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A visit's start on its first day; its codes, and its end with its cost, on its
    last, since a visit counts as known only then.
    """
    listed = ["visit_days", "visit_types", "visit_length", "codes", "cost"]
    visits = (
        people.select("subject_id", *listed)
        .filter(pl.col("visit_days").list.len() > 0)
        .with_columns(visit_id=pl.int_ranges(pl.col("visit_days").list.len()))
        .explode(*listed, "visit_id")
        .with_columns(last_day=pl.col("visit_days") + pl.col("visit_length"))
    )
    common = {"order": pl.lit(_VISITS, dtype=pl.Int64), "visit_id": pl.col("visit_id")}
    nothing = pl.lit(None, dtype=pl.Float32)
    named = pl.lit("VISIT//") + pl.col("visit_types")
    yield visits.select(
        "subject_id",
        day="visit_days",
        **common,
        place=pl.lit(0, dtype=pl.Int64),
        code=named + pl.lit("//START"),
        value=nothing,
    )
    coded = visits.filter(pl.col("codes").list.len() > 0).with_columns(
        place=pl.int_ranges(1, pl.col("codes").list.len() + 1)
    )
    yield coded.explode("codes", "place").select(
        "subject_id",
        day="last_day",
        **common,
        place=pl.col("place"),
        code=pl.col("codes").str.replace(":", meds_codes.SEPARATOR, literal=True),
        value=nothing,
    )
    yield visits.select(
        "subject_id",
        day="last_day",
        **common,
        place=pl.lit(2**32, dtype=pl.Int64),
        code=named + pl.lit("//END"),
        value=pl.col("cost").cast(pl.Float32),
    )


def _write(
    folder: Path, data: str, cohort: str | None, name: str, progress: Progress
) -> MedsExport:
    subjects: list[pl.DataFrame] = []
    codes: set[str] = set()
    rows = 0
    for split, files in _record_files(data).items():
        for number, file in enumerate(files):
            path = folder / meds.data_subdirectory / split / f"{number}.parquet"
            frame = meds_events(decode(list(read_records([file]))))
            _write_table(path, frame, meds.DataSchema)
            ids = frame.select("subject_id").unique(maintain_order=True)
            subjects.append(ids.with_columns(split=pl.lit(split)))
            codes.update(frame["code"].unique())
            rows += len(frame)
            progress(len(ids))
    everybody = pl.concat(subjects).sort("subject_id")
    if everybody["subject_id"].is_duplicated().any():
        raise ArtifactError(
            f"{data}: two members have the same subject id, which is 63 bits of their "
            "hash. Ingest with another member key."
        )
    _write_table(
        folder / meds.subject_splits_filepath, everybody, meds.SubjectSplitSchema
    )
    _write_table(
        folder / meds.code_metadata_filepath,
        _code_table(sorted(codes)),
        meds.CodeMetadataSchema,
    )
    (folder / meds.dataset_metadata_filepath).write_text(_dataset(name))
    return MedsExport(
        subjects=len(everybody),
        rows=rows,
        codes=len(codes),
        labels=_write_labels(folder / LABELS_FOLDER, cohort) if cohort else 0,
    )


def _write_labels(folder: Path, cohort: str) -> int:
    count = 0
    for split, files in _record_files(cohort).items():
        wanted = ["patient_id", "index_day", *_LABEL_COLUMNS]
        examples = pl.concat(
            [
                decoded.select(name for name in wanted if name in decoded.columns)
                for file in files
                if len(decoded := decode(list(read_records([file]))))
            ]
            or [_NO_LABELS],
            how="diagonal_relaxed",
        )
        if examples.is_empty():
            continue
        labels = meds_labels(examples)
        _write_table(folder / f"{split}.parquet", labels, meds.LabelSchema)
        count += len(labels)
    return count


def _write_table(path: Path, frame: pl.DataFrame, schema: type) -> None:
    """Checked against MEDS's schema; no strings of Polars' own kind are written."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    wanted = {field.name: field.type for field in schema.schema()}  # type: ignore[attr-defined]
    cast = table.cast(
        pa.schema(
            field.with_type(wanted.get(field.name, field.type))
            for field in table.schema
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(schema.align(cast), path, compression="zstd")  # type: ignore[attr-defined]


def _code_table(codes: list[str]) -> pl.DataFrame:
    spelt = [code.replace(meds_codes.SEPARATOR, ":", 1) for code in codes]
    parents = [omop_spelling(code) for code in spelt]
    return pl.DataFrame(
        {
            "code": codes,
            "description": [describe(code) for code in spelt],
            "parent_codes": [[parent] if parent else None for parent in parents],
        },
        schema={
            "code": pl.String,
            "description": pl.String,
            "parent_codes": pl.List(pl.String),
        },
    )


def _dataset(name: str) -> str:
    metadata = meds.DatasetMetadataSchema(
        dataset_name=name,
        etl_name="claimpt_tf",
        etl_version=__version__,
        meds_version=importlib.metadata.version("meds"),
        created_at=datetime.datetime.now(datetime.timezone.utc),
        other_extension_columns=[meds_codes.ENCOUNTER],
    )
    return json.dumps(metadata.to_dict(), indent=2, default=str) + "\n"


def _record_files(folder: str) -> dict[str, list[Path]]:
    """Record files by MEDS split, in order."""
    found = {
        meds_split: sorted(Path(folder).glob(f"Split-{split}/*"))
        for split, meds_split in SPLIT_NAMES.items()
    }
    if not any(found.values()):
        raise InputError(
            f"{folder}: there are no patient records. Give the folder that "
            "`claimpt ingest` (for labels, `claimpt cohort`) made."
        )
    return found
