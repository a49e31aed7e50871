"""Figures of one model for many weightings of the same rows at once.

A bootstrap replicate is a weighting: how often each row was drawn. Sorting the rows
by score once and keeping cumulative sums of the weights gives every figure of every
replicate without sorting or refitting again. All functions take a `Weighted` and
return one number a weighting, NaN where that weighting does not allow the figure.
Each is tested against scikit-learn or statsmodels.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LOGIT_CLIP = 1e-7  # a float32 sigmoid saturates about here
LOG_LOSS_CLIP = float(np.finfo(np.float64).eps)  # scikit-learn's
CALIBRATION_BINS = 10


class Ranked:
    """Labels and scores of one model, ordered by falling score.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: higher means more likely, shape (rows,), no NaN.

    Attributes:
        order: the original position of each ranked row, shape (rows,).
        labels: float64, ranked.
        scores: float64, ranked.
        ends: last ranked position of each group of equal scores, shape (groups,).
    """

    def __init__(self, labels: ArrayLike, scores: ArrayLike) -> None:
        labels = np.asarray(labels, dtype=np.float64)
        scores = np.asarray(scores, dtype=np.float64)
        self.order: Ints = np.argsort(-scores, kind="stable")
        self.labels: Floats = labels[self.order]
        self.scores: Floats = scores[self.order]
        self.ends: Ints = np.append(
            np.flatnonzero(np.diff(self.scores)), len(self.scores) - 1
        )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def positive(self) -> NDArray[np.bool_]:
        """Which ranked rows carry label 1, shape (rows,)."""
        return self.labels == 1

    @cached_property
    def logits(self) -> Floats:
        """Log odds of the scores, clipped to stay finite, shape (rows,)."""
        clipped = np.clip(self.scores, LOGIT_CLIP, 1 - LOGIT_CLIP)
        return np.log(clipped) - np.log1p(-clipped)

    @cached_property
    def losses(self) -> Floats:
        """Squared error and log loss of each row, shape (rows, 2)."""
        clipped = np.clip(self.scores, LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP)
        log_loss = -np.where(self.positive, np.log(clipped), np.log1p(-clipped))
        return np.stack([(self.scores - self.labels) ** 2, log_loss], axis=1)

    @cached_property
    def bins(self) -> Ints:
        """Quantile bin of each row, 0 the lowest scores, shape (rows,).

        The edges are those of scikit-learn's `calibration_curve(strategy="quantile")`
        over all rows; the replicates keep them.
        """
        inner = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
        return np.searchsorted(np.quantile(self.scores, inner), self.scores)

    @cached_property
    def bin_errors(self) -> Floats:
        """Score less label of each row in its bin's column, shape (rows, bins)."""
        table = np.zeros((len(self), CALIBRATION_BINS))
        table[np.arange(len(self)), self.bins] = self.scores - self.labels
        return table

    @cached_property
    def calibration_start(self) -> tuple[float, float, float]:
        """Offset-only intercept, then intercept and slope, on the unweighted rows.

        Newton's steps for the replicates start here. NaN where it does not exist.
        """
        unit = Weighted(self, np.ones((1, len(self))))
        large = _fit_intercept(unit, start=0.0)[0]
        intercept, slope = _fit_line(unit, start=(0.0, 1.0))
        return float(large), float(intercept[0]), float(slope[0])


