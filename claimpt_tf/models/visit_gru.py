"""A gated recurrent unit over visits, and its state on any date."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.time import DATE_FEATURES, date_features
from claimpt_tf.models.token_dense import TokenDense

_LATER = 2**30  # days: where padding stands among the visits


@keras.saving.register_keras_serializable("claimpt_tf")
class VisitGru(keras.layers.Layer):
    """One GRU (Cho et al. 2014) over visits in the order in which they became known.

    The state on a date is the output of the last visit known by then, zero before the
    first, plus what the date itself says: age, season, days since that visit, sex.

    Args:
      width: Width of visit vectors, outputs and states.
      sexes: Number of sexes; id 0 is unknown.
    """

    def __init__(self, width: int, sexes: int = 2, **kwargs: Any) -> None:
        # Days must not be rounded to half precision with everything else.
        super().__init__(autocast=False, **kwargs)
        self.width, self.sexes = width, sexes
        policy = self.dtype_policy
        self.gru = keras.layers.GRU(
            width, return_sequences=True, name="gru", dtype=policy
        )
        self.date = TokenDense(width, name="date", dtype=policy)
        self.sex = keras.layers.Embedding(sexes + 1, width, name="sex", dtype=policy)
        self.norm = keras.layers.LayerNormalization(name="norm", dtype=policy)

    def build(self, *shapes: Any) -> None:
        """Builds the parts; shapes are known from the arguments alone."""
        self.gru.build((None, None, self.width))
        self.date.build((None, None, DATE_FEATURES))
        self.sex.build((None,))
        self.norm.build((None, None, self.width))
        self.built = True

    def call(
        self, visits: Any, known_day: Any, padded: Any, query_day: Any, sex: Any,
        birth_day: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Reads visits.

        Args:
          visits: float [B, V, width].
          known_day: int32 [B, V], last day of each visit.
          padded: bool [B, V], True where there is no visit.
          query_day: int32 [B, Q].
          sex: int32 [B].
          birth_day: int32 [B].

        Returns:
          float [B, V, width], outputs of the visits in their own order, and float
          [B, Q, width], states. A visit that ends after a date has no part in it.
        """
        known_day = ops.where(padded, _LATER, known_day)
        order = ops.argsort(known_day, axis=1)
        read = self.gru(ops.take_along_axis(visits, order[..., None], axis=1))
        outputs = ops.take_along_axis(read, ops.argsort(order, axis=1)[..., None], 1)
        seen = known_day[:, None, :] <= query_day[:, :, None]
        count = ops.sum(ops.cast(seen, "int32"), axis=-1)
        last = ops.take_along_axis(read, ops.maximum(count - 1, 0)[..., None], axis=1)
        last = ops.where((count > 0)[..., None], last, 0.0)
        ago = ops.cast(query_day[:, :, None] - known_day[:, None, :], "float32")
        date = date_features(query_day, birth_day, ago, seen)
        date = self.date(ops.cast(date, self.compute_dtype))
        return outputs, self.norm(last + date + self.sex(sex)[:, None, :])

    def compute_output_shape(
        self, visits_shape: Any, known_day_shape: Any, padded_shape: Any,
        query_day_shape: Any, *shapes: Any,
    ) -> tuple[tuple, tuple]:  # fmt: skip
        """[B, V, width] and [B, Q, width]."""
        return tuple(visits_shape), (*query_day_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "width": self.width, "sexes": self.sexes}
