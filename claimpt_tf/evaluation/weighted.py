"""Figures of one model for many weightings of the same rows at once.

A bootstrap replicate is a weighting: how often each row was drawn. Sorting the rows
by score once and keeping cumulative sums of the weights gives every figure of every
replicate without sorting or refitting again. All functions take a `Weighted` and
return one number a weighting, NaN where that weighting does not allow the figure.
Each is tested against scikit-learn or statsmodels.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LOGIT_CLIP = 1e-7  # a float32 sigmoid saturates about here
LOG_LOSS_CLIP = float(np.finfo(np.float64).eps)  # scikit-learn's
CALIBRATION_BINS = 10


_Value = TypeVar("_Value")


class _once(Generic[_Value]):  # noqa: N801
    """`functools.cached_property` without the lock that it holds before Python 3.12.

    That lock is one for all objects of a class, so threads would wait for each other.
    """

    def __init__(self, work: Callable[[Any], _Value]) -> None:
        self._work, self.__doc__ = work, work.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, holder: None, owner: type) -> _once[_Value]: ...

    @overload
    def __get__(self, holder: object, owner: type) -> _Value: ...

    def __get__(self, holder: object | None, owner: type) -> _once[_Value] | _Value:
        if holder is None:
            return self
        value = holder.__dict__[self._name] = self._work(holder)
        return value


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

    @_once
    def positive(self) -> NDArray[np.bool_]:
        """Which ranked rows carry label 1, shape (rows,)."""
        return self.labels == 1

    @property
    def distinct(self) -> bool:
        """Whether no two rows share a score."""
        return len(self.ends) == len(self)

    @_once
    def events(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Where the positives stand.

        Their ranked rows, shape (positives,); and for each of their distinct scores
        its first one among them, the ranked row before all rows of that score (-1:
        none) and the last of that score, shape (such scores,) each.
        """
        places = np.flatnonzero(self.positive)
        group = np.searchsorted(self.ends, places)
        first = np.flatnonzero(np.diff(group, prepend=-1))
        group = group[first]
        before = np.where(group > 0, self.ends[group - 1], -1)
        return places, first, before, self.ends[group]

    @_once
    def logits(self) -> Floats:
        """Log odds of the scores, clipped to stay finite, shape (rows,)."""
        clipped = np.clip(self.scores, LOGIT_CLIP, 1 - LOGIT_CLIP)
        return np.log(clipped) - np.log1p(-clipped)

    @_once
    def losses(self) -> Floats:
        """Squared error and log loss of each row, shape (rows, 2)."""
        clipped = np.clip(self.scores, LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP)
        log_loss = -np.where(self.positive, np.log(clipped), np.log1p(-clipped))
        return np.stack([(self.scores - self.labels) ** 2, log_loss], axis=1)

    @_once
    def bins(self) -> Ints:
        """Quantile bin of each row, 0 the lowest scores, shape (rows,).

        The edges are those of scikit-learn's `calibration_curve(strategy="quantile")`
        over all rows; the replicates keep them.
        """
        inner = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
        return np.searchsorted(np.quantile(self.scores, inner), self.scores)

    @_once
    def bin_errors(self) -> Floats:
        """Score less label of each row in its bin's column, shape (rows, bins)."""
        table = np.zeros((len(self), CALIBRATION_BINS))
        table[np.arange(len(self)), self.bins] = self.scores - self.labels
        return table

    @_once
    def calibration_start(self) -> tuple[float, float]:
        """Intercept and slope on the unweighted rows.

        Newton's steps for the replicates start here. NaN where it does not exist.
        """
        intercept, slope = _fit_line(self.alone, start=(0.0, 1.0))
        return float(intercept[0]), float(slope[0])

    @_once
    def alone(self) -> Weighted:
        """These rows, each once."""
        return Weighted(self, np.ones((1, len(self))))

    @_once
    def expected_events(self) -> tuple[float, float, Floats] | None:
        """Each row's probability under intercepts around the one that fits all rows.

        A replicate's expected events are then a polynomial in the intercept, exact to
        nine digits, and its root needs no pass over the rows.

        Returns:
            Centre and half width of the intercepts, and probabilities at the Chebyshev
            points between, shape (rows, points); None without a fit.
        """
        centre = float(_fit_intercept(self.alone, start=0.0)[0])
        if not np.isfinite(centre):
            return None
        spread = _sigmoid(centre + self.logits)
        spread *= 1 - spread
        width = float(np.clip(_WIDTH / np.sqrt(spread.sum()), 0.05, _WIDEST))
        return centre, width, _sigmoid(centre + width * _POINTS + self.logits[:, None])


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

    @_once
    def cumulative(self) -> Floats:
        """Weight at or above each distinct score, shape (replicates, groups)."""
        return self._at_ends(self.shown)

    @_once
    def cumulative_positives(self) -> Floats:
        """Positives' weight at or above each score, shape (replicates, groups)."""
        return self._at_ends(np.cumsum(self.weights * self.ranked.labels, axis=1))

    def _at_ends(self, sums: Floats) -> Floats:
        ends = self.ranked.ends
        return sums if self.ranked.distinct else sums.take(ends, axis=1)

    @_once
    def shown(self) -> Floats:
        """Weight down to and with each ranked row, shape (replicates, rows)."""
        return np.cumsum(self.weights, axis=1)

    @_once
    def total(self) -> Floats:
        """Sum of weights, shape (replicates,)."""
        return self.shown[:, -1]

    @_once
    def positives(self) -> Floats:
        """Sum of the positives' weights, shape (replicates,)."""
        return self.events[0].sum(axis=1)

    @_once
    def events(self) -> tuple[Floats, Floats, Floats]:
        """At each distinct score of a positive, three of (replicates, such scores).

        The positives' weight there, the weight above it, and that down to and with it.
        Curves turn nowhere else, and positives are few.
        """
        places, first, before, last = self.ranked.events
        hits = self.weights.take(places, axis=1)
        if len(first) < len(places):
            hits = np.add.reduceat(hits, first, axis=1)
        until = self.shown.take(last, axis=1)
        if self.ranked.distinct:
            return hits, until - hits, until
        above = self.shown.take(before, axis=1)
        above[:, before < 0] = 0.0
        return hits, above, until

    @_once
    def one_class(self) -> NDArray[np.bool_]:
        """Replicates without a positive or without a negative, shape (replicates,)."""
        return (self.positives == 0) | (self.positives == self.total)

    @_once
    def mean_losses(self) -> Floats:
        """Mean squared error and mean log loss, shape (replicates, 2)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.weights @ self.ranked.losses) / self.total[:, None]

    @_once
    def pairs(self) -> tuple[Floats, Floats]:
        """Weight of (positive, negative) pairs ranked right, and of tied pairs.

        Two arrays of shape (replicates,).
        """
        hits, above, until = self.events
        before = np.cumsum(hits, axis=1)
        before -= hits
        misses = self.total - self.positives
        # A positive outranks the negatives that are not above and not beside it.
        right = np.einsum("ij,ij->i", hits, until - before - hits)
        right = self.positives * misses - right
        if self.ranked.distinct:
            return right, np.zeros_like(right)
        beside = until - above - hits
        return right, np.einsum("ij,ij->i", hits, beside)

    @_once
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
    hits, _, until = rows.events
    precision = np.cumsum(hits, axis=1)
    precision /= np.maximum(until, 1e-300)
    area = np.einsum("ij,ij->i", hits, precision)
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
    table = rows.ranked.expected_events
    if table is None:
        return _fit_intercept(rows, 0.0)
    centre, width, values = table
    # Too few where the series is above zero.
    series = (rows.weights @ values) @ _TO_SERIES
    series[:, 0] -= rows.positives
    ends = [chebyshev.chebval(end, series.T) for end in (-1.0, 1.0)]
    inside = (ends[0] < 0) & (ends[1] > 0)
    slope = chebyshev.chebder(series.T)
    place = np.zeros(len(series))
    for _ in range(_STEPS):
        with np.errstate(invalid="ignore", divide="ignore"):
            step = -(
                chebyshev.chebval(place, series.T, tensor=False)
                / chebyshev.chebval(place, slope, tensor=False)
            )
        place = np.clip(place + step, -1.0, 1.0)
        converged = width * np.abs(step) < _TOLERANCE
        if np.all(converged | ~inside):
            break
    found = np.where(
        inside & converged & ~rows.one_class, centre + width * place, np.nan
    )
    rest = np.flatnonzero(~(inside & converged) & ~rows.one_class)
    if len(rest):
        found[rest] = _fit_intercept(Weighted(rows.ranked, rows.weights[rest]), centre)
    return found


def calibration_slope(rows: Weighted) -> Floats:
    """Slope of a logistic regression of the label on the score's log odds."""
    intercept, slope = rows.ranked.calibration_start
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


_WIDTH, _WIDEST = 6.0, 1.0  # standard errors of the intercept; log odds
_POINTS = chebyshev.chebpts1(12)
_TO_SERIES = np.linalg.inv(chebyshev.chebvander(_POINTS, len(_POINTS) - 1)).T
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