class Weighted:
    """A `Ranked` under several weightings.

    Args:
        ranked: the rows.
        weights: how often each ranked row counts, shape (replicates, rows).
    """

    def __init__(self, ranked: Ranked, weights: Floats) -> None:
        self.ranked = ranked
        self.weights = weights
        self.kept: dict[Hashable, Any] = {}  # what several figures share

    @cached_property
    def cumulative(self) -> Floats:
        """Weight at or above each distinct score, shape (replicates, groups)."""
        return self._at_ends(np.cumsum(self.weights, axis=1))

    @cached_property
    def cumulative_positives(self) -> Floats:
        """Positives' weight at or above each score, shape (replicates, groups)."""
        return self._at_ends(np.cumsum(self.weights * self.ranked.labels, axis=1))

    def _at_ends(self, sums: Floats) -> Floats:
        ends = self.ranked.ends
        return sums if len(ends) == len(self.ranked) else sums[:, ends]

    @property
    def total(self) -> Floats:
        """Sum of weights, shape (replicates,)."""
        return self.cumulative[:, -1]

    @property
    def positives(self) -> Floats:
        """Sum of the positives' weights, shape (replicates,)."""
        return self.cumulative_positives[:, -1]

    @cached_property
    def one_class(self) -> NDArray[np.bool_]:
        """Replicates without a positive or without a negative, shape (replicates,)."""
        return (self.positives == 0) | (self.positives == self.total)

    @cached_property
    def mean_losses(self) -> Floats:
        """Mean squared error and mean log loss, shape (replicates, 2)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.weights @ self.ranked.losses) / self.total[:, None]

    @cached_property
    def pairs(self) -> tuple[Floats, Floats]:
        """Weight of (positive, negative) pairs ranked right, and of tied pairs.

        Two arrays of shape (replicates,).
        """
        hits = self.cumulative_positives
        misses = self.cumulative - hits
        new_hits = np.diff(hits, axis=1, prepend=0.0)
        right = new_hits.sum(axis=1) * misses[:, -1]
        right -= np.einsum("ij,ij->i", new_hits, misses)
        if len(self.ranked.ends) == len(self.ranked):
            return right, np.zeros_like(right)
        new_misses = np.diff(misses, axis=1, prepend=0.0)
        return right, np.einsum("ij,ij->i", new_hits, new_misses)

    @cached_property
    def separated(self) -> NDArray[np.bool_]:
        """Replicates where a threshold parts the classes, shape (replicates,).

        No finite calibration slope exists there (ties at the threshold included,
        constant scores too).
        """
        right, tied = self.pairs
        wrong = self.positives * (self.total - self.positives) - right - tied
        return self.one_class | (right == 0) | (wrong == 0)


def _where(estimable: NDArray[np.bool_], values: Floats) -> Floats:
    return np.where(estimable, values, np.nan)


def auroc(rows: Weighted) -> Floats:
    """Area under the ROC curve, ties counted half (Mann-Whitney)."""
    right, tied = rows.pairs
    misses = rows.total - rows.positives
    with np.errstate(invalid="ignore", divide="ignore"):
        return _where(~rows.one_class, (right + tied / 2) / (rows.positives * misses))


def auprc(rows: Weighted) -> Floats:
    """Average precision, as scikit-learn defines it (no interpolation)."""
    hits, shown = rows.cumulative_positives, rows.cumulative
    new_hits = np.diff(hits, axis=1, prepend=0.0)
    precision = hits / np.maximum(shown, 1e-300)
    area = np.einsum("ij,ij->i", new_hits, precision)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _where(~rows.one_class, area / rows.positives)


def brier(rows: Weighted) -> Floats:
    """Mean squared difference between probability and label."""
    return rows.mean_losses[:, 0]


def scaled_brier(rows: Weighted) -> Floats:
    """1 - Brier / (prevalence x (1 - prevalence)): 0 for the prevalence, 1 at best."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = rows.positives / rows.total
        scaled = 1 - rows.mean_losses[:, 0] / (rate * (1 - rate))
    return _where(~rows.one_class, scaled)


def log_loss(rows: Weighted) -> Floats:
    """Mean negative log likelihood in nats."""
    return rows.mean_losses[:, 1]


def ece(rows: Weighted) -> Floats:
    """Expected calibration error over ten quantile bins of all rows.

    Weighted mean over bins of |mean probability - observed rate|. It is biased
    upwards in small samples, and in a bootstrap replicate once more.
    """
    gaps = np.abs(rows.weights @ rows.ranked.bin_errors).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return gaps / rows.total


def calibration_in_the_large(rows: Weighted) -> Floats:
    """Intercept of a logistic regression with the score's log odds as offset."""
    start = rows.ranked.calibration_start[0]
    return _fit_intercept(rows, start if np.isfinite(start) else 0.0)


def calibration_slope(rows: Weighted) -> Floats:
    """Slope of a logistic regression of the label on the score's log odds."""
    intercept, slope = rows.ranked.calibration_start[1:]
    if not np.isfinite(slope):
        intercept, slope = 0.0, 1.0
    return _fit_line(rows, (intercept, slope))[1]


