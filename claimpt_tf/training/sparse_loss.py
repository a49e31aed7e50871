"""Losses over every category that only ever hear of the few that came.

A plain implementation builds a multi-hot label for each row, keeps the logits, and
walks over both several times, forward and backward. Here the derivative by the logits
is made together with the loss, the labels change it at their few places, and what is
kept for the backward pass is that one array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

# Of a category that did not come, at most -log(LEAST) = 16.6 nats are counted, and
# beyond 12 in coarse steps; the derivative is exact.
LEAST = 2.0**-24
_TOGETHER = 4  # logits: the product of so many numbers from LEAST to 1 is a float32
_ALIGNED = 16  # columns: where every row begins at 64 bytes, TensorFlow need not copy
_NOBODY = -30.0  # logit of a column that is there for alignment only


def cross_entropy(
    features: Any,
    vectors: Any,
    bias: Any,
    positives: tuple[Any, Any],
    left_out: tuple[Any, Any] | None = None,
) -> Any:
    """Binary cross-entropy with logits, summed over rows and categories.

    Args:
      features: float [N, R], rows that count; leave padding out before.
      vectors: float [K, R].
      bias: float [K].
      positives: int32 [P] rows and int32 [P] categories that came, each pair once.
      left_out: Pairs that are not judged, none of which is a positive.

    Returns:
      float32 scalar, the sum over N x K of the entropy of logits
      `features @ vectors.T + bias`.
    """
    row, column = positives
    positive = ops.ones_like(row, dtype="float32")
    if left_out is not None:
        row = ops.concatenate([row, left_out[0]], axis=0)
        column = ops.concatenate([column, left_out[1]], axis=0)
        nothing = ops.zeros_like(left_out[0], dtype="float32")
        positive = ops.concatenate([positive, nothing], axis=0)

    def change(logits: Any) -> tuple[Any, Any]:
        chance = ops.sigmoid(logits)
        off = ops.where(positive > 0, -1.0, -chance)
        # What `whole` will count for it is taken back.
        value = positive * ops.softplus(-logits) + ops.log(1.0 - (chance + off))
        return off, ops.sum(value)

    def whole(slope: Any) -> Any:
        # softplus(x) = -log(1 - sigmoid(x)), and one logarithm serves several logits.
        together = (-1, _TOGETHER, slope.shape[1] // _TOGETHER)
        spared = ops.prod(ops.reshape(1.0 - slope, together), axis=1)
        return -ops.sum(ops.log(ops.maximum(spared, LEAST**_TOGETHER)))

    return _linked(features, vectors, bias, ops.sigmoid, row, column, change, whole)


def hazard_loss(
    log_rate: tuple[Any, Any, Any], exposure: Any, events: tuple[Any, Any, Any, Any]
) -> Any:
    """Negative log-likelihood of one piece of piecewise constant hazards, summed.

    Args:
      log_rate: Features float [N, R], vectors [K, R] and bias [K] whose product is
        the logarithm of the rate.
      exposure: float32 [N], time that a row is followed up in this piece.
      events: int32 [E] rows and targets of the events, each pair once; float32 [E] time
        at risk in this piece before the event; float32 [E], 1 where it fell into the
        piece, else 0.

    Returns:
      float32 scalar: rates times exposure, less log-rates of the events.
    """
    row, target, at_risk, here = events

    def expected(logits: Any) -> Any:
        return ops.exp(logits) * exposure[:, None]

    def change(logits: Any) -> tuple[Any, Any]:
        years = ops.take(exposure, row, axis=0)
        off = ops.exp(logits) * (at_risk - years) - here
        # `whole` takes one off for each event.
        return off, ops.sum(here * (1.0 - logits))

    return _linked(*log_rate, expected, row, target, change, ops.sum)


def _linked(
    features: Any,
    vectors: Any,
    bias: Any,
    slope_of: Callable[[Any], Any],
    row: Any,
    column: Any,
    change: Callable[[Any], tuple[Any, Any]],
    whole: Callable[[Any], Any],
) -> Any:
    """A loss of all logits, told by its derivative.

    Args:
      features: float [N, R].
      vectors: float [K, R].
      bias: float [K].
      slope_of: The derivative by the logits float32 [N, K], but at a few cells.
      row: int32 [P], rows of these cells, each cell once.
      column: int32 [P].
      change: From the logits there what is to be added for the true derivative, and
        what `whole` does not know of their loss.
      whole: From the derivative [N, K] the loss of all cells.
    """
    known = vectors.shape[0]

    @ops.custom_gradient
    def run(features: Any, vectors: Any, bias: Any) -> tuple[Any, Callable]:
        # The bias is one more factor, which spares a pass forward and one backward.
        one = ops.ones_like(features[:, :1])
        wide = ops.transpose(ops.concatenate([features, one], axis=1))
        kernel = ops.concatenate([vectors, bias[:, None]], axis=1)
        nobody = ops.where(ops.arange(kernel.shape[1]) < vectors.shape[1], 0.0, _NOBODY)
        nobody = ops.tile(nobody[None], (-known % _ALIGNED, 1))
        kernel = ops.concatenate([kernel, ops.cast(nobody, kernel.dtype)], axis=0)
        kernel = ops.cast(kernel, features.dtype)
        logits = ops.matmul(ops.transpose(wide), ops.transpose(kernel))
        logits = ops.cast(logits, "float32")
        place = ops.stack([row, column], axis=-1)
        cell = row * kernel.shape[0] + column
        off, rest = change(ops.take(ops.reshape(logits, (-1,)), cell, axis=0))
        # In place, because nobody else reads what `slope_of` gives; Keras' own
        # scatter copies the array.
        slope = tf.raw_ops.ScatterNdNonAliasingAdd(
            input=slope_of(logits), indices=place, updates=off
        )
        total = whole(slope) + rest

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
            up = args[0] if upstream is None else upstream
            small = ops.cast(slope, features.dtype)
            to_features = ops.matmul(small, kernel[:, :-1])
            to_kernel = ops.cast(up, features.dtype) * ops.matmul(wide, small)
            return (
                ops.cast(up, features.dtype) * to_features,
                ops.cast(ops.transpose(to_kernel[:-1, :known]), vectors.dtype),
                ops.cast(to_kernel[-1, :known], bias.dtype),
            )

        return total, gradient

    # Copies, because a function with its own gradient may not read variables.
    return run(features, ops.copy(vectors), ops.copy(bias))
