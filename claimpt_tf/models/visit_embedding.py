"""A visit as one vector: what was coded, where, how long, at which cost, and when."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.row_embedding import RowEmbedding
from claimpt_tf.models.time import DAY_FEATURES, day_features
from claimpt_tf.models.token_dense import TokenDense


@keras.saving.register_keras_serializable("claimpt_tf")
class VisitEmbedding(keras.layers.Layer):
    """Sums code embeddings per visit, as Claim-PT does, with continuous time.

    Each code adds its own vector and its stem's, so that a rare code speaks through
    its family. The sum is scaled by the square root of the number of codes.

    Args:
      codes: Size of the code vocabulary, special ids included.
      stems: Size of the stem vocabulary, special ids included.
      width: Width of the vectors.
      visit_types: Number of visit types; id 0 is padding.
      dropout: Rate at which whole codes are dropped in training.
    """

    def __init__(
        self,
        codes: int,
        stems: int,
        width: int,
        visit_types: int = 5,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        # Days must not be rounded to half precision with everything else.
        super().__init__(autocast=False, **kwargs)
        self.codes, self.stems, self.width = codes, stems, width
        self.visit_types, self.dropout = visit_types, dropout
        small = keras.initializers.RandomNormal(stddev=0.05)
        self.code = RowEmbedding(
            codes, width, small, name="code", dtype=self.dtype_policy
        )
        self.stem = RowEmbedding(
            stems, width, small, name="stem", dtype=self.dtype_policy
        )
        self.type = RowEmbedding(
            visit_types + 1, width, small, name="type", dtype=self.dtype_policy
        )
        self.facts = TokenDense(width, name="facts", dtype=self.dtype_policy)
        self.drop = keras.layers.Dropout(dropout, name="drop", dtype=self.dtype_policy)
        self.norm = keras.layers.LayerNormalization(
            name="norm", dtype=self.dtype_policy
        )

    def build(self, input_shape: Any) -> None:
        """Builds the parts; shapes are known from the arguments alone."""
        self.code.build((None, None, None))
        self.stem.build((None, None, None))
        self.type.build((None, None))
        self.facts.build((None, None, DAY_FEATURES + 3))
        self.drop.build((None, None, None, 1))
        self.norm.build((None, None, self.width))
        self.built = True

    def call(
        self,
        code_ids: Any,
        stem_ids: Any,
        visit_type: Any,
        visit_day: Any,
        visit_length: Any,
        log_cost: Any,
        birth_day: Any,
        training: bool | None = None,
    ) -> Any:
        """Embeds visits.

        Args:
          code_ids: int32 [B, V, C], 0 is padding.
          stem_ids: int32 [B, V, C].
          visit_type: int32 [B, V], 0 is padding.
          visit_day: int32 [B, V], first day of the visit.
          visit_length: int32 [B, V], days of stay.
          log_cost: float32 [B, V].
          birth_day: int32 [B].
          training: Whether codes are dropped.

        Returns:
          float [B, V, width].
        """
        present = ops.cast(code_ids != 0, self.compute_dtype)[..., None]
        kept = self.drop(present, training=training)
        summed = ops.sum((self.code(code_ids) + self.stem(stem_ids)) * kept, axis=2)
        count = ops.sum(present, axis=2)
        known_day = visit_day + visit_length
        gap = known_day - ops.concatenate([known_day[:, :1], known_day[:, :-1]], axis=1)
        facts = [
            ops.log1p(ops.maximum(ops.cast(gap, "float32"), 0.0)),
            ops.log1p(ops.cast(visit_length, "float32")),
            ops.cast(log_cost, "float32") / 5.0,
        ]
        facts = ops.concatenate(
            [day_features(known_day, birth_day), ops.stack(facts, axis=-1)], axis=-1
        )
        return self.norm(
            summed / ops.sqrt(ops.maximum(count, 1.0))
            + self.type(visit_type)
            + self.facts(ops.cast(facts, self.compute_dtype))
        )

    def compute_output_shape(self, code_ids_shape: Any, *shapes: Any) -> tuple:
        """[B, V, width]."""
        return (*code_ids_shape[:2], self.width)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "codes": self.codes,
            "stems": self.stems,
            "width": self.width,
            "visit_types": self.visit_types,
            "dropout": self.dropout,
        }
