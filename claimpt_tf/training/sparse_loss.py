"""Losses over every category that only ever hear of the few that came.

A plain implementation builds a multi-hot label for each row, keeps the logits, and
walks over both several times, forward and backward. Here the derivative by the logits
is made together with the loss, the labels change it at their few places, and what is
kept for the backward pass is that one array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

Link = Callable[[Any], tuple[Any, Any]]


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

    def dense(logits: Any) -> tuple[Any, Any]:
        return ops.sum(ops.softplus(logits)), ops.sigmoid(logits)

    def sparse(logits: Any) -> tuple[Any, Any]:
        if left_out is None:
            return -ops.sum(logits), -positive
        unjudged = 1.0 - positive
        value = positive * logits + unjudged * ops.softplus(logits)
        return -ops.sum(value), -(positive + unjudged * ops.sigmoid(logits))

    return _linked(features, vectors, bias, dense, row, column, sparse)


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
    spared = at_risk - ops.take(exposure, row, axis=0)

    def dense(logits: Any) -> tuple[Any, Any]:
        expected = ops.exp(logits) * exposure[:, None]
        return ops.sum(expected), expected

    def sparse(logits: Any) -> tuple[Any, Any]:
        unlived = ops.exp(logits) * spared
        return ops.sum(unlived - here * logits), unlived - here

    return _linked(*log_rate, dense, row, target, sparse)


def _linked(
    features: Any, vectors: Any, bias: Any, dense: Link, row: Any, column: Any,
    sparse: Link,
) -> Any:  # fmt: skip
    """Sum of a function of all logits and of another one of some.

    Each link gives a sum and its derivative by the logits it was given.
    """

    @ops.custom_gradient
    def run(features: Any, vectors: Any, bias: Any) -> tuple[Any, Callable]:
        kernel = ops.cast(vectors, features.dtype)
        logits = ops.matmul(features, ops.transpose(kernel))
        logits = ops.cast(logits, "float32") + ops.cast(bias, "float32")
        place = ops.stack([row, column], axis=-1)
        cell = row * ops.shape(vectors)[0] + column
        some = ops.take(ops.reshape(logits, (-1,)), cell, axis=0)
        total, slope = dense(logits)
        change, change_slope = sparse(some)
        there = ops.take(ops.reshape(slope, (-1,)), cell, axis=0)
        slope = ops.scatter_update(slope, place, there + change_slope)

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
            up = args[0] if upstream is None else upstream
            small = ops.cast(slope, features.dtype)
            to_features = ops.matmul(small, kernel)
            to_vectors = ops.matmul(ops.transpose(small), features)
            return (
                ops.cast(up, features.dtype) * to_features,
                ops.cast(up, vectors.dtype) * ops.cast(to_vectors, vectors.dtype),
                ops.cast(up * ops.sum(slope, axis=0), bias.dtype),
            )

        return total + change, gradient

    # Copies, because a function with its own gradient may not read variables.
    return run(features, ops.copy(vectors), ops.copy(bias))
