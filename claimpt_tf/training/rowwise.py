"""AdamW that touches only the embedding rows which a batch has read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("claimpt_tf")
class RowwiseAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov & Hutter 2019) with lazy rows and one pass over each matrix.

    Keras' own AdamW makes about a dozen passes over every matrix, the embedding of
    all codes included, though a batch reads a few rows of it. Here

    - a sparse gradient (`tf.IndexedSlices`) moves the moments, the weights and the
      decay of its own rows only. For these rows it is LazyAdam: moments do not fade
      while a row is not read, so a rare code keeps its step size;
    - a dense gradient goes through TensorFlow's fused Adam kernel, which computes
      what Keras' formula does;
    - repeated rows are added up before the norm of all gradients is taken, and with
      several replicas the norm is that of the summed gradient.

    Vectors (biases, norms) are not decayed.

    Args:
      **kwargs: Arguments of `keras.optimizers.AdamW`, `global_clipnorm` among them;
        `amsgrad`, `use_ema` and gradient accumulation are refused.

    Raises:
      ValueError: An argument that lazy rows cannot honour.

    Example:
      >>> RowwiseAdamW(learning_rate=0.01, global_clipnorm=1.0).global_clipnorm
      1.0
    """

    def __init__(self, **kwargs: Any) -> None:
        for name in ("amsgrad", "use_ema", "gradient_accumulation_steps"):
            if kwargs.get(name):
                raise ValueError(f"{name} does not go together with lazy rows")
        super().__init__(**kwargs)

    def _clip_gradients(self, grads: Sequence[Any]) -> list[Any]:
        """Adds up replicas and repeated rows, then clips by the norm of all."""
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            given = [grad for grad in grads if grad is not None]
            summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, given))
            grads = [None if grad is None else next(summed) for grad in grads]
        grads = [_distinct_rows(grad) for grad in grads]
        if self.global_clipnorm:
            grads, _ = tf.clip_by_global_norm(grads, self.global_clipnorm)
            return list(grads)
        return list(super()._clip_gradients(grads))

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars  # `_clip_gradients` has done it

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Left to `update_step`, which knows the rows."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable.

        Args:
          gradient: Dense, or `tf.IndexedSlices` of distinct rows.
          variable: A model variable.
          learning_rate: Scalar.
        """
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        rate = tf.cast(learning_rate, variable.dtype)
        step = tf.cast(self.iterations + 1, variable.dtype)
        power_1 = tf.pow(tf.cast(self.beta_1, variable.dtype), step)
        power_2 = tf.pow(tf.cast(self.beta_2, variable.dtype), step)
        matrix = len(variable.shape) > 1
        decay = rate * (self.weight_decay or 0.0) if matrix else 0.0
        first, second, variable = map(_native, (first, second, variable))
        if isinstance(gradient, tf.IndexedSlices):
            rows, values = gradient.indices, tf.cast(gradient.values, variable.dtype)
            alpha = rate * tf.sqrt(1 - power_2) / (1 - power_1)
            m = tf.gather(first, rows)
            v = tf.gather(second, rows)
            m += (values - m) * (1 - self.beta_1)
            v += (tf.square(values) - v) * (1 - self.beta_2)
            old = tf.gather(variable, rows)
            new = old * (1 - decay) - m * alpha / (tf.sqrt(v) + self.epsilon)
            first.scatter_update(tf.IndexedSlices(m, rows))
            second.scatter_update(tf.IndexedSlices(v, rows))
            variable.scatter_update(tf.IndexedSlices(new, rows))
            return
        if self.weight_decay and matrix:
            variable.assign_sub(variable * decay)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=rate,
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )


def _distinct_rows(gradient: Any) -> Any:
    """A sparse gradient whose rows occur once; a dense one as it is."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, place = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def _native(variable: Any) -> Any:
    return variable.value if isinstance(variable, keras.Variable) else variable
