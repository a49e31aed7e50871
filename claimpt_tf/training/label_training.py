"""Training all layers on labels, each at its own rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.training.batches import labelled_batches, labelled_steps
from claimpt_tf.training.checkpoints import CheckpointFile
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.layerwise import (
    GroupRates,
    LayerwiseAdamW,
    discriminative_groups,
)
from claimpt_tf.training.loop import TrainingLoop
from claimpt_tf.training.progress import EpochLine, Scalars
from claimpt_tf.training.schedules import SlantedTriangle, warmup_cosine
from claimpt_tf.training.weight_average import WeightAverage

TARGET = "target"  # beside the inputs in a batch
Targets = Callable[[Mapping[str, Any]], Any]


class LabelTrainer(keras.Model):
    """A network whose `logit` learns labels, as `TrainingLoop` trains it.

    Args:
      network: With an output `logit`, float [B, 1] or [B, 1, K].
      loss: Loss of each row [B] from outputs [B, K] and targets [B, T].
      watched: Keras metrics of (targets, outputs), taken in validation.
    """

    def __init__(
        self,
        network: keras.Model,
        loss: Callable[[Any, Any], Any],
        watched: Sequence[keras.metrics.Metric] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.network, self.watched = network, list(watched)
        self._of_rows = loss
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Outputs [B, K] as of each row's index date."""
        asked = {name: value for name, value in inputs.items() if name != TARGET}
        logit = self.network(asked, training=training)["logit"]
        return ops.reshape(logit, (ops.shape(logit)[0], -1))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None,
        sample_weight: Any = None, training: bool = True,
    ) -> Any:  # fmt: skip
        """The mean over rows."""
        del y, sample_weight
        if not training:
            for metric in self.watched:
                metric.update_state(x[TARGET], y_pred)
        return ops.mean(self._of_rows(ops.cast(y_pred, "float32"), x[TARGET]))


def train_on_labels(
    trainer: LabelTrainer,
    backbone: TimelineBackbone,
    targets: Targets,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    config: FinetuneConfig,
    log_dir: str | None = None,
    checkpoint: CheckpointFile | None = None,
) -> None:
    """Trains to the lowest loss on the held-out rows.

    Args:
      trainer: What is trained.
      backbone: The network below its head.
      targets: What the loss needs of the labels, [B, T], in a graph.
      train: Batches of transformed labelled examples.
      valid: The same of held-out members.
      config: Choices.
      log_dir: Where TensorBoard scalars go.
      checkpoint: Where the run's state is kept; it goes on from there if there is one.
    """
    steps = labelled_steps(train, config.batch_size)
    trainer.compile(layerwise_adamw(backbone, steps, config), jit_compile=False)
    cut: dict[str, Any] = {
        "targets": targets, "batch_size": config.batch_size,
        "limits": config.limits, "seed": config.seed,
    }  # fmt: skip
    held_out = labelled_batches(
        valid, epoch=0, start=0, steps=labelled_steps(valid, config.batch_size), **cut
    )
    TrainingLoop(
        trainer,
        tf.distribute.get_strategy(),
        WeightAverage(trainer.trainable_variables, 0.0, every=1),
        config.epochs,
        config.patience,
        loop_callbacks("fine-tuning", config.batch_size, log_dir),
        checkpoint,
    ).run(
        lambda epoch, start, steps: labelled_batches(
            train, epoch=epoch, start=start, steps=steps, **cut
        ),
        held_out.take(labelled_steps(valid, config.batch_size)).cache(),
        steps,
    )


def layerwise_adamw(
    backbone: TimelineBackbone, each_epoch: int, config: FinetuneConfig
) -> LayerwiseAdamW:
    """The optimizer of fine-tuning for epochs of so many batches."""
    schedule = SlantedTriangle if config.schedule == "slanted" else warmup_cosine
    return LayerwiseAdamW(
        discriminative_groups(
            backbone,
            config.layer_decay,
            config.train,
            each_epoch if config.unfreeze else 0,
        ),
        learning_rate=schedule(config.learning_rate, config.epochs * each_epoch),
        weight_decay=config.weight_decay,
        global_clipnorm=1.0,
    )


def loop_callbacks(
    title: str, batch_size: int, log_dir: str | None
) -> list[keras.callbacks.Callback]:
    """A line an epoch, and TensorBoard's scalars."""
    made: list[keras.callbacks.Callback] = [EpochLine(title, batch_size)]
    if log_dir:
        made += [Scalars(log_dir, batch_size), GroupRates(log_dir)]
    return made
