"""A token that asks for the patient's state on any date."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.time import DATE_FEATURES, date_features
from claimpt_tf.models.token_dense import TokenDense

TIMESCALES = (30.0, 120.0, 500.0)


@keras.saving.register_keras_serializable("claimpt_tf")
class IndexToken(keras.layers.Layer):
    """Embeds a date together with decayed sums of the visits known by then.

    Attention averages and so cannot count. The sums over exponential kernels of 30,
    120 and 500 days are counts-and-recency in the space of visit embeddings: what a
    gradient-boosted tree on counts sees, the network sees too.

    Args:
      width: Width of the vectors.
      sexes: Number of sexes; id 0 is unknown.
      timed: Whether the date, the age and the days since the visits are told.
    """

    def __init__(
        self, width: int, sexes: int = 2, timed: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width, self.sexes, self.timed = width, sexes, timed
        self.sex = keras.layers.Embedding(
            sexes + 1, width, name="sex", dtype=self.dtype_policy
        )
        self.date = TokenDense(width, name="date", dtype=self.dtype_policy)
        self.history = TokenDense(width, name="history", dtype=self.dtype_policy)
        self.norm = keras.layers.LayerNormalization(
            name="norm", dtype=self.dtype_policy
        )

    def build(self, input_shape: Any) -> None:
        """Builds the parts; shapes are known from the arguments alone."""
        scales = len(TIMESCALES)
        self.sex.build((None,))
        self.date.build((None, None, DATE_FEATURES))
        self.history.build((None, None, scales * (self.width + 1)))
        self.norm.build((None, None, self.width))
        self.built = True

    def call(
        self, visits: Any, known_day: Any, padded: Any, query_day: Any, sex: Any,
        birth_day: Any,
    ) -> Any:  # fmt: skip
        """Embeds dates.

        Args:
          visits: float [B, V, width].
          known_day: int32 [B, V], last day of each visit.
          padded: bool [B, V], True where there is no visit.
          query_day: int32 [B, Q].
          sex: int32 [B].
          birth_day: int32 [B].

        Returns:
          float [B, Q, width]. A visit that ends after a date has no part in it.
        """
        ago = ops.cast(query_day[:, :, None] - known_day[:, None, :], "float32")
        seen = ops.logical_and(ago >= 0, ops.logical_not(padded)[:, None, :])
        if not self.timed:
            ago = ops.zeros_like(ago)
            query_day, birth_day = ops.zeros_like(query_day), ops.zeros_like(birth_day)
        dtype = self.compute_dtype
        parts = []
        for scale in TIMESCALES:
            weight = ops.where(seen, ops.exp(-ops.maximum(ago, 0.0) / scale), 0.0)
            total = ops.sum(weight, axis=-1, keepdims=True)
            summed = ops.matmul(ops.cast(weight, dtype), visits)
            root = ops.sqrt(1.0 + total)
            parts += [summed / ops.cast(root, dtype), ops.cast(ops.log(root), dtype)]
        date = date_features(query_day, birth_day, ago, seen)
        return self.norm(
            self.history(ops.concatenate(parts, axis=-1))
            + self.date(ops.cast(date, dtype))
            + self.sex(sex)[:, None, :]
        )

    def compute_output_shape(
        self, visits_shape: Any, known_day_shape: Any, padded_shape: Any,
        query_day_shape: Any, *shapes: Any,
    ) -> tuple:  # fmt: skip
        """[B, Q, width]."""
        return (*query_day_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "width": self.width,
            "sexes": self.sexes,
            "timed": self.timed,
        }
