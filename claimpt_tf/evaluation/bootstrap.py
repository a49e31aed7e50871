"""Patient-level bootstrap: intervals and paired differences.

Patients are drawn with replacement and bring all their rows, so rows of one patient
(several index dates) are never taken for independent. Every model and subgroup sees
the same draws, which makes differences paired. Source: Efron & Tibshirani 1993,
"An Introduction to the Bootstrap", chapters 13 and 16.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.metrics import Estimate, Metric, checked
from claimpt_tf.evaluation.weighted import Floats, Ranked, Weighted

REPLICATES = 1_000
LEVEL = 0.95
MOST_FAILED = 0.05  # of the replicates; an interval from fewer would be too narrow
_CHUNK_CELLS = 400_000  # replicates x rows held at once: fits a core's cache

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Interval:
    """A figure with its percentile interval; None where not estimable, and why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Difference:
    """A figure of one model less that of another on the same patients.

    `p` is the two-sided bootstrap p-value: twice the smaller share of replicates
    on one side of zero (counting one more), at least 2 / (replicates + 1).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reason: str | None = None


class Draws:
    """Reproducible draws of patients.

    Args:
        patients: one id a row, any type that sorts, shape (rows,).
        n_boot: number of replicates.
        seed: the same seed gives the same draws, whatever is computed on them.

    Raises:
        ArtifactError: no rows, a missing id, or fewer than one replicate.
    """

    def __init__(
        self, patients: ArrayLike, n_boot: int = REPLICATES, seed: int = 0
    ) -> None:
        ids = np.asarray(patients)
        if not len(ids):
            raise ArtifactError("no rows to resample; is the split empty?")
        if n_boot < 1:
            raise ArtifactError(f"{n_boot} bootstrap replicates; give 1 or more")
        if ids.dtype == object and any(one is None for one in ids):
            raise ArtifactError("patient_id is missing in some rows; none may be")
        names, self.patient_of_row = np.unique(ids, return_inverse=True)
        self.n_patients = len(names)
        self.n_boot = n_boot
        self.seed = seed

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        """Yields how often each patient was drawn, (some replicates, patients)."""
        generator = np.random.default_rng(self.seed)
        size = max(1, _CHUNK_CELLS // max(self.n_patients, len(self.patient_of_row)))
        for first in range(0, self.n_boot, size):
            count = min(size, self.n_boot - first)
            weights = np.empty((count, self.n_patients))
            for row in weights:
                drawn = generator.integers(0, self.n_patients, self.n_patients)
                row[:] = np.bincount(drawn, minlength=self.n_patients)
            yield weights


@dataclass(frozen=True)
class Cell:
    """The scores of one model on some of the rows.

    Attributes:
        ranked: those rows, ranked.
        rows: their positions among all rows, in the order given to `ranked`.
    """

    ranked: Ranked
    rows: NDArray[np.int64]


def replicate(
    cells: Mapping[Key, Cell], metrics: Mapping[str, Metric], draws: Draws
) -> dict[Key, dict[str, Floats]]:
    """Every figure of every cell in every replicate.

    Returns:
        cell -> figure -> array of shape (n_boot,), NaN where not estimable.
    """
    values = {key: {name: np.empty(draws.n_boot) for name in metrics} for key in cells}
    columns = {
        key: draws.patient_of_row[cell.rows[cell.ranked.order]]
        for key, cell in cells.items()
    }

    def fill(first: int, drawn: Floats) -> None:
        for key, cell in cells.items():
            rows = Weighted(cell.ranked, drawn.take(columns[key], axis=1))
            for name, metric in metrics.items():
                values[key][name][first : first + len(drawn)] = metric.resampled(rows)

    share_out(draws, fill)
    return values


def share_out(draws: Draws, fill: Callable[[int, Floats], None]) -> None:
    """Hands all draws to threads.

    Args:
        draws: the replicates.
        fill: called with the number of a first replicate and how often each patient
            was drawn, (some replicates, patients); from several threads at once.
    """
    # BLAS's own threads only wait: its matrices are thin. NumPy lets go of Python's
    # lock, so threads of ours share the replicates.
    threads = os.cpu_count() or 1
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        first, waiting = 0, deque[Future[None]]()
        for drawn in draws:
            waiting.append(pool.submit(fill, first, drawn))
            first += len(drawn)
            if len(waiting) > 2 * threads:
                waiting.popleft().result()
        for one in waiting:
            one.result()


def bootstrap(
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    metrics: Mapping[str, Metric],
    n_boot: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Figures of one model with 95% intervals.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: probabilities, shape (rows,).
        patients: the patient of each row, shape (rows,).
        metrics: for example `default_metrics()`.
        n_boot: replicates.
        seed: of the draws.
    """
    ranked = checked(labels, scores)
    draws = Draws(patients, n_boot, seed)
    cell = Cell(ranked, np.arange(len(ranked)))
    replicates = replicate({"": cell}, metrics, draws)[""]
    return {
        name: interval(metric.point(ranked.labels, ranked.scores), replicates[name])
        for name, metric in metrics.items()
    }


def interval(point: Estimate, replicates: Floats, level: float = LEVEL) -> Interval:
    """Percentile interval around a point estimate.

    >>> interval(Estimate(None, "no positives"), np.array([np.nan]))
    Interval(value=None, low=None, high=None, reason='no positives')
    """
    if point.value is None:
        return Interval(None, reason=point.reason)
    usable, reason = _usable(replicates)
    if reason is not None:
        return Interval(point.value, reason=reason)
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return Interval(point.value, float(low), float(high))


def difference(
    point: Estimate,
    other: Estimate,
    replicates: Floats,
    other_replicates: Floats,
    level: float = LEVEL,
) -> Difference:
    """`point` less `other`, paired by replicate, with interval and p-value.

    >>> same = np.array([0.5, 0.6])
    >>> difference(Estimate(0.5), Estimate(0.5), same, same)
    Difference(value=0.0, low=0.0, high=0.0, p=1.0, reason=None)
    """
    if point.value is None or other.value is None:
        return Difference(None, reason=point.reason or other.reason)
    value = point.value - other.value
    usable, reason = _usable(replicates - other_replicates)
    if reason is not None:
        return Difference(value, reason=reason)
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    one_side = min((usable <= 0).sum(), (usable >= 0).sum())
    p = min(1.0, 2 * (1 + one_side) / (len(usable) + 1))
    return Difference(value, float(low), float(high), float(p))


def _usable(replicates: Floats) -> tuple[Floats, str | None]:
    finite = np.isfinite(replicates)
    failed = 1 - finite.mean()
    if failed > MOST_FAILED:
        return replicates, f"not estimable in {failed:.0%} of the bootstrap replicates"
    return replicates[finite], None
