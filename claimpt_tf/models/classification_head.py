"""The published head of fine-tuning."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("claimpt_tf")
class ClassificationHead(keras.layers.Layer):
    """Dense with ReLU, then dense with a sigmoid, on the patient embedding.

    Args:
      hidden: Width of the first layer.
    """

    def __init__(self, hidden: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = hidden
        self.expand = keras.layers.Dense(
            hidden, "relu", name="expand", dtype=self.dtype_policy
        )
        self.outcome = keras.layers.Dense(
            1, "sigmoid", name="outcome", dtype=self.dtype_policy
        )

    def build(self, states_shape: Any) -> None:
        """Builds both layers."""
        self.expand.build(states_shape)
        self.outcome.build((*states_shape[:-1], self.hidden))
        self.built = True

    def call(self, states: Any) -> Any:
        """Estimates.

        Args:
          states: float [B, Q, width].

        Returns:
          float [B, Q], probability of the outcome.
        """
        return self.outcome(self.expand(states))[..., 0]

    def compute_output_shape(self, states_shape: Any) -> tuple:
        """[B, Q]."""
        return tuple(states_shape[:-1])

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "hidden": self.hidden}
