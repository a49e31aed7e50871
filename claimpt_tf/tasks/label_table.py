"""A table of labels on disk: read, checked, member ids hashed; bad rows by reason.

Understood are CSV and Parquet with one label a row, and MEDS's label files
(`subject_id`, `prediction_time`, `boolean_value` and so on). Messages name rows and
columns, never what stands in a cell: a shifted column may hold anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from claimpt_tf.claims import cells, header
from claimpt_tf.claims.privacy import hash_members, load_key
from claimpt_tf.claims.quarantine import REASONS, quarantine_rows
from claimpt_tf.claims.table_file import SUFFIXES, TableFile, open_table, split_name
from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.errors import InputError
from claimpt_tf.tasks.attrition import SMALLEST_CELL
from claimpt_tf.tasks.label_spec import LabelKind, LabelTable
from claimpt_tf.tasks.spec import Task
from claimpt_tf.visits.splits import split_of

TABLE: Final = "labels"  # what quarantine calls the table
MOST_CLASSES = 200

_BATCH_ROWS = 100_000
_SHOWN_ROWS = 5
_MEMBER = Column(
    "member_id",
    "member",
    aliases=("member", "person_id", "patient_id", "subject_id", "desynpuf_id"),
)
_DATE = Column("index_date", "date", aliases=("prediction_time", "date"))
_LABEL = Column("label", aliases=("outcome", "event", "value"), required=False)
_DAYS = Column("days", aliases=("days_to_event",), required=False)
_SPLIT = Column("split", required=False)
# MEDS has a column for each kind of value; the first that holds any is the label.
_MEDS_VALUES: Mapping[str, LabelKind | None] = {
    "boolean_value": "binary",
    "categorical_value": "multi_class",
    "integer_value": None,
    "float_value": None,
}
_YES = ("1", "true", "t", "yes", "y", "positive", "case")
_NO = ("0", "false", "f", "no", "n", "negative", "control")
_SPLITS = {
    "train": ("train", "training"),
    "eval": ("eval", "valid", "validation", "val", "dev", "tuning"),
    "test": ("test", "testing", "held_out", "heldout", "holdout"),
}


@dataclass(frozen=True)
class LabelRows:
    """A table of labels, as far as its rows can be used.

    Attributes:
        task: the task, with the kind of label and the classes told from the table.
        rows: patient_id (hashed), index_day, label (Int64), label_value (Float32),
            label_row (Int64, 1-based data row), and split where the table has one;
            no (patient_id, index_day) twice.
        quarantined: QUARANTINE_SCHEMA, the rows that cannot be used.
        lines: rows of the table.
    """

    task: Task
    rows: pl.DataFrame
    quarantined: pl.DataFrame
    lines: int

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that the table gives; none without such a column."""
        if "split" not in self.rows.columns:
            return ()
        return tuple(self.rows["split"].unique().sort())

    def with_unknown(self, found: pl.Series) -> pl.DataFrame:
        """`quarantined`, and the rows of members that the records do not know.

        Args:
            found: Int64, rows whose member is in the records.

        Raises:
            InputError: none of the members is.
        """
        unknown = self.rows.filter(~pl.col("label_row").is_in(found.implode()))
        if unknown.height == self.rows.height:
            raise InputError(
                f"{self.source}: none of its members is in the records. Its member "
                "ids should be those of the claims (Tuva's person_id, where there is "
                "one), and the key (--key-file) the one that `claimpt ingest` had."
            )
        added = quarantine_rows(
            unknown["label_row"], self.source, TABLE, "member_unknown"
        )
        return pl.concat([self.quarantined, added])

    def warnings(self) -> list[str]:
        """What a person should know before training on these labels."""
        told = []
        if "split" in self.rows.columns:
            names = self.splits
            for name in ("train", "eval", "test"):
                if name not in names:
                    told.append(f"{self.source}: no row is in the split {name}")
            usual = split_of(self.rows["patient_id"])
            crossed = (usual == "train") & (self.rows["split"] != "train")
            members = self.rows["patient_id"].filter(crossed).n_unique()
            if members:
                shown = f"{members:,}" if members >= SMALLEST_CELL else "fewer than 11"
                told.append(
                    f"{self.source}: {shown} members of its eval and test splits are "
                    "in the records' training split, so pre-training has seen their "
                    "whole records (docs/tasks.md says what to do)"
                )
        return told

    @property
    def source(self) -> str:
        """What messages call the table."""
        labels = self.task.labels
        return Path(labels.file).name if labels and labels.file else TABLE


