"""What will be coded in the next 30, 90, 180 and 365 days."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("claimpt_tf")
class WindowHead(keras.layers.Layer):
    """Logits of every target in every window, with one vector a target.

    The vectors are shared by the windows (factored), so that a rare target learns
    from all of them.

    Args:
      targets: Number of targets K.
      horizons: Number of windows H.
      rank: Width of a target's vector.
    """

    def __init__(
        self, targets: int, horizons: int, rank: int = 64, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.targets, self.horizons, self.rank = targets, horizons, rank
        self.project = keras.layers.Dense(
            horizons * rank, name="project", dtype=self.dtype_policy
        )

    def build(self, states_shape: Any) -> None:
        """Makes the target vectors and a bias for each window and target."""
        self.project.build(states_shape)
        self.vectors = self.add_weight(
            shape=(self.targets, self.rank),
            initializer=keras.initializers.RandomNormal(stddev=self.rank**-0.5),
            name="vectors",
        )
        self.bias = self.add_weight(
            shape=(self.horizons, self.targets), initializer="zeros", name="bias"
        )
        self.built = True

    def call(self, states: Any) -> Any:
        """Scores.

        Args:
          states: float [B, Q, width].

        Returns:
          float [B, Q, H, K], logits.
        """
        batch, dates = ops.shape(states)[0], ops.shape(states)[1]
        asked = ops.reshape(
            self.project(states), (batch, dates, self.horizons, self.rank)
        )
        return ops.einsum("bqhr,kr->bqhk", asked, self.vectors) + self.bias

    def compute_output_shape(self, states_shape: Any) -> tuple:
        """[B, Q, H, K]."""
        return (*states_shape[:2], self.horizons, self.targets)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "targets": self.targets,
            "horizons": self.horizons,
            "rank": self.rank,
        }
