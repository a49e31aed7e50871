"""Gradient-boosted trees as a layer, so that they are served with the network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

NO_LEAF = 1e9  # depth of a place that holds no leaf: nothing ever reaches it


@keras.saving.register_keras_serializable("claimpt_tf")
class TreeEnsemble(keras.layers.Layer):
    """The sum of regression trees, without a loop.

    Every split of every tree is decided at once; a leaf is reached when all splits on
    its path agree, which is one product of decisions with paths (the GEMM strategy of
    Nakandala et al., "A Tensor Compiler for Unified Machine Learning Prediction
    Serving", OSDI 2020). The weights are not trained here: they are set from trees
    that were grown elsewhere, and smaller trees are filled up.

    Args:
      trees: Number of trees T.
      leaves: Leaves of the largest tree L; it has L - 1 splits.
    """

    def __init__(self, trees: int, leaves: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.trees, self.leaves = trees, leaves

    def build(self, features_shape: Any) -> None:
        """Makes the tables of trees without a leaf."""
        del features_shape
        splits = max(self.leaves - 1, 1)
        shape = (self.trees, splits)
        zeros = keras.initializers.Zeros()
        self.feature = self._table("feature", shape, zeros, "int32")
        self.threshold = self._table("threshold", shape, zeros)
        # +1 where the leaf lies on the side of values up to the threshold, -1 beyond.
        self.paths = self._table("paths", (*shape, self.leaves), zeros)
        self.depth = self._table(
            "depth",
            (self.trees, self.leaves),
            keras.initializers.Constant(NO_LEAF),
        )
        self.value = self._table("value", (self.trees, self.leaves), zeros)
        self.built = True

    def _table(
        self, name: str, shape: tuple[int, ...], start: Any, dtype: str = "float32"
    ) -> Any:
        return self.add_weight(
            shape=shape, initializer=start, dtype=dtype, trainable=False, name=name
        )

    def call(self, features: Any) -> Any:
        """Sums the leaves that are reached.

        Args:
          features: float32 [..., F]; a split asks whether a feature is at most its
            threshold.

        Returns:
          float32 [...].
        """
        asked = ops.take(features, ops.reshape(self.feature, (-1,)), axis=-1)
        shape = (*ops.shape(features)[:-1], *self.feature.shape)
        within = ops.reshape(asked, shape) <= self.threshold
        side = ops.where(within, 1.0, -1.0)
        agreed = ops.einsum("...tn,tnl->...tl", side, self.paths)
        # Sums of a few +1 and -1 are exact; halves allow for a backend's tricks.
        reached = agreed > self.depth - 0.5
        return ops.sum(ops.where(reached, self.value, 0.0), axis=(-2, -1))

    def compute_output_shape(self, features_shape: Any) -> tuple:
        """[...]."""
        return tuple(features_shape[:-1])

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "trees": self.trees, "leaves": self.leaves}
