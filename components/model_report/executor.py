"""Executor of ModelReport."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import polars as pl
from numpy.typing import ArrayLike
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from claimpt_tf.evaluation.evaluate import (
    MODEL,
    Choices,
    baseline_scores,
    true_risk,
    write_evaluation,
)
from claimpt_tf.evaluation.finetuned_run import check_splits, scores_of
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.truth import BEST
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.serving.export import METADATA_FILE as FACTS_FILE
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.transform import ATTRITION_FILE
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.scores import PREDICTIONS_FILE
from claimpt_tf.training.sources import matching
from claimpt_tf.visits.records import decode, read_records
from claimpt_tf.visits.splits import SPLITS
from components.model_report.lineage import lineage_of
from components.trainer.artifact_folders import keras_folder

SCRATCH = "from scratch"


class Executor(base_executor.BaseExecutor):
    """Scores, compares and writes what `claimpt evaluate` writes."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the files of `write_evaluation`."""
        task = Task.model_validate_json(exec_properties["task"])
        seed = exec_properties["seed"]
        rows = {split: _rows(input_dict["cohort"], split) for split in SPLITS}
        rows = {split: frame for split, frame in rows.items() if frame.height}
        check_splits(rows)
        test = rows["test"]
        model = input_dict["model"][0]
        scores: dict[str, ArrayLike] = {MODEL: trained_scores(model, test, "test")}
        for artifact in input_dict.get("scratch", []):
            scores[SCRATCH] = trained_scores(artifact, test, "test")
        notes: list[str] = []
        past_windows = bool(exec_properties["past_windows"])
        unlabelled = _rows(input_dict["cohort"], UNLABELLED) if past_windows else None
        scores |= baseline_scores(
            rows["train"], test, task, seed, rows.get("eval"), notes.append,
            unlabelled if unlabelled is not None and unlabelled.height else None,
            past_windows,
        )  # fmt: skip
        key_file = exec_properties["key_file"] or None
        risk = true_risk(test, task, exec_properties["true_risk"], key_file)
        if risk is not None:
            scores[BEST] = risk
        valid = None
        if "eval" in rows:
            held_out = rows["eval"]
            valid = (
                held_out["label"].to_numpy(),
                trained_scores(model, held_out, "eval"),
            )
        funnel = artifact_utils.get_single_uri(input_dict["attrition"])
        with open(os.path.join(funnel, ATTRITION_FILE)) as file:
            attrition = json.load(file)
        run = (self._context.pipeline_run_id if self._context else None) or ""
        write_evaluation(
            artifact_utils.get_single_uri(output_dict["report"]),
            scores,
            test,
            Story(
                task,
                attrition,
                exec_properties["source"],
                simulated=bool(exec_properties["true_risk"]),
                facts=_facts(model),
                lineage=lineage_of(
                    input_dict, json.loads(exec_properties["parameters"]), run
                ),
                notes=tuple(notes),
            ),
            Choices(
                replicates=exec_properties["replicates"],
                seed=seed,
                fewest=exec_properties["min_events"],
            ),
            valid,
        )


def trained_scores(model: Artifact, rows: pl.DataFrame, split: str) -> Floats:
    """Probabilities that the Trainer gave the rows of a split, float64 [N].

    Raises:
      ArtifactError: A row has no score, or a score no row.
    """
    folder = keras_folder(path_utils.serving_model_dir(model.uri))
    path = os.path.join(folder, PREDICTIONS_FILE)
    return scores_of(rows, pl.read_parquet(path), path, split)


def _rows(cohort: list[Artifact], split: str) -> pl.DataFrame:
    """Labelled examples of a split; no rows where the cohort has no such split."""
    if split not in json.loads(cohort[0].split_names):
        return decode([])
    folder = artifact_utils.get_split_uri(cohort, split)
    return decode(list(read_records(matching([os.path.join(folder, "*")]))))


def _facts(model: Artifact) -> dict[str, str]:
    """Heading -> text, of what travels with the served model."""
    place = os.path.join(path_utils.serving_model_dir(model.uri), "assets.extra")
    with open(os.path.join(place, FACTS_FILE)) as file:
        facts: Mapping[str, Any] = json.load(file)
    told = {
        "Model": "a transformer over visits, pre-trained on everybody and fine-tuned",
        "Recipe": facts["recipe"],
        "Index dates it knows": " to ".join(facts.get("data_span") or ()),
        "Intended use": facts.get("intended_use", ""),
        "Version": f"claimpt_tf {facts['claimpt_tf']}",
    }
    return {name: text for name, text in told.items() if text}
