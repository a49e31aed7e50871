"""The risk of a task's outcome after the index date."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("claimpt_tf")
class RiskHead(keras.layers.Layer):
    """A score from the state, and a calibrated logistic on [score, state].

    Where there are trees beside the network, the score is that of both: the network's
    plus `tree_scale` times theirs.

    `score` is trained with the network; `scale`, `shift` and `correction` are fitted
    afterwards on frozen states with strong regularisation, so that a hundred labels
    cannot undo what the score knows. Before that they are the identity.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.score = keras.layers.Dense(1, name="score", dtype=self.dtype_policy)

    def build(self, states_shape: Any, boosted_shape: Any = None) -> None:
        """Makes the score and the identity calibration."""
        del boosted_shape
        self.score.build(states_shape)
        width = states_shape[-1]
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")
        self.tree_scale = self.add_weight(
            shape=(), initializer="zeros", name="tree_scale"
        )
        self.correction = self.add_weight(
            shape=(width,), initializer="zeros", name="correction"
        )
        self.built = True

    def begin_with(self, kernel: Any, bias: float) -> None:
        """Sets what the score is before it is trained.

        Args:
          kernel: float [width].
          bias: Of the score.
        """
        self.score.kernel.assign(kernel[:, None])
        self.score.bias.assign([bias])

    def call(self, states: Any, boosted: Any = None) -> Any:
        """Scores.

        Args:
          states: float [B, Q, width].
          boosted: float [B, Q], what trees say, or None without trees.

        Returns:
          float [B, Q], logits.
        """
        score = self.score(states)[..., 0]
        if boosted is not None:
            score = score + self.tree_scale * ops.cast(boosted, score.dtype)
        corrected = ops.einsum("bqd,d->bq", states, self.correction)
        return self.scale * score + self.shift + corrected

    def compute_output_shape(
        self, states_shape: Any, boosted_shape: Any = None
    ) -> tuple:
        """[B, Q]."""
        return tuple(states_shape[:-1])