def read_labels(task: Task, key_file: str | None = None) -> LabelRows:
    """Reads the table of a task's labels.

    Args:
        task: has `labels` with a `file`.
        key_file: the key that ingest hashed member ids with; see `privacy.load_key`.

    Returns:
        The usable rows, the others with reasons, and the task with the kind of its
        labels told.

    Raises:
        InputError: there is no such file, a column is missing, the kind of the labels
            cannot be told, a member is in two splits, a split has an unknown name, or
            more than `labels.max_unusable` of the rows cannot be used. The message
            names file, column and rows.
    """
    spec = task.labels
    if spec is None or spec.file is None:
        raise InputError(
            f"task {task.name} names no table of labels: give --labels FILE, or "
            "labels.file in the task file"
        )
    path = Path(spec.file)
    source = path.name
    frame, malformed = _read(path, spec)
    lines = frame.height + len(malformed)
    if frame.is_empty():
        raise InputError(f"{source}: the table of labels has no rows")
    label, kind, classes = _parsed_labels(frame, spec, source)
    days = cells.days(frame["date"])
    checked = pl.DataFrame(
        {
            "label_row": frame["row"],
            "patient_id": hash_members(cells.text(frame["member"]), load_key(key_file)),
            "index_day": days.cast(pl.Int64) - (0 if spec.same_day else 1),
            "label": label["label"],
            "label_value": label["label_value"],
            "fault": label["fault"],
        }
    )
    if "split" in frame.columns:
        checked = checked.with_columns(split=_parsed_splits(frame, source))
    checked = checked.with_columns(
        fault=pl.coalesce(
            _when(pl.col("patient_id").is_null(), "member_missing"),
            _when(~cells.filled(frame["date"]), "date_missing"),
            _when(pl.col("index_day").is_null(), "date_unparsable"),
            "fault",
            _when(pl.col("split").is_null(), "split_missing")
            if "split" in checked.columns
            else pl.lit(None, pl.String),
        )
    )
    checked = _without_repeats(checked)
    usable = checked.filter(pl.col("fault").is_null()).drop("fault")
    quarantined = _quarantine(checked, malformed, source)
    _check_usable(quarantined, usable, lines, spec, source)
    if "split" in usable.columns:
        _check_one_split(usable, source)
    told = spec.model_copy(update={"kind": kind, "classes": classes})
    task = task.model_copy(update={"labels": told})
    return LabelRows(task, usable, quarantined, lines)


def digest(path: str | Path) -> str:
    """SHA-256 of a table's bytes: whether it is still the table that was read.

    Raises:
        InputError: it cannot be read.
    """
    whole = hashlib.sha256()
    for file in _files(Path(path)):
        try:
            whole.update(file.read_bytes())
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    return whole.hexdigest()


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path}: no such table of labels")
    if not path.is_dir():
        if split_name(path.name) is None:
            raise InputError(
                f"{path.name}: a table of labels is one of {', '.join(SUFFIXES)}, or "
                "a folder of Parquet files"
            )
        return [path]
    found = sorted(file for file in path.rglob("*.parquet") if file.is_file())
    if not found:
        raise InputError(f"{path}: no Parquet file in this folder of labels")
    return found


def _columns(spec: LabelTable) -> dict[str, Column]:
    """What the frame calls a column -> where it is in the file."""
    meds = {name: Column(name, required=False) for name in _MEDS_VALUES}
    wanted = {
        "member": (spec.member, _MEMBER),
        "date": (spec.date, _DATE),
        "label": (spec.label, _LABEL),
        "days": (spec.days, _DAYS),
        "split": (spec.split, _SPLIT),
    }
    return {
        **{
            name: Column(named, usual.kind) if named else usual
            for name, (named, usual) in wanted.items()
        },
        **({} if spec.label else meds),
    }


