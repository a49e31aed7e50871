"""AdamW with a rate, a schedule, a decay and a start for each group of variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

if TYPE_CHECKING:
    from claimpt_tf.models.timeline_backbone import TimelineBackbone

ULMFIT_DECAY = 1 / 2.6
HEAD = "head"

Trained = Literal["full", "freeze", "probe"]


@dataclass(frozen=True)
class Group:
    """Variables that are trained alike.

    Attributes:
      pattern: Regular expression that is looked for in a variable's path.
      factor: Multiplies the learning rate, and with it the decoupled decay; 0 freezes.
      learning_rate: The group's own rate or Keras schedule, of steps since `start`;
        None takes the optimizer's.
      weight_decay: The group's own decoupled decay; None takes the optimizer's.
      start: Step (batch of the run, from 0) from which the group is trained.
      name: For logs; the pattern where none is given.

    Raises:
      ValueError: A value that cannot be.
    """

    pattern: str
    factor: float = 1.0
    learning_rate: Any = None
    weight_decay: float | None = None
    start: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        """Checks the values and reads a serialised schedule."""
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"group {self.pattern!r} is no pattern: {error}") from None
        rate = self.learning_rate
        if isinstance(rate, Mapping):
            rate = keras.optimizers.schedules.deserialize(dict(rate))
            object.__setattr__(self, "learning_rate", rate)
        scheduled = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        numbers = [self.factor, self.weight_decay or 0.0, self.start]
        if rate is not None and not scheduled:
            numbers.append(rate)
        if not all(isinstance(n, (int, float)) and n >= 0 for n in numbers):
            raise ValueError(
                f"group {self.pattern!r}: factor, weight_decay and start are numbers "
                f"from 0, learning_rate is one or a Keras schedule, not {self}"
            )
        object.__setattr__(self, "name", self.name or self.pattern or "rest")

    @property
    def frozen(self) -> bool:
        """Whether the group is never trained."""
        return self.factor == 0

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the group, as JSON."""
        rate = self.learning_rate
        if callable(rate):
            rate = keras.optimizers.schedules.serialize(rate)
        return {**vars(self), "learning_rate": rate}


