"""Executor of ModelReport."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from claimpt_tf.claims.privacy import load_key
from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.baselines import LIGHTGBM, LOGISTIC, fit_predict_all
from claimpt_tf.evaluation.compare import compare, write_metrics
from claimpt_tf.evaluation.predictions import write_predictions
from claimpt_tf.evaluation.report import write_report
from claimpt_tf.evaluation.truth import best_possible
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.transform import ATTRITION_FILE
from claimpt_tf.training.scores import PREDICTIONS_FILE
from claimpt_tf.training.sources import matching
from claimpt_tf.visits.records import decode, read_records
from components.trainer.artifact_folders import keras_folder

PRETRAINED, SCRATCH, BEST = "pre-trained", "from scratch", "best possible"
BASELINE_NAMES = {
    LOGISTIC: "logistic regression on counts",
    LIGHTGBM: "LightGBM on counts",
}
METRICS_FILE = "metrics.json"
REPORT_FILE = "report.html"


class Executor(base_executor.BaseExecutor):
    """Scores, compares and writes the page."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `report.html`, `metrics.json` and `predictions.parquet`."""
        folder = Path(artifact_utils.get_single_uri(output_dict["report"]))
        folder.mkdir(parents=True, exist_ok=True)
        task = Task.model_validate_json(exec_properties["task"])
        records = {
            split: _records(input_dict["cohort"], split)
            for split in ("train", "eval", "test")
        }
        test = decode(records["test"])
        scores = {
            name: trained_scores(artifact, test)
            for name, key in ((PRETRAINED, "model"), (SCRATCH, "scratch"))
            for artifact in input_dict.get(key, [])
        }
        # The network stops early on the eval split, so counts may learn from it too.
        known = decode(records["train"] + records["eval"])
        counted = fit_predict_all(
            known, test, list(BASELINE_NAMES), exec_properties["seed"]
        )
        scores |= {BASELINE_NAMES[kind]: given for kind, given in counted.items()}
        risk = _true_risk(test, task, exec_properties)
        if risk is not None:
            scores[BEST] = risk
        found = compare(
            scores, test, exec_properties["replicates"], exec_properties["seed"]
        )
        write_metrics(found, folder / METRICS_FILE)
        write_predictions(folder / PREDICTIONS_FILE, scores, test, "test")
        funnel = artifact_utils.get_single_uri(input_dict["attrition"])
        with open(os.path.join(funnel, ATTRITION_FILE)) as file:
            attrition = json.load(file)
        write_report(
            folder / REPORT_FILE,
            found,
            scores,
            test,
            task=task,
            attrition=attrition,
            source=exec_properties["source"],
            simulated=bool(exec_properties["true_risk"]),
        )


def trained_scores(model: Artifact, test: pl.DataFrame) -> np.ndarray:
    """Probabilities that the Trainer gave the rows of `test`, float64 [N].

    Raises:
      ArtifactError: A row has no score.
    """
    folder = keras_folder(path_utils.serving_model_dir(model.uri))
    given = pl.read_parquet(os.path.join(folder, PREDICTIONS_FILE)).select(
        "patient_id",
        pl.col("label_row").fill_null(-1),
        "probability",
        index_day=pl.col("index_date").cast(pl.Int32).cast(pl.Int64),
    )
    keys = ["patient_id", "index_day", "label_row"]
    found = test.select(
        "patient_id",
        pl.col("index_day").cast(pl.Int64),
        pl.col("label_row").cast(pl.Int64).fill_null(-1),
    ).join(given.unique(keys), on=keys, how="left", maintain_order="left")
    if found["probability"].null_count():
        raise ArtifactError(f"{folder}: not every labelled row was scored; train again")
    return found["probability"].to_numpy()


def _records(cohort: list[Artifact], split: str) -> list[bytes]:
    folder = artifact_utils.get_split_uri(cohort, split)
    return list(read_records(matching([os.path.join(folder, "*")])))


def _true_risk(
    test: pl.DataFrame, task: Task, exec_properties: dict[str, Any]
) -> np.ndarray | None:
    """The simulator's own risks, where it has them for every row of this task."""
    if not (exec_properties["true_risk"] and task.truth):
        return None
    key = load_key(exec_properties["key_file"] or None)
    risk = best_possible(test, exec_properties["true_risk"], key, task.truth)
    return None if risk.null_count() else risk.to_numpy()
