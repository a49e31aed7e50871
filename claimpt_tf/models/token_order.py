"""The order of tokens, V visits then Q dates, and who may read whom."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("claimpt_tf")
class KnownBy(keras.layers.Layer):
    """Which token may read which: a visit counts from its last day on.

    Nothing reads a date but itself.
    """

    def call(self, known_day: Any, padded: Any, query_day: Any) -> Any:
        """Compares days.

        Args:
          known_day: int32 [B, V], last day of each visit.
          padded: bool [B, V].
          query_day: int32 [B, Q].

        Returns:
          bool [B, V + Q, V + Q].
        """
        days = ops.concatenate([known_day, query_day], axis=1)
        real = ops.concatenate(
            [ops.logical_not(padded), ops.zeros_like(query_day, dtype="bool")], axis=1
        )
        earlier = days[:, None, :] <= days[:, :, None]
        itself = ops.eye(ops.shape(days)[1], dtype="bool")[None]
        return ops.logical_or(ops.logical_and(earlier, real[:, None, :]), itself)

    def compute_output_shape(
        self, known_day_shape: Any, padded_shape: Any, query_day_shape: Any
    ) -> tuple:
        """[B, V + Q, V + Q]."""
        visits, dates = known_day_shape[1], query_day_shape[1]
        length = None if visits is None or dates is None else visits + dates
        return (known_day_shape[0], length, length)


@keras.saving.register_keras_serializable("claimpt_tf")
class AskedTokens(keras.layers.Layer):
    """Keeps the tokens of the asked dates, which stand last."""

    def call(self, tokens: Any, query_day: Any) -> Any:
        """Slices.

        Args:
          tokens: float [B, V + Q, width].
          query_day: int32 [B, Q].

        Returns:
          float [B, Q, width].
        """
        return tokens[:, ops.shape(tokens)[1] - ops.shape(query_day)[1] :]

    def compute_output_shape(self, tokens_shape: Any, query_day_shape: Any) -> tuple:
        """[B, Q, width]."""
        return (*query_day_shape, tokens_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer, a precision policy included."""
        return super().get_config()


@keras.saving.register_keras_serializable("claimpt_tf")
class VisitTokens(keras.layers.Layer):
    """Keeps the tokens of the visits, which stand first."""

    def call(self, tokens: Any, visit_type: Any) -> tuple[Any, Any]:
        """Slices.

        Args:
          tokens: float [B, V + Q, width].
          visit_type: int32 [B, V], 0 is padding.

        Returns:
          float [B, V, width], and int32 [B, V]: each token's place among the visits,
          -1 for padding.
        """
        count = ops.shape(visit_type)[1]
        place = ops.arange(count, dtype="int32")
        return tokens[:, :count], ops.where(ops.equal(visit_type, 0), -1, place)

    def compute_output_shape(
        self, tokens_shape: Any, visit_type_shape: Any
    ) -> tuple[tuple, tuple]:
        """[B, V, width] and [B, V]."""
        return (*visit_type_shape, tokens_shape[-1]), tuple(visit_type_shape)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer, a precision policy included."""
        return super().get_config()
