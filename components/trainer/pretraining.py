"""Run function of the pre-training Trainer."""

from __future__ import annotations

import os

from tfx.components.trainer.fn_args_utils import FnArgs

from claimpt_tf.training.choices import PretrainConfig
from claimpt_tf.training.devices import choose_strategy
from claimpt_tf.training.foreknowledge import save_window_head
from claimpt_tf.training.pretrain import pretrain, save_pretrained
from components.trainer.artifact_folders import keras_folder
from components.trainer.transform_graph import TransformGraph, transformed_source


def run_fn(fn_args: FnArgs) -> None:
    """Pre-trains on the transformed examples.

    Args:
      fn_args: `custom_config["config"]` holds the fields of a PretrainConfig.
    """
    config = PretrainConfig(**fn_args.custom_config["config"])
    strategy = choose_strategy(config.distribution)
    graph = TransformGraph.load(fn_args.transform_output)
    made = pretrain(
        transformed_source(fn_args, fn_args.train_files),
        transformed_source(fn_args, fn_args.eval_files),
        graph.codes,
        graph.stems,
        config,
        fn_args.model_run_dir,
        strategy=strategy,
    )
    folder = keras_folder(fn_args.serving_model_dir)
    save_pretrained(made.model, made.targets, graph.codes, folder)
    save_window_head(made.model, made.read, folder)
    # Nobody serves it, but TFX refuses a model without this folder.
    os.makedirs(fn_args.serving_model_dir, exist_ok=True)
