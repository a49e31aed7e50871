"""The smoothed calibration curve and its index, the ICI.

Source: Austin & Steyerberg 2019, "The Integrated Calibration Index (ICI)". The curve
is statsmodels' lowess of the label on the probability. For bootstrap replicates the
same local lines are fitted to a hundred groups of rows, whose windows stay fixed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from statsmodels.nonparametric.smoothers_lowess import lowess

from claimpt_tf.evaluation.weighted import Floats, Ranked, Weighted

SPAN = 0.75  # of the rows within a local line, as in the source
_GROUPS = 100
_STEPS = 200


def smoothed(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Observed rate against probability, smoothed.

    Returns:
        Rising probabilities and the rate at each, both (rows,).
    """
    step = float(np.ptp(scores)) / _STEPS
    curve = lowess(labels, scores, frac=SPAN, it=0, delta=step)
    return curve[:, 0], np.clip(curve[:, 1], 0, 1)


def ici(labels: Floats, scores: Floats) -> float:
    """Mean distance of the smoothed curve from the diagonal."""
    given, seen = smoothed(labels, scores)
    return float(np.mean(np.abs(given - seen)))


def resampled_ici(rows: Weighted) -> Floats:
    """The same of every replicate, (replicates,); NaN where all scores are one."""
    ranked = rows.ranked
    if ranked.scores[0] == ranked.scores[-1]:
        return np.full(len(rows.weights), np.nan)
    starts = _starts(ranked)
    count = np.add.reduceat(rows.weights, starts, axis=1)
    seen = np.add.reduceat(rows.weights * ranked.labels, starts, axis=1)
    sizes = np.diff(np.append(starts, len(ranked)))
    centre = np.add.reduceat(ranked.scores, starts) / sizes
    kernel = _kernel(centre, sizes)
    zero, one = count @ kernel, (count * centre) @ kernel
    # Within a group all rows stand at its centre.
    two = (count * centre**2) @ kernel
    rate, product = seen @ kernel, (seen * centre) @ kernel
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = zero * two - one**2
        slope = (zero * product - one * rate) / spread
        line = rate / zero + slope * (centre - one / zero)
        flat = spread < 1e-12 * np.maximum(zero * two, 1e-300)
        line = np.clip(np.where(flat, rate / zero, line), 0, 1)
        gaps = np.where(count > 0, np.abs(line - centre) * count, 0.0)
        return gaps.sum(axis=1) / count.sum(axis=1)


def _starts(ranked: Ranked) -> NDArray[np.int64]:
    """First ranked row of each group; equal scores stay together."""
    heads = np.concatenate([[0], ranked.ends[:-1] + 1])
    wanted = np.linspace(0, len(ranked), _GROUPS + 1)[:-1]
    return np.unique(heads[np.searchsorted(heads, wanted, side="right") - 1])


def _kernel(centre: Floats, sizes: NDArray[np.int64]) -> Floats:
    """Tricube weight of each group (rows) at each group's centre (columns)."""
    distance = np.abs(centre[:, None] - centre)
    order = np.argsort(distance, axis=0)
    reached = np.cumsum(sizes[order], axis=0) >= SPAN * sizes.sum()
    last = reached.argmax(axis=0)
    columns = np.arange(len(centre))
    width = distance[order[last, columns], columns]
    width = np.maximum(width, 1e-12) * (1 + 1e-9)
    return np.clip(1 - (distance / width) ** 3, 0, None) ** 3
