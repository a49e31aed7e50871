"""Fine-tuning a backbone for labels that are not yes or no."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from claimpt_tf.errors import TaskError
from claimpt_tf.models.endpoint_model import HEAD, endpoint_model
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.training.checkpoints import CheckpointFile
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.endpoints.endpoint import Endpoint
from claimpt_tf.training.label_training import LabelTrainer, train_on_labels
from claimpt_tf.training.linear_head import fit_linear_head
from claimpt_tf.training.scores import Scored, Scorer
from claimpt_tf.training.seeds import set_seed

FEWEST_TO_TRAIN = 300  # labelled members from which all layers are trained


def finetune_endpoint(
    backbone: TimelineBackbone,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    endpoint: Endpoint,
    config: FinetuneConfig,
    log_dir: str | None = None,
    checkpoint: CheckpointFile | None = None,
) -> tuple[keras.Model, str, Scorer]:
    """Trains a model of one endpoint.

    A regularised linear head is fitted to the frozen states; where there are labels
    enough, all layers are then trained from there, each at its own rate.

    Args:
      backbone: Pre-trained, or fresh for the from-scratch comparison; it is changed.
      train: Batches of transformed labelled examples, those whose labels may be used.
      valid: The same of held-out members, for early stopping.
      endpoint: What the labels are.
      config: Choices. `auto` trains all layers from 300 labelled members on, and
        goes back to the linear head if the held-out rows are worse off.
      log_dir: Where TensorBoard scalars go.
      checkpoint: Where the run's state is kept; it goes on from there if there is one.

    Returns:
      A model of `endpoint_model` whose `logit` is in the label's units, the recipe
      that was followed, and what scores with it.

    Raises:
      TaskError: The recipe is `adapt`, which needs labels that are yes or no.
    """
    if config.recipe == "adapt":
        raise TaskError(
            "recipe adapt needs labels that are yes or no; take labels, head or auto"
        )
    set_seed(config.seed)
    model = endpoint_model(backbone, endpoint.outputs)
    scorer = Scorer(model, config.limits, endpoint.targets)
    rows, recipe = scorer(train), config.recipe
    if recipe == "auto":
        enough = len(np.unique(rows.patient)) >= FEWEST_TO_TRAIN
        recipe = "labels" if enough else "head"
    linear, frozen = model.get_weights(), math.inf
    if config.recipe != "labels":
        _set_head(model, endpoint, rows, rows.state)
        linear = model.get_weights()
    if recipe == "labels":
        frozen = _mean_loss(scorer(valid), endpoint)
        # A fitted kernel would be far off as soon as the layers below it move.
        _set_head(model, endpoint, rows, np.zeros_like(rows.state))
        train_on_labels(
            LabelTrainer(model, endpoint.loss), backbone, endpoint.targets, train,
            valid, config, log_dir, checkpoint,
        )  # fmt: skip
        if config.recipe == "auto" and _mean_loss(scorer(valid), endpoint) > frozen:
            model.set_weights(linear)
            recipe = "head"
    head = model.get_layer(HEAD)
    kernel, bias = head.get_weights()
    head.set_weights([kernel * endpoint.scale, bias * endpoint.scale + endpoint.shift])
    return model, recipe, scorer


def _set_head(
    model: keras.Model, endpoint: Endpoint, rows: Scored, state: np.ndarray
) -> None:
    """Fits the head to states; to none of them where they are all zero."""
    kernel, bias, _ = fit_linear_head(
        state, rows.label, rows.patient, endpoint.outputs, endpoint.loss
    )
    model.get_layer(HEAD).set_weights([kernel, bias])


def _mean_loss(rows: Scored, endpoint: Endpoint) -> float:
    return float(tf.reduce_mean(endpoint.loss(rows.logit, rows.label)))
