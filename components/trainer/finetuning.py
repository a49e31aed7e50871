"""Run function of the fine-tuning Trainer."""

from __future__ import annotations

import os

from tfx.components.trainer.fn_args_utils import FnArgs

import claimpt_tf
from claimpt_tf.models.presets import backbone
from claimpt_tf.serving.export import export_risk_model
from claimpt_tf.serving.warmup import write_warmup
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.finetune import CLASSIFIER_FILE, finetune
from claimpt_tf.training.pretrain import load_backbone, save_keras
from claimpt_tf.training.sources import labelled_source
from claimpt_tf.visits.ids import FIRST_CODE
from components.trainer.pretraining import keras_folder
from components.trainer.transform_graph import TransformGraph


def run_fn(fn_args: FnArgs) -> None:
    """Fine-tunes on the labelled examples of a task.

    Args:
      fn_args: `custom_config` holds `task` (JSON of a Task), `config` (fields of a
        FinetuneConfig) and `preset`, the size of a network without a base model.
        `base_model` is the pre-trained model; without one the network starts fresh.
    """
    task = Task.model_validate_json(fn_args.custom_config["task"])
    config = FinetuneConfig(**fn_args.custom_config["config"])
    graph = TransformGraph.load(fn_args.transform_output)
    if fn_args.base_model:
        network = load_backbone(keras_folder(fn_args.base_model))
    else:
        network = backbone(
            fn_args.custom_config["preset"],
            FIRST_CODE + len(graph.codes),
            FIRST_CODE + graph.stems,
        )
    question = question_of(task)
    model, recipe = finetune(
        network,
        labelled_source(fn_args.train_files, graph.layer),
        labelled_source(fn_args.eval_files, graph.layer),
        question,
        config,
        fn_args.model_run_dir,
    )
    folder = keras_folder(fn_args.serving_model_dir)
    os.makedirs(folder, exist_ok=True)
    save_keras(model, os.path.join(folder, CLASSIFIER_FILE))
    export_risk_model(
        model,
        graph.layer,
        config.limits,
        fn_args.serving_model_dir,
        {
            "kind": "risk",
            "task": task.name,
            "description": task.description,
            "window_days": question.window_days,
            "gap_days": question.gap_days,
            "recipe": recipe,
            "pretrained": bool(fn_args.base_model),
            "claimpt_tf": claimpt_tf.__version__,
        },
    )
    write_warmup(fn_args.serving_model_dir)


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
