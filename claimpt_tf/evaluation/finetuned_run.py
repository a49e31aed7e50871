"""A run of `claimpt finetune` as evaluation reads it, checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.spec import Task, load_task
from claimpt_tf.tasks.transform import ATTRITION_FILE, TASK_FILE
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.finetune_run import COHORT_FOLDER, CONFIG_FILE
from claimpt_tf.training.scores import PREDICTIONS_FILE
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
        scores: split -> probability of each of its rows, float64 (rows,).
        attrition: counts that may be published, where the cohort has them.
        unlabelled: training members outside the cohort, whose past was rehearsed.
    """

    task: Task
    facts: dict[str, Any]
    rows: dict[str, pl.DataFrame]
    scores: dict[str, Floats]
    attrition: dict[str, Any] | None
    unlabelled: pl.DataFrame | None = None


def read_run(folder: str) -> FinetunedRun:
    """Reads and checks a run with yes-or-no labels.

    Raises:
        ArtifactError: no finished run, a labelled row without a score, a score
            without a labelled row, a member in two splits.
        TaskError: labels that are not yes or no.
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
    kind = facts.get("labels", {}).get("kind", "binary")
    if kind != "binary":
        raise TaskError(
            f"{folder}: its labels are {kind}; only yes-or-no labels can be evaluated "
            "in this way"
        )
    rows = {split: labelled_rows(place / COHORT_FOLDER, split) for split in SPLITS}
    rows = {split: frame for split, frame in rows.items() if frame.height}
    if "test" not in rows:
        raise ArtifactError(f"{folder}: no labelled row is in the split test")
    check_splits(rows)
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
    missing = [
        column
        for column in ("patient_id", "index_date", "split", "probability", "label")
        if column not in table.columns
    ]
    if missing:
        raise ArtifactError(f"{name}: column {', '.join(missing)} is missing")
    row = pl.col("label_row") if "label_row" in table.columns else pl.lit(None)
    given = table.filter(pl.col("split") == split).select(
        pl.col("patient_id").cast(pl.String),
        index_day=pl.col("index_date").cast(pl.Int32).cast(pl.Int64),
        label_row=row.cast(pl.Int64).fill_null(NO_LABEL_ROW),
        probability=pl.col("probability").cast(pl.Float64).fill_null(float("nan")),
        told=pl.col("label").cast(pl.Int64),
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
        label=pl.col("label").cast(pl.Int64),
    )
    unknown = given.join(asked, on=KEYS, how="anti").height
    if unknown:
        raise ArtifactError(
            f"{name}: {unknown} predictions in the split {split} are of members or "
            "dates that the cohort does not have; fine-tune again"
        )
    found = asked.join(given, on=KEYS, how="left", maintain_order="left")
    if lacking := found["probability"].null_count():
        raise ArtifactError(
            f"{name}: {lacking} of {rows.height} labelled rows of the split {split} "
            "have no prediction; fine-tune again"
        )
    if other := int((found["label"] != found["told"]).sum()):
        raise ArtifactError(
            f"{name}: {other} labels of the split {split} differ from the cohort's; "
            "fine-tune again"
        )
    broken = int((~np.isfinite(found["probability"].to_numpy())).sum())
    if broken:
        raise ArtifactError(
            f"{name}: {broken} of {rows.height} scores of the split {split} are NaN "
            "or missing; train and score again"
        )
    return found["probability"].to_numpy()


def labelled_rows(cohort: Path, split: str) -> pl.DataFrame:
    """Labelled examples of a split of a cohort, in the order of its files."""
    files = sorted((cohort / f"Split-{split}").glob("*"))
    return decode(list(read_records([str(file) for file in files])))
