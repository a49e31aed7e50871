"""The loop of a training run: steps, validation, early stopping, exact resume.

Keras' `fit` cannot go on in the middle of an epoch, nor run several workers (its
symbolic build refuses distributed batches), so the loop is here; the model, its loss,
its metrics, the optimizer and the callbacks are Keras'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from claimpt_tf.allocator import keep_freed_memory
from claimpt_tf.errors import TrainingError
from claimpt_tf.training.checkpoints import CheckpointFile, named, restore
from claimpt_tf.training.devices import any_worker, is_chief
from claimpt_tf.training.weight_average import WeightAverage

PULSE = 20  # steps between two looks at the loss

Batch = dict[str, Any]
Batches = Callable[[int, int, int], tf.data.Dataset]


@dataclass
class Position:
    """Where a run stands.

    Attributes:
      epoch: Number of the epoch, from 0.
      step: Batches of it that were trained on.
      best: Lowest validation loss.
      waited: Epochs since then.
      history: Figures of every finished epoch.
    """

    epoch: int = 0
    step: int = 0
    best: float = math.inf
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class TrainingLoop:
    """Trains a model that computes its own loss, epoch by epoch.

    Args:
      model: `model(batch, training=...)` and `model.compute_loss(x=batch, y_pred=...)`;
        made and compiled with an optimizer in the strategy's scope.
      strategy: How steps are distributed; every replica takes a batch of its own.
      average: The moving average, which is what validation sees.
      epochs: Epochs at most.
      patience: Epochs without a lower validation loss before stopping.
      callbacks: Keras callbacks; `on_train_batch_end` gets logs at every `PULSE`-th
        step only, and `params` hold `epochs` and `steps`.
      checkpoint: Where the state is kept; None keeps nothing.
    """

    def __init__(
        self,
        model: keras.Model,
        strategy: tf.distribute.Strategy,
        average: WeightAverage,
        epochs: int,
        patience: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        checkpoint: CheckpointFile | None = None,
    ) -> None:
        self.model, self.strategy, self.average = model, strategy, average
        self.epochs, self.patience = epochs, patience
        self.checkpoint = checkpoint
        self.position = Position()
        keep_freed_memory()
        self._callbacks = list(callbacks)
        with strategy.scope():
            model.optimizer.build(model.trainable_variables)
            self._mean = keras.metrics.Mean(name="loss")
        self._best: list[np.ndarray] = []
        self._train = tf.function(
            self._train_step, reduce_retracing=True, autograph=False
        )
        self._test = tf.function(
            self._test_step, reduce_retracing=True, autograph=False
        )

    def run(
        self,
        batches: Batches,
        validation: tf.data.Dataset,
        steps: int,
    ) -> list[dict[str, float]]:
        """Trains from where the checkpoint stands to the end.

        Args:
          batches: Gives the batches of the run, epoch after epoch, from an epoch's
            number, how many of it to leave out, and how many an epoch has.
          validation: Batches to validate on.
          steps: Batches an epoch, of all replicas together.

        Returns:
          The figures of every epoch. The model has the weights of the epoch with
          the lowest validation loss.

        Raises:
          TrainingError: The loss is not a number.
          ArtifactError: The checkpoint does not fit.
        """
        self._restore()
        replicas = self.strategy.num_replicas_in_sync
        rounds = max(steps // replicas, 1)
        callbacks = keras.callbacks.CallbackList(
            self._callbacks, model=self.model, epochs=self.epochs, steps=rounds
        )
        callbacks.on_train_begin()
        at = self.position
        stream = iter(self._distributed(batches, rounds * replicas))
        while at.epoch < self.epochs and at.waited < self.patience:
            callbacks.on_epoch_begin(at.epoch)
            self._epoch(stream, rounds, callbacks)
            logs = {**self._figures(), **self._validated(validation)}
            self._reset()
            if not math.isfinite(logs["val_loss"]):
                raise TrainingError(self._not_finite("validation loss", at.step))
            at.history.append({"epoch": at.epoch + 1, **logs})
            at.waited += 1
            if logs["val_loss"] < at.best:
                at.best, at.waited = logs["val_loss"], 0
                self._best = [a.numpy() for a in self.average.averages]
            callbacks.on_epoch_end(at.epoch, logs)
            at.epoch, at.step = at.epoch + 1, 0
            self._save()
        callbacks.on_train_end()
        for variable, value in zip(
            self.model.trainable_variables, self._best, strict=True
        ):
            variable.assign(value)
        return at.history

    def _epoch(
        self, stream: Any, rounds: int, callbacks: keras.callbacks.CallbackList
    ) -> None:
        at = self.position
        while at.step < rounds:
            callbacks.on_train_batch_begin(at.step)
            self._train(stream)
            at.step += 1
            self.average.update(at.epoch * rounds + at.step)
            pulse = at.step % PULSE == 0 or at.step == rounds
            loss = float(self._mean.result()) if pulse else 0.0
            if not math.isfinite(loss):
                raise TrainingError(self._not_finite("loss", at.step))
            callbacks.on_train_batch_end(at.step - 1, {"loss": loss} if pulse else None)
            if pulse and at.step < rounds and self._due():
                self._save()

    def _distributed(self, batches: Batches, steps: int) -> Any:
        """Every replica takes every n-th batch."""
        at, replicas = self.position, self.strategy.num_replicas_in_sync
        dataset = batches(at.epoch, at.step * replicas, steps)
        if replicas == 1:
            return dataset.prefetch(4)

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            here = replicas // context.num_input_pipelines
            first = context.input_pipeline_id * here
            mine = dataset.enumerate().filter(
                lambda n, _: (n % replicas >= first) & (n % replicas < first + here)
            )
            return mine.map(lambda _, batch: batch).prefetch(4)

        return self.strategy.distribute_datasets_from_function(of_worker)

    def _train_step(self, stream: Any) -> None:
        replicas = self.strategy.num_replicas_in_sync

        def on_replica(batch: Batch) -> None:
            model, optimizer = self.model, self.model.optimizer
            with tf.GradientTape() as tape:
                outputs = model(batch, training=True)
                loss = model.compute_loss(x=batch, y_pred=outputs, training=True)
                share = optimizer.scale_loss(loss / replicas)
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(share, variables), variables)
            self._mean.update_state(loss, sample_weight=_rows(batch))

        self.strategy.run(on_replica, args=(next(stream),))

    def _test_step(self, batch: Batch) -> None:
        def on_replica() -> None:
            outputs = self.model(batch, training=False)
            loss = self.model.compute_loss(x=batch, y_pred=outputs, training=False)
            self._mean.update_state(loss, sample_weight=_rows(batch))

        self.strategy.run(on_replica)

    def _validated(self, validation: tf.data.Dataset) -> dict[str, float]:
        self._reset()
        with self.average.applied():
            for batch in validation:
                self._test(batch)
        figures = self._figures(validating=True)
        return {f"val_{name}": value for name, value in figures.items()}

    @property
    def _metrics(self) -> list[Any]:
        """The loss, and the model's metrics but Keras' own tracker of the loss."""
        return [self._mean, *(m for m in self.model.metrics if m.name != "loss")]

    def _figures(self, validating: bool = False) -> dict[str, float]:
        figures = {**self.model.get_metrics_result(), "loss": self._mean.result()}
        return {
            name: float(value)
            for name, value in sorted(figures.items())
            if validating or name.endswith("loss")  # recalls are counted there only
        }

    def _reset(self) -> None:
        for metric in self._metrics:
            metric.reset_state()

    def _not_finite(self, what: str, step: int) -> str:
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        kept = self.checkpoint and tf.io.gfile.exists(self.checkpoint.path)
        return (
            f"the {what} is not a number in epoch {self.position.epoch + 1} at step "
            f"{step}, at learning rate {rate:.2g}. Start anew with a lower "
            "--learning-rate or with --precision float32; look for absurd costs or "
            "days in the records if it happens again"
            + (" (the last checkpoint is sound, and kept)" if kept else "")
        )

    def _variables(self) -> list[tuple[str, Any]]:
        """All that a step changes."""
        metrics = [v for metric in self._metrics for v in metric.variables]
        model = self.model
        return [
            *named("model", [*model.trainable_variables, *_others(model)]),
            *named("optimizer", model.optimizer.variables),
            *named("average", self.average.averages),
            *named("metric", metrics),
        ]

    def _due(self) -> bool:
        """Whether it is time by the chief's clock, which counts for all workers."""
        if self.checkpoint is None:
            return False
        return any_worker(
            self.strategy, is_chief(self.strategy) and self.checkpoint.due()
        )

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        values = [(name, variable.numpy()) for name, variable in self._variables()]
        values += [(f"best/{n:03d}", value) for n, value in enumerate(self._best)]
        if is_chief(self.strategy):
            self.checkpoint.write({"position": asdict(self.position)}, values)

    def _restore(self) -> None:
        found = self.checkpoint.read() if self.checkpoint else None
        if found is None or self.checkpoint is None:
            return
        restore(self._variables(), found.arrays, self.checkpoint.path)
        self.position = Position(**found.facts["position"])
        best = sorted(name for name in found.arrays if name.startswith("best/"))
        self._best = [found.arrays[name] for name in best]


def _others(model: keras.Model) -> list[Any]:
    """States beside the weights: the seeds of dropout, moving statistics."""
    trained = {id(v) for v in model.trainable_variables}
    metrics = {id(v) for v in model.metrics_variables}
    skip = trained | metrics | {id(v) for v in model.optimizer.variables}
    return [v for v in model.variables if id(v) not in skip]


def _rows(batch: Batch) -> Any:
    return tf.cast(tf.shape(next(iter(batch.values())))[0], tf.float32)
