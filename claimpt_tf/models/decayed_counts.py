"""Counts and recency of codes as features, in the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from claimpt_tf.models.time import YEAR

SCALES = (30.0, 120.0, 500.0, 5000.0)
RECENT = 30.0  # days at which recency is one half
OF_PERSON = 6
# What the layer reads, in the order of its arguments.
COUNTED = (
    "code_ids", "visit_type", "visit_day", "visit_length", "sex", "birth_day",
    "query_day",
)  # fmt: skip


@keras.saving.register_keras_serializable("claimpt_tf")
class DecayedCounts(keras.layers.Layer):
    """How often and how lately each column was coded before a date.

    A visit counts once for each column that its codes fall into, with weight
    exp(-days ago / scale) for each scale; recency is 30 / (30 + days since the last
    one). Visit types are columns too. Age, sex, season and days of history stand first.

    Args:
      codes: Size of the code vocabulary, special ids included.
      columns: Columns that codes can fall into.
      per_code: Columns that one code may fall into: `anywhere` of them at any visit,
        the last one at inpatient and emergency visits only.
      scales: Days.
      visit_types: Number of visit types; ids 1 and 2 are acute.
    """

    def __init__(
        self,
        codes: int,
        columns: int,
        per_code: int = 3,
        scales: Sequence[float] = SCALES,
        visit_types: int = 5,
        **kwargs: Any,
    ) -> None:
        # Trees split hairs: features must not depend on a policy of low precision.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.codes, self.columns, self.per_code = codes, columns, per_code
        self.scales, self.visit_types = tuple(scales), visit_types

    @property
    def features(self) -> int:
        """Width of the output."""
        return OF_PERSON + (len(self.scales) + 1) * (self.columns + self.visit_types)

    def build(self, **shapes: Any) -> None:
        """Makes the table from codes to columns, all -1 (none) until it is set."""
        self.column_of = self.add_weight(
            shape=(self.codes, self.per_code),
            initializer=keras.initializers.Constant(-1),
            dtype="int32",
            trainable=False,
            name="column_of",
        )
        self.built = True

    def call(
        self,
        code_ids: Any,
        visit_type: Any,
        visit_day: Any,
        visit_length: Any,
        sex: Any,
        birth_day: Any,
        query_day: Any,
    ) -> Any:
        """Features.

        Args:
          code_ids: int32 [B, V, C], 0 is padding.
          visit_type: int32 [B, V], 0 is padding.
          visit_day: int32 [B, V], first day of the visit.
          visit_length: int32 [B, V], days of stay.
          sex: int32 [B].
          birth_day: int32 [B].
          query_day: int32 [B, Q]; a visit that ends later does not count.

        Returns:
          float32 [B, Q, features].
        """
        coded = self._coded(code_ids, visit_type)
        ago = query_day[:, :, None] - (visit_day + visit_length)[:, None, :]
        seen = ops.logical_and(ago >= 0, ops.greater(visit_type, 0)[:, None, :])
        first = ops.min(
            ops.where(seen, visit_day[:, None, :], query_day[:, :, None]), axis=2
        )
        ago = ops.cast(ops.maximum(ago, 0), "float32")
        weights = [ops.where(seen, ops.exp(-ago / s), 0.0) for s in self.scales]
        decayed = ops.einsum("bqvs,bvk->bqsk", ops.stack(weights, axis=-1), coded)
        recency = ops.where(seen, RECENT / (RECENT + ago), 0.0)
        latest = ops.max(recency[..., None] * coded[:, None], axis=2, keepdims=True)
        counted = ops.concatenate([decayed, latest], axis=2)
        batch, dates = ops.shape(query_day)
        width = (len(self.scales) + 1) * (self.columns + self.visit_types)
        counted = ops.reshape(counted, (batch, dates, width))
        person = self._person(sex, birth_day, query_day, first)
        return ops.concatenate([person, counted], axis=-1)

    def _coded(self, code_ids: Any, kind: Any) -> Any:
        """Whether each visit falls into each column, 0 or 1, float32 [B, V, K]."""
        batch, visits, codes = ops.shape(code_ids)
        columns = ops.take(self.column_of, code_ids, axis=0)
        acute = ops.logical_or(ops.equal(kind, 1), ops.equal(kind, 2))[..., None, None]
        allowed = ops.concatenate(
            [
                ops.ones_like(columns[..., :-1], dtype="bool"),
                ops.broadcast_to(acute, (batch, visits, codes, 1)),
            ],
            axis=-1,
        )
        allowed = ops.logical_and(allowed, ops.not_equal(code_ids, 0)[..., None])
        columns = ops.where(allowed, columns, -1)
        columns = ops.reshape(columns, (batch * visits, codes * self.per_code))
        own = ops.where(kind > 0, self.columns + kind - 1, -1)
        own = ops.reshape(own, (batch * visits, 1))
        columns = ops.concatenate([columns, own], axis=1)
        width = self.columns + self.visit_types
        # What falls nowhere goes to a column of its own, which is cut off.
        columns = ops.where(columns < 0, width, columns)
        row = ops.arange(batch * visits, dtype="int32")[:, None]
        cell = ops.reshape(row * (width + 1) + columns, (-1,))
        counts = ops.segment_sum(
            ops.ones_like(cell, dtype="float32"), cell, batch * visits * (width + 1)
        )
        counts = ops.reshape(counts, (batch, visits, width + 1))[..., :width]
        return ops.minimum(counts, 1.0)

    def _person(self, sex: Any, birth_day: Any, asked: Any, first: Any) -> Any:
        age = ops.cast(asked - birth_day[:, None], "float32") / YEAR
        season = ops.cast(asked, "float32") * (2 * math.pi / YEAR)
        sex = ops.broadcast_to(sex[:, None], ops.shape(asked))
        return ops.stack(
            [
                age,
                ops.cast(ops.equal(sex, 1), "float32"),
                ops.cast(ops.equal(sex, 2), "float32"),
                ops.sin(season),
                ops.cos(season),
                ops.cast(asked - first, "float32") / YEAR,
            ],
            axis=-1,
        )

    def compute_output_shape(
        self,
        code_ids_shape: Any,
        visit_type_shape: Any,
        visit_day_shape: Any,
        visit_length_shape: Any,
        sex_shape: Any,
        birth_day_shape: Any,
        query_day_shape: Any,
    ) -> tuple:
        """[B, Q, features]."""
        return (*query_day_shape, self.features)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "codes": self.codes,
            "columns": self.columns,
            "per_code": self.per_code,
            "scales": self.scales,
            "visit_types": self.visit_types,
        }
