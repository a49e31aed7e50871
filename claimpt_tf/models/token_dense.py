"""A dense layer on tokens as one matrix product."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("claimpt_tf")
class TokenDense(keras.layers.Dense):
    """`keras.layers.Dense` on the rows of all tokens together.

    With more than one axis before the last one TensorFlow multiplies batch by batch,
    and its gradient makes a kernel for each of the batch before it adds them up.
    """

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        """Multiplies.

        Args:
          tokens: float [..., width].
          training: Passed on.

        Returns:
          float [..., units].
        """
        shape = ops.shape(tokens)
        rows = super().call(ops.reshape(tokens, (-1, shape[-1])), training=training)
        return ops.reshape(rows, (*shape[:-1], self.units))
