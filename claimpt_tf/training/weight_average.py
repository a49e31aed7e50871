"""The exponential moving average of a model's weights, which is what is evaluated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class WeightAverage:
    """Follows trainable variables at a distance.

    Early on the average forgets faster, `min(decay, (1 + t) / (10 + t))` at step t,
    so that it does not hold on to the initial weights.

    Args:
      variables: The trainable variables.
      decay: Share of the average that is kept at each step; 0 follows exactly.
      every: Steps between two updates. The embedding of all codes is large, and the
        average of every 16th step at `decay ** 16` is the same but for noise.

    Example:
      >>> weight = keras.Variable([1.0])
      >>> average = WeightAverage([weight], decay=0.0)
      >>> weight.assign([3.0]) is not None and average.update(16)
      >>> with average.applied(): print(float(weight[0]))
      3.0
    """

    def __init__(
        self, variables: Sequence[keras.Variable], decay: float, every: int = 16
    ) -> None:
        self.variables, self.decay, self.every = list(variables), decay, every
        self.averages = [tf.Variable(v.numpy(), trainable=False) for v in variables]
        self._move = tf.function(self._moved, autograph=False)

    def update(self, step: int) -> None:
        """Moves the average, at every `every`-th step of the run (from 1)."""
        if step % self.every:
            return
        kept = min(self.decay, (1 + step) / (10 + step)) ** self.every
        self._move(tf.constant(1 - kept, tf.float32))

    def _moved(self, share: tf.Tensor) -> None:
        for average, variable in zip(self.averages, self.variables, strict=True):
            value = tf.cast(tf.convert_to_tensor(variable.value), average.dtype)
            average.assign_add((value - average) * tf.cast(share, average.dtype))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average's weights inside, and its own again after."""
        own = [variable.numpy() for variable in self.variables]
        self._set([average.numpy() for average in self.averages])
        try:
            yield
        finally:
            self._set(own)

    def _set(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(np.asarray(value))