def _read(path: Path, spec: LabelTable) -> tuple[pl.DataFrame, list[int]]:
    """All rows with their numbers (`row`), counted on over the files of a folder."""
    columns = _columns(spec)
    ours = {column.name: name for name, column in columns.items()}
    frames, malformed, before = [], [], 0
    for file in _files(path):
        table: TableFile = open_table(file, file.name)
        positions = header.match(
            TableSpec(TABLE, tuple(columns.values())), table.header(), file.name
        )
        table.check_types(positions)
        for part in range(table.parts):
            for batch in table.batches(positions, part, _BATCH_ROWS):
                frame = batch.frame.rename(ours, strict=False)
                frames.append(frame.with_columns(row=batch.rows + before))
                malformed += [before + row for row in batch.malformed]
        before = sum(len(frame) for frame in frames) + len(malformed)
    if not frames:
        return pl.DataFrame(), malformed
    return pl.concat(frames, how="diagonal_relaxed"), malformed


def _parsed_labels(
    frame: pl.DataFrame, spec: LabelTable, source: str
) -> tuple[pl.DataFrame, LabelKind, tuple[str, ...] | None]:
    """label, label_value and fault of each row, their kind, and the classes."""
    column, kind = _label_column(frame, spec, source)
    text = cells.text(frame[column])
    empty = text.is_null().alias("empty")
    kind = kind or _told_kind(text, "days" in frame.columns, spec, source)
    classes = None
    if kind == "multi_class":
        classes = spec.classes or _sorted_classes(text, source)
        numbers = {name: place for place, name in enumerate(classes)}
        label = text.replace_strict(numbers, default=None, return_dtype=pl.Int64)
        value = label.cast(pl.Float32)
    elif kind == "regression":
        value = cells.amounts(frame[column]).cast(pl.Float32)
        label = pl.Series([0], dtype=pl.Int64).new_from_index(0, len(value))
        label = label.set(value.is_null(), None)
    else:
        label = _binary(text)
        value = label.cast(pl.Float32)
    fault = pl.DataFrame({"label": label, "empty": empty}).select(
        fault=pl.coalesce(
            _when(pl.col("empty"), "label_missing"),
            _when(pl.col("label").is_null(), "label_unparsable"),
        )
    )["fault"]
    if kind == "time_to_event":
        value = _parsed_days(frame, source)
        late = pl.DataFrame({"fault": fault, "value": value})
        fault = late.select(
            pl.coalesce("fault", _when(pl.col("value").is_null(), "days_unparsable"))
        ).to_series()
    parsed = {"label": label, "label_value": value, "fault": fault}
    return pl.DataFrame(parsed), kind, classes


def _label_column(
    frame: pl.DataFrame, spec: LabelTable, source: str
) -> tuple[str, LabelKind | None]:
    """The column that holds the labels, and their kind where it tells."""
    if "label" in frame.columns:
        return "label", spec.kind
    for name, kind in _MEDS_VALUES.items():
        if name in frame.columns and cells.filled(frame[name]).any():
            return name, spec.kind or kind
    known = ", ".join((_LABEL.name, *_LABEL.aliases, *_MEDS_VALUES))
    raise InputError(
        f"{source}: no column of labels: one of {known} is looked for; name yours as "
        "labels.label in the task file"
    )


def _told_kind(
    text: pl.Series, has_days: bool, spec: LabelTable, source: str
) -> LabelKind:
    """The kind of labels whose column does not tell it."""
    if spec.classes is not None:
        return "multi_class"
    if has_days:
        return "time_to_event"
    given = text.drop_nulls()
    if given.is_empty():
        raise InputError(f"{source}: the column of labels is empty in every row")
    if _binary(given).is_not_null().mean() >= 1 - spec.max_unusable:  # type: ignore[operator]
        return "binary"
    if cells.amounts(given).is_not_null().any():
        raise InputError(
            f"{source}: the labels are numbers beyond 0 and 1; say in the task file "
            "what they are, labels.kind: multi_class or labels.kind: regression"
        )
    return "multi_class"


def _binary(text: pl.Series) -> pl.Series:
    """1 or 0, null where it is neither."""
    numbers = {**dict.fromkeys(_YES, 1), **dict.fromkeys(_NO, 0)}
    return text.str.to_lowercase().replace_strict(
        numbers, default=None, return_dtype=pl.Int64
    )


def _sorted_classes(text: pl.Series, source: str) -> tuple[str, ...]:
    distinct = text.drop_nulls().unique()
    numbers = distinct.cast(pl.Float64, strict=False)
    order = (
        distinct.sort() if numbers.null_count() else distinct.gather(numbers.arg_sort())
    )
    if len(order) > MOST_CLASSES:
        raise InputError(
            f"{source}: {len(order):,} different classes, more than {MOST_CLASSES}; "
            "is this the column of labels? Else say labels.kind: regression"
        )
    return tuple(order)


