"""Which categories: one logit each from a state or a visit's output."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.token_dense import TokenDense


@keras.saving.register_keras_serializable("claimpt_tf")
class CategoryHead(keras.layers.Layer):
    """A vector and a bias a category, alone (the paper's) or behind a projection.

    Args:
      categories: Number of categories K.
      rank: Width of the categories' vectors; None for the width of the states, without
        a projection: the paper's dense layer.
    """

    def __init__(self, categories: int, rank: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.categories, self.rank = categories, rank
        self.projection = (
            TokenDense(rank, name="projection", dtype=self.dtype_policy)
            if rank
            else None
        )

    def build(self, states_shape: Any) -> None:
        """Makes the vectors."""
        if self.projection is not None:
            self.projection.build(states_shape)
        self.vectors = self.add_weight(
            shape=(self.categories, self.rank or states_shape[-1]),
            initializer=keras.initializers.GlorotUniform(),
            name="vectors",
        )
        self.bias = self.add_weight(
            shape=(self.categories,), initializer="zeros", name="bias"
        )
        self.built = True

    def features(self, states: Any) -> Any:
        """What the vectors are multiplied with, float [..., rank]."""
        return states if self.projection is None else self.projection(states)

    def call(self, states: Any) -> Any:
        """Scores.

        Args:
          states: float [..., width].

        Returns:
          float [..., K], logits.
        """
        return (
            ops.matmul(self.features(states), ops.transpose(self.vectors)) + self.bias
        )

    def compute_output_shape(self, states_shape: Any) -> tuple:
        """[..., K]."""
        return (*states_shape[:-1], self.categories)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "categories": self.categories,
            "rank": self.rank,
        }
