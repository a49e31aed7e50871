"""A fine-tuning run from records to a folder, without TFX."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import polars as pl
import tensorflow as tf

import claimpt_tf
from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.bag import bag
from claimpt_tf.tasks.attrition import check_enough
from claimpt_tf.tasks.draws import ranks
from claimpt_tf.tasks.shots import shots as draw_shots
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.transform import build_cohort
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.adaptation import calibrate
from claimpt_tf.training.checkpoints import CHECKPOINT_FILE, CheckpointFile
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.endpoints.registry import endpoint_for
from claimpt_tf.training.finetune import CLASSIFIER_FILE, finetune
from claimpt_tf.training.finetune_endpoint import finetune_endpoint
from claimpt_tf.training.foreknowledge import HeadStart, head_start
from claimpt_tf.training.pretrain import (
    BACKBONE_FILE,
    load_backbone,
    save_keras,
    write_text,
)
from claimpt_tf.training.pretrain_run import TRANSFORM_FOLDER
from claimpt_tf.training.run_folder import check_free
from claimpt_tf.training.scores import (
    PREDICTIONS_FILE,
    Scored,
    Scorer,
    predictions_table,
    risk_columns,
    write_parquet,
)
from claimpt_tf.training.seeds import set_seed
from claimpt_tf.training.sources import column, labelled_sources, with_rows
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
    fresh: bool = False,
    key_file: str | None = None,
    resume: bool = False,
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
      fresh: Begin with new weights, which tells what pre-training is worth.
      key_file: The key that ingest hashed member ids with, for a table of labels.
      resume: Go on where an interrupted run with the same choices stands.
      say: Called with a line about each step.

    Returns:
      What stands in `config.json`.

    Raises:
      ArtifactError: `base` is no pre-trained run, or `output` is not empty.
      TaskError: The task cannot be learned.
    """
    begun = time.monotonic()
    folder = Path(output)
    check_free(folder, CONFIG_FILE, resume)
    graph = TransformGraph.load(str(Path(base) / TRANSFORM_FOLDER))
    set_seed(config.seed)  # of weights that start fresh
    network = load_backbone(base, graph.codes, fresh)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"labelling for task {task.name}")
    cohort = build_cohort(task, data, folder / COHORT_FOLDER, key_file=key_file)
    for warning in (*cohort.warnings, *check_enough(cohort.attrition)):
        say(f"warning: {warning}")
    sources = labelled_sources(
        {
            split: [str(folder / COHORT_FOLDER / f"Split-{split}" / "*")]
            for split in (*SPLITS, UNLABELLED)
            if (folder / COHORT_FOLDER / f"Split-{split}").exists()
        },
        graph.layer,
    )
    labelled = None if shots is None else chosen_rows(sources["train"], shots, config)
    identity = {
        "task": cohort.task.to_yaml(), "base": _bytes_of(base), "shots": shots,
        "choices": config.model_dump(), "fresh": fresh,
    }  # fmt: skip
    checkpoint = CheckpointFile(str(folder / CHECKPOINT_FILE), identity)
    start = None if fresh else head_start(base, cohort.task, graph.codes)
    made = finetune_and_score(
        network, sources, cohort.task, config, str(folder / LOG_FOLDER), labelled,
        checkpoint, graph.codes, start,
    )  # fmt: skip
    for note in made.notes:
        say(f"note: {note}")
    say(f"recipe: {made.recipe}")
    save_finetuned(made, str(folder))
    facts = {
        "claimpt_tf": claimpt_tf.__version__,
        "task": task.name,
        "labels": {"kind": cohort.task.label_kind, **made.endpoint},
        "base": base,
        "shots": shots,
        "fresh": fresh,
        "recipe": made.recipe,
        "choices": config.model_dump(),
        "notes": list(made.notes),
        "seconds": round(time.monotonic() - begun, 1),
    }
    write_text(str(folder / CONFIG_FILE), json.dumps(facts, indent=1) + "\n")
    for number in range(config.bags):
        checkpoint.numbered(number).remove()
    return facts


def _bytes_of(base: str) -> int:
    """Size of the pre-trained network: enough to notice that it is another one."""
    return (Path(base) / BACKBONE_FILE).stat().st_size


@dataclass(frozen=True)
class Finetuned:
    """What fine-tuning made.

    Attributes:
      model: Of `risk_model`, or of `endpoint_model` where labels are not yes or no; a
        `bag` of several.
      recipe: The recipe that was followed.
      predictions: One row a labelled row of every split.
      notes: What a person should know.
      endpoint: What else there is to know of the labels, such as their classes.
    """

    model: keras.Model
    recipe: str
    predictions: pl.DataFrame
    notes: tuple[str, ...] = ()
    endpoint: dict[str, Any] = field(default_factory=dict)


