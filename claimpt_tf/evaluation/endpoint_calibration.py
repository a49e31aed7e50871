"""Whether predictions that are no yes-or-no probabilities can be taken at their word.

As in `claimpt_tf.evaluation.endpoint_figures`: rows of `predictions.parquet` and
weightings of them, float [R, N], give each figure once a weighting, float64 [R].
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.evaluation.endpoint_figures import Figures, chances_of, risks_of
from claimpt_tf.evaluation.weighted import Floats


def class_calibration(rows: pl.DataFrame, weights: Floats) -> Figures:
    """Class -> mean probability of it less the share of rows that it came in.

    >>> rows = {"label": ["a", "b"], "probability_a": [0.8, 0.5]}
    >>> rows = pl.DataFrame(rows | {"probability_b": [0.2, 0.5]})
    >>> round(float(class_calibration(rows, np.ones((1, 2)))["a"][0]), 2)
    0.15
    """
    names, chances = chances_of(rows)
    label = rows["label"].to_numpy()
    return {
        name: _mean(chances[:, n] - (label == name), weights)
        for n, name in enumerate(names)
    }


def number_calibration(rows: pl.DataFrame, weights: Floats) -> Figures:
    """Mean of prediction less label, and the slope of the label on the prediction.

    >>> rows = pl.DataFrame({"label": [1.0, 3.0], "prediction": [1.0, 2.0]})
    >>> found = number_calibration(rows, np.ones((1, 2)))
    >>> float(found["mean_error"][0]), float(found["calibration_slope"][0])
    (-0.5, 2.0)
    """
    label, given = rows["label"].to_numpy(), rows["prediction"].to_numpy()
    if np.ptp(given) == 0:
        slope = np.full(len(weights), np.nan)
    else:
        given = given - given.mean()  # or the two terms below would cancel out
        together = _mean(label * given, weights)
        together = together - _mean(label, weights) * _mean(given, weights)
        spread = _mean(given**2, weights) - _mean(given, weights) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = np.where(spread > 0, together / spread, np.nan)
    error = rows["prediction"].to_numpy() - label
    return {"mean_error": _mean(error, weights), "calibration_slope": slope}


def risk_calibration(rows: pl.DataFrame, weights: Floats) -> Figures:
    """Horizon -> mean risk by that day less the observed one, see `observed_risk`."""
    seen, days = rows["label"].to_numpy(), rows["label_days"].to_numpy()
    risks = risks_of(rows)
    observed = observed_risk(seen, days, list(risks), weights)
    return {
        f"{horizon:.0f}d": _mean(risk, weights) - observed[:, place]
        for place, (horizon, risk) in enumerate(risks.items())
    }


def observed_risk(
    seen: ArrayLike, days: ArrayLike, horizons: ArrayLike, weights: Floats
) -> Floats:
    """Share of rows with the event by each day, by Kaplan and Meier (1958).

    Args:
        seen: 1 where the event was seen, 0 where follow-up ended, [N].
        days: to the event or the last look, [N].
        horizons: days, [H].
        weights: float [R, N].

    Returns:
        float64 [R, H]; NaN by a day that nobody was followed to.

    >>> ones = np.ones((1, 3))
    >>> observed_risk([1, 0, 1], [5, 6, 9], [5, 8, 9, 10], ones).round(2).tolist()
    [[0.33, 0.33, 1.0, nan]]
    """
    happened, when = np.asarray(seen) == 1, np.asarray(days, dtype=np.float64)
    wanted = np.asarray(horizons, dtype=np.float64)
    # Events before those who were censored that day: these were still at risk.
    order = np.lexsort((~happened, when))
    happened, when, drawn = happened[order], when[order], weights[:, order]
    at_risk = drawn[:, ::-1].cumsum(axis=1)[:, ::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = np.where(happened & (at_risk > 0), drawn / at_risk, 0.0)
    lived = np.cumprod(1 - lost, axis=1)
    lived = np.concatenate([np.ones((len(lived), 1)), lived], axis=1)
    found = 1 - lived[:, np.searchsorted(when, wanted, side="right")]
    found[:, wanted > when[-1]] = np.nan
    return found


def _mean(values: ArrayLike, weights: Floats) -> Floats:
    return weights @ np.asarray(values, dtype=np.float64) / weights.sum(axis=1)
