"""When did an outcome come? The loss of adaptation.

Dense over targets, unlike the objectives of pre-training: here there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from claimpt_tf.models.time import YEAR
from claimpt_tf.training.occurrences import NEVER

LARGEST_LOG_RATE = 6.0  # once a day; beyond, a first step may not overflow


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


def hazard_loss(
    log_rate: Any, days_until: Any, observed: Any, edges: Sequence[int]
) -> Any:
    """Negative log likelihood of a piecewise constant hazard of the one target.

    A date counts for as long as it was watched: to the outcome, to the last observed
    day or to the end of the window, so that censoring does not bias the rates.

    Args:
      log_rate: float [B, Q, P], log of the rate a year in each piece.
      days_until: int32 [B, Q], at least 1.
      observed: int32 [B, Q], days after the date of which everything is known.
      edges: P + 1 days: where pieces begin, and where the last one ends.

    Returns:
      Scalar, nats a date that is watched at all; 0 without one.
    """
    first, last = np.asarray(edges[:-1], np.int32), np.asarray(edges[1:], np.int32)
    log_rate = ops.minimum(ops.cast(log_rate, "float32"), LARGEST_LOG_RATE)
    watched = ops.minimum(days_until, observed)[..., None]
    years = ops.cast(ops.clip(watched - first, 0, last - first), "float32") / YEAR
    days = days_until[..., None]
    inside = ops.logical_and(days > first, days <= last)
    came = ops.cast(ops.logical_and(inside, days <= observed[..., None]), "float32")
    loss = ops.sum(ops.exp(log_rate) * years - came * log_rate, axis=-1)
    weight = ops.cast(observed > 0, "float32")
    return ops.sum(loss * weight) / ops.maximum(ops.sum(weight), 1.0)