def hits_at_capacity(rows: Weighted, share: float) -> tuple[Floats, Floats]:
    """Expected positives among the top rows, and how many rows those are.

    Rows tied at the last place are taken in random order; the expectation over
    that order is returned, so the order of the input never matters.

    Args:
        rows: ranked rows under several weightings.
        share: the part of all rows a care team can take up, in (0, 1].

    Returns:
        Two arrays of shape (replicates,).
    """
    capacity = np.maximum(np.floor(share * rows.total + 1e-9), 1.0)
    reached = (rows.cumulative < capacity[:, None]).sum(axis=1)
    reached = np.minimum(reached, rows.cumulative.shape[1] - 1)
    pick = np.arange(len(capacity))
    before = np.maximum(reached - 1, 0)
    started = reached > 0
    shown = np.where(started, rows.cumulative[pick, before], 0.0)
    hits = np.where(started, rows.cumulative_positives[pick, before], 0.0)
    group = rows.cumulative[pick, reached] - shown
    group_hits = rows.cumulative_positives[pick, reached] - hits
    with np.errstate(invalid="ignore", divide="ignore"):
        part = (capacity - shown) / group
    return hits + part * group_hits, capacity


_STEPS = 60
_TOLERANCE = 3e-4  # Newton squares its error: about 1e-7 is left
_LONGEST_STEP = 2.0  # of any row's log odds: it overshoots from a poor start


def _sigmoid(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-values))


def _fit_intercept(rows: Weighted, start: float) -> Floats:
    """Newton's method for all replicates; the first step shares its sigmoid."""
    weights, logits = rows.weights, rows.ranked.logits
    expected = _sigmoid(start + logits)
    sums = weights @ np.stack([expected, expected * (1 - expected)], axis=1)
    intercept = np.full(len(weights), start)
    for _ in range(_STEPS):
        with np.errstate(invalid="ignore", divide="ignore"):
            step = (rows.positives - sums[:, 0]) / sums[:, 1]
        step = np.where(np.isfinite(step), step, 2 * _LONGEST_STEP)
        intercept = intercept + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        converged = np.abs(step) < _TOLERANCE
        if np.all(converged | rows.one_class):
            break
        expected = _sigmoid(intercept[:, None] + logits)
        first = np.einsum("ij,ij->i", weights, expected)
        expected *= expected
        sums = np.stack([first, first - np.einsum("ij,ij->i", weights, expected)], 1)
    return _where(converged & ~rows.one_class, intercept)


def _fit_line(rows: Weighted, start: tuple[float, float]) -> tuple[Floats, Floats]:
    """Newton's method for all replicates; the first step shares its sigmoid."""
    weights, logits = rows.weights, rows.ranked.logits
    impossible = rows.separated
    design = np.stack([np.ones_like(logits), logits, logits**2], axis=1)
    extremes = np.array([logits[0], logits[-1]])
    observed = weights @ (design[:, :2] * rows.ranked.labels[:, None])
    expected = _sigmoid(start[0] + start[1] * logits)
    sums = weights @ (design[:, :2] * expected[:, None])
    curvature = weights @ (design * (expected * (1 - expected))[:, None])
    intercept = np.full(len(weights), start[0])
    slope = np.full(len(weights), start[1])
    for _ in range(_STEPS):
        up, tilt = _solve_pairs(curvature, observed - sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            longest = np.abs(up[:, None] + tilt[:, None] * extremes).max(axis=1)
            sound = np.isfinite(longest)
            shrink = np.where(sound, np.minimum(1.0, _LONGEST_STEP / longest), 0.0)
        intercept = intercept + shrink * np.where(sound, up, 0.0)
        slope = slope + shrink * np.where(sound, tilt, 0.0)
        converged = sound & (longest < _TOLERANCE)
        if np.all(converged | impossible):
            break
        expected = _sigmoid(intercept[:, None] + slope[:, None] * logits)
        weighted = weights * expected
        moments = weighted @ design
        sums = moments[:, :2]
        weighted *= expected
        curvature = moments - weighted @ design
    fitted = converged & ~impossible
    return _where(fitted, intercept), _where(fitted, slope)


def _solve_pairs(curvature: Floats, gradient: Floats) -> tuple[Floats, Floats]:
    """Solves [[a, b], [b, c]] x = gradient for each row (a, b, c) of `curvature`."""
    a, b, c = curvature.T
    with np.errstate(invalid="ignore", divide="ignore"):
        determinant = a * c - b**2
        return (
            (c * gradient[:, 0] - b * gradient[:, 1]) / determinant,
            (a * gradient[:, 1] - b * gradient[:, 0]) / determinant,
        )
