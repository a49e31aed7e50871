"""Proportional hazards by any learner of rates: a Cox model without its software.

Given a cumulative baseline hazard, whether a row's event was seen is a Poisson count
whose expectation is that hazard at the end of its follow-up, times its rate; given
rates, Breslow's estimate is the baseline (Johansen 1983, "An extension of Cox's
regression model"). Going to and fro maximises Cox's partial likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.linear_model import PoissonRegressor

from claimpt_tf.evaluation.weighted import Floats

MOST_ROUNDS, CLOSE = 30, 1e-4  # of going to and fro; of the log rates
_MAX_ITERATIONS = 500


@dataclass(frozen=True)
class Baseline:
    """A cumulative hazard that rises on days of events.

    Attributes:
        days: rising, [E].
        hazard: cumulative, from that day on, [E].
    """

    days: Floats
    hazard: Floats

    @classmethod
    def of(cls, seen: ArrayLike, days: ArrayLike, rates: ArrayLike) -> Baseline:
        """Breslow's estimate; with equal rates of 1, Nelson and Aalen's.

        Args:
            seen: 1 where the event was seen, 0 where follow-up ended, [N].
            days: to the event or the last look, [N].
            rates: relative to the baseline, [N].

        >>> Baseline.of([1, 0, 1], [5, 6, 9], [1, 1, 1]).hazard.round(2).tolist()
        [0.33, 1.33]
        """
        happened, when = np.asarray(seen) == 1, np.asarray(days, dtype=np.float64)
        order = np.argsort(when, kind="stable")
        later = np.asarray(rates, dtype=np.float64)[order][::-1].cumsum()[::-1]
        times, events = np.unique(when[happened], return_counts=True)
        at_risk = later[np.searchsorted(when[order], times, side="left")]
        return cls(times, np.cumsum(events / at_risk))

    def by(self, days: ArrayLike) -> Floats:
        """The cumulative hazard by each of some days, of their shape."""
        place = np.searchsorted(self.days, np.asarray(days), side="right")
        return np.concatenate([[0.0], self.hazard])[place]

    def risks(self, rates: Floats, horizons: Sequence[float]) -> Floats:
        """Risk of rows with these rates [N] by each horizon, float64 [N, H]."""
        return -np.expm1(-rates[:, None] * self.by(horizons)[None])


def poisson_rows(
    seen: ArrayLike, days: ArrayLike, baseline: Baseline
) -> tuple[Floats, Floats]:
    """Rows as a regression of rates wants them: label and weight, [N] each.

    The weight is the expected count, the label the count over it. Rows whose
    follow-up ended before the first event tell nothing: their weight is 0.
    """
    expected = baseline.by(days)
    told = expected > 0
    label = np.divide(np.asarray(seen) == 1, expected, where=told, out=expected * 0)
    return label, expected


def fit_cox(
    rows: sparse.csr_matrix | Floats,
    seen: ArrayLike,
    days: ArrayLike,
    penalty: float,
    most_rounds: int = MOST_ROUNDS,
) -> tuple[PoissonRegressor, Baseline]:
    """A Cox model with a ridge penalty.

    Args:
        rows: features, [N, F].
        seen: 1 where the event was seen, 0 where follow-up ended, [N].
        days: to the event or the last look, [N].
        penalty: half of it times the squared coefficients is added to the negative
            log-likelihood of each event.
        most_rounds: of going to and fro; 1 takes the baseline of equal rates.

    Returns:
        What predicts rates, and the baseline hazard that belongs to them.
    """
    model = PoissonRegressor(alpha=penalty, max_iter=_MAX_ITERATIONS, warm_start=True)
    rates = np.ones(len(np.asarray(days)))
    for _ in range(most_rounds):
        label, weight = poisson_rows(seen, days, Baseline.of(seen, days, rates))
        told = weight > 0
        model.fit(rows[told], label[told], sample_weight=weight[told])
        before, rates = rates, model.predict(rows)
        if np.abs(np.log(rates / before)).max() < CLOSE:
            break
    return model, Baseline.of(seen, days, rates)
