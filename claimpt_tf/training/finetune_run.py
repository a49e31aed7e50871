"""A fine-tuning run from records to a folder, without TFX."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import polars as pl
import tensorflow as tf

import claimpt_tf
from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.tasks.attrition import check_enough
from claimpt_tf.tasks.shots import shots as draw_shots
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.transform import build_cohort
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.finetune import CLASSIFIER_FILE, finetune
from claimpt_tf.training.pretrain import load_backbone, save_keras, write_text
from claimpt_tf.training.pretrain_run import TRANSFORM_FOLDER
from claimpt_tf.training.scores import (
    PREDICTIONS_FILE,
    Scored,
    predictions_table,
    write_parquet,
)
from claimpt_tf.training.sources import column, labelled_sources
from claimpt_tf.training.transform_graph import TransformGraph
from claimpt_tf.visits.splits import SPLITS

COHORT_FOLDER, LOG_FOLDER = "cohort", "logs"
CONFIG_FILE = "config.json"


def finetune_run(
    data: str,
    base: str,
    task: Task,
    output: str,
    config: FinetuneConfig,
    *,
    shots: int | None = None,
    key_file: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fine-tunes a pre-trained run for a task.

    Args:
      data: A folder that `claimpt ingest` made.
      base: A run of `claimpt pretrain`: its transformation and its network.
      task: The question; its labels may come from a table.
      output: The run's folder: `cohort/`, `classifier.keras`,
        `predictions.parquet`, `config.json` and TensorBoard's `logs/`.
      config: Choices.
      shots: Use the labels of so many training members only.
      key_file: The key that ingest hashed member ids with, for a table of labels.
      say: Called with a line about each step.

    Returns:
      What stands in `config.json`.

    Raises:
      ArtifactError: `base` is no pre-trained run, or `output` is not empty.
      TaskError: The task cannot be learned.
    """
    begun = time.monotonic()
    folder = Path(output)
    if folder.exists() and any(folder.iterdir()):
        raise ArtifactError(
            f"{output} is not empty; choose another --output or remove it"
        )
    graph = TransformGraph.load(str(Path(base) / TRANSFORM_FOLDER))
    network = load_backbone(base, graph.codes)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"labelling for task {task.name}")
    cohort = build_cohort(task, data, folder / COHORT_FOLDER, key_file=key_file)
    for warning in (*cohort.warnings, *check_enough(cohort.attrition)):
        say(f"warning: {warning}")
    sources = labelled_sources(
        {
            split: [str(folder / COHORT_FOLDER / f"Split-{split}" / "*")]
            for split in SPLITS
        },
        graph.layer,
    )
    labelled = None if shots is None else chosen_rows(sources["train"], shots, config)
    model, recipe, scores = finetune_and_score(
        network, sources, cohort.task, config, str(folder / LOG_FOLDER), labelled
    )
    say(f"recipe: {recipe}")
    save_finetuned(model, scores, str(folder))
    facts = {
        "claimpt_tf": claimpt_tf.__version__,
        "task": task.name,
        "base": base,
        "shots": shots,
        "recipe": recipe,
        "choices": config.model_dump(),
        "seconds": round(time.monotonic() - begun, 1),
    }
    write_text(str(folder / CONFIG_FILE), json.dumps(facts, indent=1) + "\n")
    return facts


def finetune_and_score(
    network: Any,
    sources: Mapping[str, tf.data.Dataset],
    task: Task,
    config: FinetuneConfig,
    log_dir: str | None = None,
    labelled: np.ndarray | None = None,
) -> tuple[keras.Model, str, dict[str, Scored]]:
    """Fine-tunes on `train` and `eval`, and scores every split.

    Args:
      network: A backbone; it is changed.
      sources: Split -> batches of transformed labelled examples. Of splits other than
        train and eval nothing is learned.
      task: The question.
      config: Choices.
      log_dir: Where TensorBoard scalars go.
      labelled: bool [N], which training rows' labels may be used; None for all.

    Returns:
      The risk model, the recipe that was followed, and the scores by split.

    Raises:
      TaskError: The task's labels are not binary, or all the same.
    """
    if task.label_kind != "binary":
        raise TaskError(
            f"task {task.name}: its labels are {task.label_kind}; fine-tuning takes "
            "binary labels only"
        )
    model, recipe, scorer = finetune(
        network,
        sources["train"],
        sources["eval"],
        question_of(task),
        config,
        log_dir,
        labelled,
    )
    return model, recipe, {split: scorer(one) for split, one in sources.items()}


def save_finetuned(
    model: keras.Model, scores: Mapping[str, Scored], folder: str
) -> None:
    """Writes a risk model and its scores to a folder that is there."""
    save_keras(model, os.path.join(folder, CLASSIFIER_FILE))
    write_parquet(predictions_table(scores), os.path.join(folder, PREDICTIONS_FILE))


def chosen_rows(
    source: tf.data.Dataset, shots: int, config: FinetuneConfig
) -> np.ndarray:
    """Which rows belong to the members whose labels may be used, bool [N]."""
    names = ("patient_id", "index_day", "label")
    columns = {name: column(source, name) for name in names}
    columns["patient_id"] = columns["patient_id"].astype(str)
    return draw_shots(pl.DataFrame(columns), shots, config.seed).to_numpy()


def question_of(task: Task) -> Question:
    """What fine-tuning must know of a task; window 0 where nothing can be rehearsed."""
    asked = task.definition
    if asked is None:
        return Question(0, by_visit=False)
    outcome = asked.outcome
    return Question(
        asked.window_days,
        asked.gap_days,
        at_visits=task.index.kind == "each_visit",
        by_visit=outcome.kind == "event"
        and outcome.min_count == 1
        and outcome.min_cost is None,
    )
