"""Run function of the fine-tuning Trainer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.dsl.io import fileio

import claimpt_tf
from claimpt_tf.errors import TaskError
from claimpt_tf.models.presets import backbone
from claimpt_tf.serving.export import export_risk_model
from claimpt_tf.serving.model_facts import model_facts
from claimpt_tf.serving.warmup import write_warmup
from claimpt_tf.tasks.spec import Task, parse_task
from claimpt_tf.tasks.transform import TASK_FILE
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune_run import (
    finetune_and_score,
    question_of,
    save_finetuned,
)
from claimpt_tf.training.foreknowledge import head_start
from claimpt_tf.training.pretrain import load_backbone
from claimpt_tf.training.sources import labelled_sources
from claimpt_tf.training.transform_graph import TransformGraph
from claimpt_tf.visits.ids import FIRST_CODE
from components.trainer.artifact_folders import keras_folder


def run_fn(fn_args: FnArgs) -> None:
    """Fine-tunes on the labelled examples of a task, and scores all of them.

    Args:
      fn_args: `custom_config` holds `config` (fields of a FinetuneConfig), `preset`,
        the size of a network without a base model, and `export`, whether a SavedModel
        is written. The task is the cohort's. `eval_files` are those of every split but
        train, the unlabelled members among them. `base_model` is the pre-trained
        model; without one the network starts fresh.

    Raises:
      TaskError: A SavedModel is asked for, and the labels are not yes or no.
    """
    task = cohort_task(fn_args.train_files[0])
    if fn_args.custom_config["export"] and task.label_kind != "binary":
        raise TaskError(
            f"task {task.name}: its labels are {task.label_kind}, and a served model "
            "answers yes-or-no questions only; fine-tune and score it with "
            "`claimpt finetune`"
        )
    config = FinetuneConfig(**fn_args.custom_config["config"])
    graph = TransformGraph.load(fn_args.transform_output)
    start = None
    if fn_args.base_model:
        base = keras_folder(fn_args.base_model)
        network = load_backbone(base, graph.codes)
        start = head_start(base, task, graph.codes)
    else:
        network = backbone(
            fn_args.custom_config["preset"],
            FIRST_CODE + len(graph.codes),
            FIRST_CODE + graph.stems,
        )
    made = finetune_and_score(
        network,
        labelled_sources(
            {
                split_of(pattern): [pattern]
                for pattern in (*fn_args.train_files, *fn_args.eval_files)
            },
            graph.layer,
        ),
        task,
        config,
        fn_args.model_run_dir,
        codes=graph.codes,
        start=start,
    )
    folder = keras_folder(fn_args.serving_model_dir)
    os.makedirs(folder, exist_ok=True)
    os.makedirs(fn_args.serving_model_dir, exist_ok=True)
    save_finetuned(made, folder)
    if not fn_args.custom_config["export"]:
        return
    question = question_of(task)
    export_risk_model(
        made.model,
        graph.layer,
        replace(config.limits, lookback_days=task.lookback_days),
        fn_args.serving_model_dir,
        {
            "kind": "risk",
            "task": task.name,
            "description": task.description,
            "window_days": question.window_days,
            "gap_days": question.gap_days,
            "recipe": made.recipe,
            "pretrained": bool(fn_args.base_model),
            "claimpt_tf": claimpt_tf.__version__,
            **model_facts(made.predictions),
        },
    )
    write_warmup(fn_args.serving_model_dir)


def cohort_task(pattern: str) -> Task:
    """The task as CohortGen read it, with the kind of a label table's labels.

    Args:
      pattern: Of the files of one split.
    """
    path = os.path.join(pattern.split("/Split-")[0], TASK_FILE)
    with fileio.open(path) as file:
        return parse_task(file.read(), path)


def split_of(pattern: str) -> str:
    """The split whose files a pattern names.

    >>> split_of("artifacts/CohortGen/cohort/3/Split-eval/*")
    'eval'
    """
    parts: Sequence[str] = pattern.split("/")
    return next(p for p in reversed(parts) if p.startswith("Split-"))[len("Split-") :]