def _parsed_days(frame: pl.DataFrame, source: str) -> pl.Series:
    if "days" not in frame.columns:
        raise InputError(
            f"{source}: labels of kind time_to_event need a column '{_DAYS.name}': the "
            "days from the index date to the event, or to the last look where none "
            "was seen; name yours as labels.days in the task file"
        )
    days = cells.amounts(frame["days"])
    return days.set(days < 0, None).cast(pl.Float32)


def _parsed_splits(frame: pl.DataFrame, source: str) -> pl.Series:
    names = {alias: name for name, aliases in _SPLITS.items() for alias in aliases}
    text = cells.text(frame["split"])
    splits = text.str.to_lowercase().replace_strict(
        names, default=None, return_dtype=pl.String
    )
    odd = frame["row"].filter(text.is_not_null() & splits.is_null())
    if len(odd):
        raise InputError(
            f"{source}: {_rows_text(odd)}: the split has an unknown name; known are "
            f"{', '.join(names)}"
        )
    return splits


def _without_repeats(checked: pl.DataFrame) -> pl.DataFrame:
    """Marks rows of a (member, date) again, and all of those whose labels differ."""
    answer = [name for name in ("label", "label_value") if name in checked.columns]
    place = ["patient_id", "index_day"]
    good = pl.col("fault").is_null()
    marks = (
        checked.filter(good)
        .with_columns(
            differ=pl.struct(answer).n_unique().over(place) > 1,
            again=pl.int_range(pl.len()).over(place) > 0,
        )
        .select(
            "label_row",
            mark=pl.coalesce(
                _when(pl.col("differ"), "labels_disagree"),
                _when(pl.col("again"), "label_repeated"),
            ),
        )
    )
    return (
        checked.join(marks, on="label_row", how="left", maintain_order="left")
        .with_columns(fault=pl.coalesce("fault", "mark"))
        .drop("mark")
    )


def _quarantine(
    checked: pl.DataFrame, malformed: list[int], source: str
) -> pl.DataFrame:
    bad = checked.filter(pl.col("fault").is_not_null())
    parts = [
        quarantine_rows(rows["label_row"], source, TABLE, str(reason))
        for (reason,), rows in bad.group_by("fault", maintain_order=True)
    ]
    rows = pl.Series(malformed, dtype=pl.Int64)
    return pl.concat([quarantine_rows(rows, source, TABLE, "row_malformed"), *parts])


def _check_usable(
    quarantined: pl.DataFrame,
    usable: pl.DataFrame,
    lines: int,
    spec: LabelTable,
    source: str,
) -> None:
    excused = [name for name, meaning in REASONS.items() if not meaning.fault]
    faults = quarantined.filter(~pl.col("reason").is_in(excused))
    if faults.height <= spec.max_unusable * lines and usable.height:
        return
    told = [
        f"  {rows.height:,} rows ({_rows_text(rows['row'])}): {REASONS[str(name)].text}"
        for (name,), rows in faults.group_by("reason", maintain_order=True)
    ]
    raise InputError(
        f"{source}: {faults.height:,} of {lines:,} rows of labels cannot be used:\n"
        + "\n".join(told)
        + f"\nDates are understood like {cells.DATE_EXAMPLES}. Mend the rows, or "
        "raise labels.max_unusable in the task file."
    )


def _check_one_split(usable: pl.DataFrame, source: str) -> None:
    torn = usable.filter(pl.col("split").n_unique().over("patient_id") > 1)
    if torn.is_empty():
        return
    one = torn.filter(pl.col("patient_id") == torn["patient_id"][0])
    members = torn["patient_id"].n_unique()
    raise InputError(
        f"{source}: {members:,} {'member is' if members == 1 else 'members are'} in "
        f"more than one split ({_rows_text(one['label_row'])} are of one). Put all "
        "rows of a member into one split, or scores would look too good."
    )


def _rows_text(rows: pl.Series) -> str:
    shown = ", ".join(f"{row:,}" for row in rows.sort().head(_SHOWN_ROWS))
    more = len(rows) - _SHOWN_ROWS
    return ("row " if len(rows) == 1 else "rows ") + shown + (", ..." * (more > 0))


def _when(condition: pl.Expr | pl.Series, reason: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(reason)).otherwise(pl.lit(None, pl.String))
