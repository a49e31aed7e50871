"""A run of `claimpt finetune` as evaluation reads it, checked."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.comparison import BINARY
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.spec import Task, load_task
from claimpt_tf.tasks.transform import ATTRITION_FILE, TASK_FILE
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.finetune_run import COHORT_FOLDER, CONFIG_FILE
from claimpt_tf.training.scores import PREDICTIONS_FILE, RISK
from claimpt_tf.visits.ids import NO_LABEL_ROW
from claimpt_tf.visits.records import decode, read_records
from claimpt_tf.visits.splits import SPLITS

KEYS = ("patient_id", "index_day", "label_row")


@dataclass(frozen=True)
class FinetunedRun:
    """What a run left behind.

    Attributes:
        task: the question.
        facts: `config.json`.
        rows: split -> labelled examples.
        scores: split -> probability of each of its rows, float64 (rows,); none where
            labels are not yes or no.
        attrition: counts that may be published, where the cohort has them.
        unlabelled: training members outside the cohort, whose past was rehearsed.
    """

    task: Task
    facts: dict[str, Any]
    rows: dict[str, pl.DataFrame]
    scores: dict[str, Floats]
    attrition: dict[str, Any] | None
    unlabelled: pl.DataFrame | None = None

    @property
    def kind(self) -> str:
        """What the labels are, as in a task."""
        return _kind(self.facts)


def kind_of(folder: str) -> str:
    """What the labels of a run are; binary where it tells nothing, or is none."""
    place = Path(folder) / CONFIG_FILE
    return _kind(json.loads(place.read_text())) if place.exists() else BINARY


def _kind(facts: dict[str, Any]) -> str:
    return str(facts.get("labels", {}).get("kind", BINARY))


def read_run(folder: str, kinds: Container[str] = (BINARY,)) -> FinetunedRun:
    """Reads and checks a run.

    Args:
        folder: of the run.
        kinds: of label that the caller can judge. Predictions of kinds other than
            binary are read by `predictions_of`.

    Raises:
        ArtifactError: no finished run, a labelled row without a score, a score
            without a labelled row, a member in two splits.
        TaskError: labels of another kind.
    """
    place = Path(folder)
    for name in (CONFIG_FILE, PREDICTIONS_FILE, f"{COHORT_FOLDER}/{TASK_FILE}"):
        if not (place / name).exists():
            raise ArtifactError(
                f"{place / name} is missing: give the folder of a finished "
                "`claimpt finetune`"
            )
    facts = json.loads((place / CONFIG_FILE).read_text())
    task = load_task(str(place / COHORT_FOLDER / TASK_FILE))
    kind = _kind(facts)
    if kind not in kinds:
        raise TaskError(
            f"{folder}: its labels are {kind}; only yes-or-no labels can be evaluated "
            "in this way"
        )
    rows = {split: labelled_rows(place / COHORT_FOLDER, split) for split in SPLITS}
    rows = {split: frame for split, frame in rows.items() if frame.height}
    if "test" not in rows:
        raise ArtifactError(f"{folder}: no labelled row is in the split test")
    check_splits(rows)
    scores = {}
    if kind == BINARY:
        table = pl.read_parquet(place / PREDICTIONS_FILE)
        scores = {
            split: scores_of(frame, table, str(place / PREDICTIONS_FILE), split)
            for split, frame in rows.items()
        }
    attrition = place / COHORT_FOLDER / ATTRITION_FILE
    unlabelled = labelled_rows(place / COHORT_FOLDER, UNLABELLED)
    return FinetunedRun(
        task,
        facts,
        rows,
        scores,
        json.loads(attrition.read_text()) if attrition.exists() else None,
        unlabelled if unlabelled.height else None,
    )


def check_splits(rows: dict[str, pl.DataFrame]) -> None:
    """Refuses members that are in two splits.

    Raises:
        ArtifactError: "12 members are in both train and test: ...".
    """
    names = list(rows)
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            shared = rows[one].join(rows[other], on="patient_id", how="semi")
            if count := shared["patient_id"].n_unique():
                raise ArtifactError(
                    f"{count} members are in both {one} and {other}: what was learned "
                    "of them is evaluated on them; make the cohort again"
                )


def scores_of(rows: pl.DataFrame, table: pl.DataFrame, name: str, split: str) -> Floats:
    """The probability that a table of predictions gives each labelled row.

    Args:
        rows: labelled examples of one split.
        table: as `predictions_table` makes it.
        name: of the table, for messages.
        split: of the rows.

    Raises:
        ArtifactError: rows without a score, predictions of rows that have no label,
            two scores for one row, or other labels.
    """
    given = predictions_of(rows, table, name, split, (RISK, "label"))
    found = given[RISK].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    told, asked = (one["label"].cast(pl.Int64) for one in (given, rows))
    if other := int((told != asked).sum()):
        raise ArtifactError(
            f"{name}: {other} labels of the split {split} differ from the cohort's; "
            "fine-tune again"
        )
    if broken := int((~np.isfinite(found)).sum()):
        raise ArtifactError(
            f"{name}: {broken} of {rows.height} scores of the split {split} are NaN "
            "or missing; train and score again"
        )
    return found


def predictions_of(
    rows: pl.DataFrame,
    table: pl.DataFrame,
    name: str,
    split: str,
    columns: Sequence[str],
) -> pl.DataFrame:
    """What a table of predictions says of each labelled row, in the rows' order.

    Args:
        rows: labelled examples of one split.
        table: as `predictions_table` makes it.
        name: of the table, for messages.
        split: of the rows.
        columns: which of the table's columns.

    Raises:
        ArtifactError: a column is missing, rows without a prediction, predictions of
            rows that have no label, two of one row.
    """
    missing = [
        column
        for column in ("patient_id", "index_date", "split", *columns)
        if column not in table.columns
    ]
    if missing:
        raise ArtifactError(f"{name}: column {', '.join(missing)} is missing")
    row = pl.col("label_row") if "label_row" in table.columns else pl.lit(None)
    given = table.filter(pl.col("split") == split).select(
        pl.col("patient_id").cast(pl.String),
        index_day=pl.col("index_date").cast(pl.Int32).cast(pl.Int64),
        label_row=row.cast(pl.Int64).fill_null(NO_LABEL_ROW),
        place=pl.int_range(pl.len()),
    )
    if repeated := int(given.select(KEYS).is_duplicated().sum()):
        raise ArtifactError(f"{name}: {repeated} predictions share member and date")
    own = (
        pl.col("label_row").cast(pl.Int64).fill_null(NO_LABEL_ROW)
        if "label_row" in rows.columns
        else pl.lit(NO_LABEL_ROW)
    )
    asked = rows.select(
        pl.col("patient_id").cast(pl.String),
        pl.col("index_day").cast(pl.Int64),
        label_row=own.cast(pl.Int64),
    )
    unknown = given.join(asked, on=KEYS, how="anti").height
    if unknown:
        raise ArtifactError(
            f"{name}: {unknown} predictions in the split {split} are of members or "
            "dates that the cohort does not have; fine-tune again"
        )
    found = asked.join(given, on=KEYS, how="left", maintain_order="left")
    if lacking := found["place"].null_count():
        raise ArtifactError(
            f"{name}: {lacking} of {rows.height} labelled rows of the split {split} "
            "have no prediction; fine-tune again"
        )
    of_split = table.filter(pl.col("split") == split).select(columns)
    return of_split[found["place"].to_numpy()]


def labelled_rows(cohort: Path, split: str) -> pl.DataFrame:
    """Labelled examples of a split of a cohort, in the order of its files."""
    files = sorted((cohort / f"Split-{split}").glob("*"))
    return decode(list(read_records([str(file) for file in files])))