@keras.saving.register_keras_serializable("claimpt_tf")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW whose rate, decoupled decay and beginning depend on a variable's path.

    Scaling gradients does nothing under Adam, so the step itself is scaled. A group
    does what an AdamW of its own would do:

    - A frozen group, or one before its `start`, is not there: no step, no decay, no
      moments, and no part in the norm that `global_clipnorm` looks at.
    - From `start` on, its moments and their bias correction begin anew.
    - Rates, decay and `start` count batches, also with `gradient_accumulation_steps`,
      where a group joins at the first update at or after `start`.
    - With several replicas the gradient is summed before it is clipped, and repeated
      rows of a sparse gradient before its norm and its square are taken (Keras' own
      AdamW takes them row by row).

    Everything that changes is in `variables`, as `start` is compared with `iterations`:
    a restored optimizer goes on where it was.

    Four undocumented hooks of Keras' optimizers are used, and held by tests:
    `_get_variable_index`, `_use_weight_decay`, `_apply_weight_decay` and
    `_all_reduce_sum_gradients`.

    Args:
      groups: Ordered groups: `Group`, its arguments as a mapping, or [pattern, factor].
        The first whose pattern is found in a variable's path (`re.search`) decides.
      **kwargs: Arguments of `keras.optimizers.AdamW`.

    Raises:
      ValueError: Two groups have one name. At build, if a variable matches no group or
        a group has no variable, if every group is frozen, or if gradients are to be
        accumulated over several replicas (which Keras cannot do).

    Example:
      >>> optimizer = LayerwiseAdamW([["backbone", 0.1], ["", 1.0]], learning_rate=1e-3)
      >>> [(group.name, group.factor) for group in optimizer.groups]
      [('backbone', 0.1), ('rest', 1.0)]
    """

    def __init__(
        self,
        groups: Sequence[Group | Mapping[str, Any] | Sequence[Any]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups: tuple[Group, ...] = tuple(map(_as_group, groups))
        names = [group.name for group in self.groups]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"more than one group is named {', '.join(twice)}")
        self._numbers: tuple[int, ...] = ()

    def build(self, variables: Sequence[Any]) -> None:
        """Assigns every variable to its group."""
        if self.built:
            return
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if self.gradient_accumulation_steps and replicas > 1:
            raise ValueError(
                "Keras cannot accumulate gradients over several replicas: leave out "
                f"gradient_accumulation_steps, {replicas} replicas already add theirs "
                "up, or train on one device"
            )
        numbers = tuple(self._match(variable.path) for variable in variables)
        unused = [g.pattern for n, g in enumerate(self.groups) if n not in numbers]
        if unused:
            paths = ", ".join(sorted(v.path for v in variables))
            raise ValueError(
                f"no variable matches {unused}, or an earlier group took all of them; "
                f"variables are {paths}"
            )
        if all(group.frozen for group in self.groups):
            raise ValueError("every group is frozen (factor 0): nothing to train")
        self._numbers = numbers
        super().build(variables)

    def _match(self, path: str) -> int:
        for number, group in enumerate(self.groups):
            if re.search(group.pattern, path):
                return number
        raise ValueError(f"variable {path} matches no group of the optimizer")

    def group_of(self, variable: Any) -> Group:
        """The group of a variable that the optimizer was built with."""
        return self.groups[self._numbers[self._get_variable_index(variable)]]

    def group_rates(self) -> dict[str, float]:
        """Learning rate of the next step by group's name; 0 where it is not trained."""
        shared = self.learning_rate
        return {
            group.name: float(
                np.asarray(ops.convert_to_numpy(self._rate(group, shared)))
            )
            for group in self.groups
        }

    @property
    def _step(self) -> Any:
        """The batch of the run with which the next update is made, from 0."""
        every = self.gradient_accumulation_steps or 1
        return (self.iterations + 1) * every - 1

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """Updates variables.

        Args:
          grads: Gradients of this replica, dense or `tf.IndexedSlices`.
          trainable_variables: Their variables; None for those of `build`.
        """
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        variables = list(trainable_variables)
        self.build(variables)
        step = self._step
        pairs = []
        for gradient, variable in zip(grads, variables, strict=True):
            group = self.group_of(variable)
            if group.frozen:
                continue
            if isinstance(gradient, tf.IndexedSlices):
                gradient = tf.convert_to_tensor(gradient)  # repeated rows added up
            if gradient is not None and group.start:
                zeros = ops.zeros_like(gradient)
                gradient = ops.where(step >= group.start, gradient, zeros)
            pairs.append((gradient, variable))
        super().apply(_summed([g for g, _ in pairs]), [v for _, v in pairs])

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Decays and moves one variable at its group's rate."""
        group = self.group_of(variable)
        rate = ops.cast(self._rate(group, learning_rate), variable.dtype)
        decay = group.weight_decay
        decay = self.weight_decay if decay is None else decay
        if decay and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * decay * rate)
        if group.start:
            rate = rate * self._begun_later(group, variable.dtype)
        super().update_step(gradient, variable, rate)

    def _rate(self, group: Group, shared: Any) -> Any:
        rate = shared if group.learning_rate is None else group.learning_rate
        if callable(rate):
            rate = rate(ops.maximum(self._step - group.start, 0))
        if group.factor != 1:
            rate = rate * group.factor
        if group.start:
            rate = ops.where(self._step >= group.start, rate, 0.0)
        return rate

    def _begun_later(self, group: Group, dtype: Any) -> Any:
        """Corrects Adam's bias for the group's own number of updates, not the run's."""
        updates = ops.cast(self.iterations + 1, dtype)
        missed = group.start // (self.gradient_accumulation_steps or 1)

        def bias(count: Any) -> Any:
            first = ops.power(ops.cast(self.beta_1, dtype), count)
            second = ops.power(ops.cast(self.beta_2, dtype), count)
            return ops.sqrt(1 - second) / (1 - first)

        return bias(ops.maximum(updates - missed, 1)) / bias(updates)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Left to `update_step`, which knows the group."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars  # `apply` has done it, before the gradients were clipped

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the optimizer."""
        groups = [group.get_config() for group in self.groups]
        return {**super().get_config(), "groups": groups}


class GroupRates(keras.callbacks.Callback):
    """TensorBoard scalars `learning_rate/<group>` by batch of the run, below `train`.

    Args:
      log_dir: Where to write.
      every: Batches between two points; the end of an epoch is always one.
    """

    def __init__(self, log_dir: str, every: int = 20) -> None:
        super().__init__()
        self.every = every
        self._writer = tf.summary.create_file_writer(os.path.join(log_dir, "train"))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes at every `every`-th batch of an epoch."""
        if batch % self.every == 0:
            self._write()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes, to disk too."""
        self._write()
        self._writer.flush()

    def _write(self) -> None:
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        updates = int(ops.convert_to_numpy(optimizer.iterations))
        with self._writer.as_default(
            updates * (optimizer.gradient_accumulation_steps or 1)
        ):
            for name, rate in optimizer.group_rates().items():
                tf.summary.scalar(f"learning_rate/{name}", rate)


def discriminative_groups(
    backbone: TimelineBackbone | int,
    decay: float = ULMFIT_DECAY,
    train: Trained = "full",
    unfreeze_every: int = 0,
) -> list[Group]:
    """Groups from the head to the embeddings (ULMFiT, Howard & Ruder 2018, section 3).

    The layers are the head (everything outside the backbone), each block, and the
    embeddings below the blocks. What follows the last block goes with it.

    Args:
      backbone: The network that is fine-tuned, or its number of blocks where it is one
        of this package's.
      decay: Factor of the rate from one layer to the one below; 1 is one rate for all.
      train: `full` trains all layers, `freeze` keeps the embeddings, `probe` keeps the
        whole backbone.
      unfreeze_every: Steps after which one more layer is trained, from the head down
        (batches of an epoch, for one more layer from epoch to epoch); 0 trains all
        from the beginning.

    Returns:
      Groups for LayerwiseAdamW on the backbone with any head.

    Raises:
      ValueError: There is no block.

    Example:
      >>> [(g.name, g.factor, g.start) for g in discriminative_groups(2, 0.5)]
      [('block_1', 0.5, 0), ('block_0', 0.25, 0), ('embeddings', 0.125, 0),
       ('head', 1.0, 0)]
    """
    layers = _layers(backbone)
    groups = []
    for depth, (name, parts) in enumerate(layers.items(), start=1):
        kept = train == "probe" or (train == "freeze" and depth == len(layers))
        groups.append(
            Group(
                rf"(^|/)({'|'.join(map(re.escape, parts))})/",
                factor=0.0 if kept else decay**depth,
                start=depth * unfreeze_every,
                name=name,
            )
        )
    return [*groups, Group("", name=HEAD)]


def _layers(backbone: TimelineBackbone | int) -> dict[str, list[str]]:
    """Names of Keras layers by layer of a backbone, from the top down."""
    if isinstance(backbone, int):
        blocks = [f"block_{number}" for number in range(backbone)]
        below = ["visit_embedding", "index_token"]
        above = ["final_norm", "patient_embedding"]
    else:
        blocks = [f"block_{number}" for number in range(backbone.layer_count)]
        names = [layer.name for layer in backbone.layers if layer.weights]
        first = names.index(blocks[0]) if blocks else 0
        below = names[:first]
        above = [name for name in names[first:] if name not in blocks]
    if not blocks:
        raise ValueError("a backbone without blocks has no layers to tell apart")
    layers = {name: [name] for name in reversed(blocks)}
    layers[blocks[-1]] += above
    return {**layers, "embeddings": below}


def _as_group(given: Group | Mapping[str, Any] | Sequence[Any]) -> Group:
    if isinstance(given, Group):
        return given
    if isinstance(given, Mapping):
        return Group(**given)
    pattern, factor = given
    return Group(str(pattern), float(factor))


def _summed(gradients: list[Any]) -> list[Any]:
    """Added up over replicas."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return gradients
    given = [gradient for gradient in gradients if gradient is not None]
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, given))
    return [None if gradient is None else next(summed) for gradient in gradients]
