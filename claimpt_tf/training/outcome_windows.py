"""Did an outcome come within a window? Losses of the few windows of adaptation.

Dense over targets, unlike the objectives of pre-training: here there is one.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from claimpt_tf.training.occurrences import NEVER


def days_until_targets(
    visit_day: Any, visit_type: Any, code_targets: Any, query_day: Any, targets: int
) -> Any:
    """Days from each date to the next occurrence of each target.

    Args:
      visit_day: int32 [B, V], first day of each visit.
      visit_type: int32 [B, V], 0 is padding.
      code_targets: int32 [B, V, N], target of each code, -1 for none.
      query_day: int32 [B, Q].
      targets: Number of targets K.

    Returns:
      int32 [B, Q, K], at least 1; NEVER where the target does not come.
    """
    batch, dates = ops.shape(query_day)[0], ops.shape(query_day)[1]
    gap = visit_day[:, None, :] - query_day[:, :, None]
    gap = ops.where(ops.logical_and(gap > 0, visit_type[:, None, :] > 0), gap, NEVER)
    row = ops.reshape(ops.arange(batch * dates), (batch, dates, 1, 1))
    column = ops.where(code_targets < 0, targets, code_targets)[:, None]
    cell = row * (targets + 1) + column
    gap = ops.broadcast_to(gap[..., None], ops.shape(cell))
    latest = ops.segment_max(
        ops.reshape(-gap, (-1,)),
        ops.reshape(cell, (-1,)),
        num_segments=batch * dates * (targets + 1),
    )
    # A cell that nothing fell into holds the smallest integer.
    nearest = -ops.maximum(latest, -NEVER)
    nearest = ops.maximum(ops.reshape(nearest, (batch, dates, targets + 1)), 1)
    return nearest[..., :targets]


def window_loss(logits: Any, days_until: Any, observed: Any, horizons: Any) -> Any:
    """Binary cross-entropy of every target in every fully observed window.

    Args:
      logits: float [B, Q, H, K].
      days_until: int32 [B, Q, K] as from `days_until_targets`.
      observed: int32 [B, Q], days after the date of which everything is known.
      horizons: int32 [H], lengths of the windows in days.

    Returns:
      Scalar: mean over windows that are observed to their end, summed over targets
      and divided by K. Windows that reach beyond are left out, positive or not, so
      that censoring does not bias the rates.
    """
    happened = days_until[:, :, None, :] <= horizons[:, None]
    weight = ops.cast(observed[:, :, None] >= horizons, "float32")
    logits = ops.cast(logits, "float32")
    loss = ops.softplus(logits) - logits * ops.cast(happened, "float32")
    loss = ops.mean(loss, axis=-1) * weight
    return ops.sum(loss) / ops.maximum(ops.sum(weight), 1.0)
