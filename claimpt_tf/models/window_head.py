"""What will be coded in the next 30, 90, 180 and 365 days."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.token_dense import TokenDense


@keras.saving.register_keras_serializable("claimpt_tf")
class WindowHead(keras.layers.Layer):
    """Logits of every target in every window, with one vector a target.

    The vectors are shared by the windows (factored), so that a rare target learns
    from all of them.

    Args:
      targets: Number of targets K.
      horizons: Number of windows H.
      rank: Width of a target's vector.
      bias: Where every logit begins.
    """

    def __init__(
        self,
        targets: int,
        horizons: int,
        rank: int = 64,
        bias: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.targets, self.horizons, self.rank = targets, horizons, rank
        self.start = bias
        self.project = TokenDense(
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
            shape=(self.horizons, self.targets),
            initializer=keras.initializers.Constant(self.start),
            name="bias",
        )
        self.built = True

    def features(self, states: Any) -> Any:
        """What the targets' vectors are multiplied with.

        Args:
          states: float [..., width].

        Returns:
          float [..., H, rank].
        """
        shape = (*ops.shape(states)[:-1], self.horizons, self.rank)
        return ops.reshape(self.project(states), shape)

    def call(self, states: Any) -> Any:
        """Scores.

        Args:
          states: float [..., width].

        Returns:
          float [..., H, K], logits.
        """
        return (
            ops.matmul(self.features(states), ops.transpose(self.vectors)) + self.bias
        )

    def compute_output_shape(self, states_shape: Any) -> tuple:
        """[..., H, K]."""
        return (*states_shape[:-1], self.horizons, self.targets)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "targets": self.targets,
            "horizons": self.horizons,
            "rank": self.rank,
            "bias": self.start,
        }
