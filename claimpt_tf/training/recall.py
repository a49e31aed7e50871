"""How much of what came stands among the likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class RecallAt:
    """Recall among the k likeliest categories, averaged over what came.

    A row can find at most k, so no more than k count as having come.

    Args:
      sizes: Lengths of the list, ascending.
      prefix: Before `recall_at_K` in the names of the metrics.
    """

    def __init__(self, sizes: Sequence[int], prefix: str) -> None:
        self.sizes = tuple(sizes)
        self.metrics = [
            keras.metrics.Mean(name=f"{prefix}recall_at_{size}") for size in self.sizes
        ]

    def update(
        self, features: Any, vectors: Any, bias: Any, row: Any, column: Any
    ) -> None:
        """Counts a batch.

        Args:
          features: float [N, R].
          vectors: float [K, R].
          bias: float [K]; `features @ vectors.T + bias` ranks the categories.
          row: int32 [P], rows of what came.
          column: int32 [P], categories of what came, each pair once.
        """
        kernel = ops.cast(ops.convert_to_tensor(vectors), features.dtype)
        logits = ops.matmul(features, ops.transpose(kernel))
        logits = ops.cast(logits, "float32") + ops.cast(bias, "float32")
        rows, categories = ops.shape(logits)
        found = ops.take(ops.reshape(logits, (-1,)), row * categories + column, axis=0)
        best, _ = ops.top_k(logits, min(self.sizes[-1], vectors.shape[0]))
        came = ops.segment_sum(ops.ones_like(found), row, num_segments=rows)
        for size, metric in zip(self.sizes, self.metrics, strict=True):
            least = best[:, min(size, vectors.shape[0]) - 1]
            hit = ops.cast(found >= ops.take(least, row, axis=0), "float32")
            possible = ops.sum(ops.minimum(came, float(size)))
            metric.update_state(
                ops.sum(hit) / ops.maximum(possible, 1.0), sample_weight=possible
            )