def finetune_and_score(
    network: Any,
    sources: Mapping[str, tf.data.Dataset],
    task: Task,
    config: FinetuneConfig,
    log_dir: str | None = None,
    labelled: np.ndarray | None = None,
    checkpoint: CheckpointFile | None = None,
    codes: Sequence[str] = (),
    start: HeadStart | None = None,
) -> Finetuned:
    """Fine-tunes on `train` and `eval`, and scores every split.

    Args:
      network: A backbone; it is changed.
      sources: Split -> batches of transformed labelled examples. Of splits other than
        train and eval nothing is learned. Without rows in eval, a fifth of the
        labelled training members is held out instead. `unlabelled`, if it is there,
        is rehearsed on and not scored.
      task: The question.
      config: Choices.
      log_dir: Where TensorBoard scalars go.
      labelled: bool [N], which training rows' labels may be used; None for all.
      checkpoint: Where the run's state is kept; it goes on from there if there is one.
      codes: The code vocabulary, in file order; without it no trees are grown.
      start: What pre-training knows of the outcome.

    Raises:
      TaskError: The labels are all the same, or of a kind that cannot be learned.
    """
    unlabelled = sources.get(UNLABELLED)
    sources = {split: one for split, one in sources.items() if split != UNLABELLED}
    ids = {split: column(one, "patient_id") for split, one in sources.items()}
    filled = {split: one for split, one in sources.items() if len(ids[split])}
    if "train" not in filled:
        raise ArtifactError("no labelled row is in the split train: nothing to learn")
    if labelled is None:
        labelled = np.ones(len(ids["train"]), bool)
    train, valid, labelled, notes = _train_and_eval(
        filled, ids["train"], labelled, config.seed
    )
    columns: Callable[[str, Scored], Mapping[str, Any]] = risk_columns
    facts: dict[str, Any] = {}
    if task.label_kind != "binary":
        chosen = train if labelled.all() else with_rows(train, labelled)
        endpoint = endpoint_for(task.label_kind).of(task, chosen)
        facts = endpoint.describe()

        def columns(split: str, rows: Scored) -> dict[str, Any]:
            return {
                **endpoint.predictions(rows.logit),
                **endpoint.labels(filled[split]),
            }

    def trained(number: int, network: Any) -> tuple[keras.Model, str, Scorer]:
        """A network, the recipe that was followed, and what scores with it."""
        own = config.model_copy(update={"seed": config.seed + number})
        kept = checkpoint and checkpoint.numbered(number)
        logs = log_dir and (f"{log_dir}/bag_{number}" if number else log_dir)
        if task.label_kind == "binary":
            return finetune(
                network, train, valid, question_of(task), own, logs,
                None if labelled.all() else labelled, kept, unlabelled, codes, start,
            )  # fmt: skip
        # There is no outcome whose windows could be rehearsed.
        return finetune_endpoint(network, chosen, valid, endpoint, own, logs, kept)

    model, recipe, scorer = _bagged(
        network, trained, config, valid if task.label_kind == "binary" else None
    )
    scored = {split: scorer(one) for split, one in filled.items()}
    return Finetuned(model, recipe, predictions_table(scored, columns), notes, facts)


def _train_and_eval(
    filled: Mapping[str, tf.data.Dataset],
    patients: np.ndarray,
    labelled: np.ndarray,
    seed: int,
) -> tuple[tf.data.Dataset, tf.data.Dataset, np.ndarray, tuple[str, ...]]:
    """What is learned from, what stops it early, whose labels, and what to note."""
    train = filled["train"]
    if "eval" in filled:
        return train, filled["eval"], labelled, ()
    held = labelled & held_out(patients, labelled, seed)
    rest = ~np.isin(patients, patients[held])
    note = (
        "no labelled row is in the split eval: a fifth of the labelled training "
        "members is held out for early stopping and calibration"
    )
    return with_rows(train, rest), with_rows(train, held), labelled[rest], (note,)


def _bagged(
    network: Any,
    trained: Callable[[int, Any], tuple[keras.Model, str, Scorer]],
    config: FinetuneConfig,
    calibrated_on: tf.data.Dataset | None,
) -> tuple[keras.Model, str, Scorer]:
    """Several networks from the same start as one model; of one, itself."""
    if config.bags == 1:
        return trained(0, network)
    begun = network.get_weights()
    model, recipe, _ = trained(0, network)
    members = [model]
    for number in range(1, config.bags):
        further = type(network).from_config(network.get_config())
        further.set_weights(begun)
        members.append(trained(number, further)[0])
    model = bag(members)
    scorer = Scorer(model, config.limits)
    if calibrated_on is not None:
        calibrate(members, scorer, calibrated_on)
    return model, recipe, scorer


def held_out(patients: np.ndarray, labelled: np.ndarray, seed: int) -> np.ndarray:
    """Rows of a fifth of the labelled members, at least one of them; bool [N].

    Args:
      patients: bytes [N].
      labelled: bool [N].
      seed: Of the draw.
    """
    names = np.unique(patients[labelled])
    drawn = ranks(f"held_out|{seed}|{one.decode()}" for one in names).to_numpy()
    chosen = names[np.argsort(drawn)[: max(len(names) // 5, 1)]]
    return np.isin(patients, chosen)


def save_finetuned(made: Finetuned, folder: str) -> None:
    """Writes a model and its predictions to a folder that is there."""
    save_keras(made.model, os.path.join(folder, CLASSIFIER_FILE))
    write_parquet(made.predictions, os.path.join(folder, PREDICTIONS_FILE))


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
    return Question(
        asked.window_days,
        asked.gap_days,
        at_visits=task.at_visits,
        by_visit=asked.by_visit,
        own_labels=task.labels is None,
    )
