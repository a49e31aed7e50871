"""What a prediction is judged by, for each kind of label, under many weightings.

As in `claimpt_tf.evaluation.weighted`, a bootstrap replicate is a weighting of rows.
Every function takes the rows of `predictions.parquet` and weights, float [R, N], and
gives each figure once a weighting, float64 [R]; NaN where a weighting allows none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from statsmodels.duration.survfunc import SurvfuncRight

from claimpt_tf.evaluation import weighted
from claimpt_tf.evaluation.recall import recall_at
from claimpt_tf.evaluation.weighted import Floats, Ranked, Weighted

Figures = dict[str, Floats]
_PROBABILITY = "probability_"
_RISK = "risk_"
_BLOCK = 64  # events whose pairs are held at once


def risk_figures(rows: pl.DataFrame, weights: Floats) -> Figures:
    """AUROC and log loss of probabilities."""
    label, chance = rows["label"].to_numpy(), rows["probability"].to_numpy()
    ranked = Ranked(label, chance)
    drawn = Weighted(ranked, weights[:, ranked.order])
    return {"auroc": weighted.auroc(drawn), "log_loss": weighted.log_loss(drawn)}


def class_figures(rows: pl.DataFrame, weights: Floats) -> Figures:
    """Accuracy, log loss, and AUROC of each class that came, averaged.

    >>> rows = {"label": ["a", "b"], "probability_a": [0.8, 0.5]}
    >>> rows = pl.DataFrame(rows | {"probability_b": [0.2, 0.5]})
    >>> found = class_figures(rows, np.ones((1, 2)))
    >>> {name: round(float(value[0]), 2) for name, value in found.items()}
    {'accuracy': 0.5, 'log_loss': 0.46, 'auroc': 1.0}
    """
    names, chances = chances_of(rows)
    place = {name: n for n, name in enumerate(names)}
    label = np.array([place[name] for name in rows["label"]])
    given = np.maximum(chances[np.arange(len(label)), label], 1e-15)
    areas = list(class_areas(rows, weights).values())
    return {
        "accuracy": _mean(chances.argmax(axis=1) == label, weights),
        "log_loss": _mean(-np.log(given), weights),
        "auroc": np.mean(areas, axis=0) if areas else np.full(len(weights), np.nan),
    }


def class_areas(rows: pl.DataFrame, weights: Floats) -> Figures:
    """AUROC of each class that came, and not to all rows, against the others."""
    names, chances = chances_of(rows)
    label = rows["label"].to_numpy()
    return {
        name: _auroc(Ranked(label == name, chances[:, n]), weights)
        for n, name in enumerate(names)
        if 0 < (label == name).mean() < 1
    }


def category_figures(rows: pl.DataFrame, weights: Floats) -> Figures:
    """Recall at 5, 10 and 30, averaged over rows."""
    names, chances = chances_of(rows)
    return recalls(chances, names, rows["label"], weights)


def recalls(
    scores: NDArray[np.float64], names: list[str], came: pl.Series, weights: Floats
) -> Figures:
    """Recall of one ranking, see `claimpt_tf.evaluation.recall.recall_at`."""
    found = recall_at(scores, names, came)
    return {name: _mean(found[name].to_numpy(), weights) for name in found.columns}


def number_figures(rows: pl.DataFrame, weights: Floats) -> Figures:
    """Mean absolute error, root of the mean squared error, and R2.

    >>> rows = pl.DataFrame({"label": [1.0, 3.0], "prediction": [1.0, 2.0]})
    >>> number_figures(rows, np.ones((1, 2)))["mean_absolute_error"]
    array([0.5])
    """
    label, given = rows["label"].to_numpy(), rows["prediction"].to_numpy()
    error = given - label
    squared = _mean(error**2, weights)
    spread = _mean(label**2, weights) - _mean(label, weights) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        explained = np.where(spread > 0, 1 - squared / spread, np.nan)
    return {
        "mean_absolute_error": _mean(np.abs(error), weights),
        "root_mean_squared_error": np.sqrt(squared),
        "r2": explained,
    }


def event_figures(rows: pl.DataFrame, weights: Floats) -> Figures:
    """Harrell's C of the risk by the last horizon, and AUROC at each horizon.

    >>> rows = {"label": [1, 1, 0], "label_days": [10.0, 20.0, 15.0]}
    >>> rows = pl.DataFrame(rows | {"risk_365d": [0.9, 0.5, 0.6]})
    >>> event_figures(rows, np.ones((1, 3)))["concordance"]
    array([1.])
    """
    seen, days = rows["label"].to_numpy(), rows["label_days"].to_numpy()
    risks = risks_of(rows)
    found = {"concordance": concordance(seen, days, risks[max(risks)], weights)}
    for horizon, risk in risks.items():
        area = auroc_by(seen, days, risk, horizon, weights)
        found[f"auroc_{horizon:.0f}d"] = area
    return found


def concordance(
    seen: ArrayLike, days: ArrayLike, risk: ArrayLike, weights: Floats
) -> Floats:
    """Share of comparable pairs in which who came first had the higher risk.

    A pair is comparable where the earlier of the two was seen to have the event; who
    was censored on that day outlived it. Equal risks count half (Harrell, 1982).

    Args:
        seen: 1 where the event was seen, 0 where follow-up ended, [N].
        days: to the event or the last look, [N].
        risk: higher is sooner, [N].
        weights: float [R, N].

    Returns:
        float64 [R]; NaN where no pair is comparable.
    """
    happened, when, given = (np.asarray(one) for one in (seen, days, risk))
    # By day, events first: whom a row's event was outlived by is a tail.
    order = np.lexsort((happened == 0, when))
    happened, when, given, drawn = (
        happened[order], when[order], given[order], weights[:, order],
    )  # fmt: skip
    events = np.flatnonzero(happened)
    ahead = np.cumsum(happened)  # events up to a row
    same = np.searchsorted(when, when[events], side="right")
    tails = events + 1 + ahead[same - 1] - ahead[events]
    later = drawn[:, ::-1].cumsum(axis=1)[:, ::-1]
    later = np.concatenate([later, np.zeros((len(later), 1))], axis=1)
    pairs = (drawn[:, events] * later[:, tails]).sum(axis=1)
    better = np.zeros(len(weights))
    for first in range(0, len(events), _BLOCK):
        some, tail = events[first : first + _BLOCK], tails[first : first + _BLOCK]
        others, places = given[tail[0] :], np.arange(tail[0], len(given))
        own = given[some][:, None]
        won = (own > others) + (own == others) / 2
        won[places < tail[:, None]] = 0
        better += (drawn[:, some] * (drawn[:, tail[0] :] @ won.T)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, better / pairs, np.nan)


def auroc_by(
    seen: ArrayLike, days: ArrayLike, risk: ArrayLike, horizon: float, weights: Floats
) -> Floats:
    """Cumulative/dynamic AUROC: events by a day against who was still free of it then.

    Who was censored on that very day outlived it. Rows censored before are stood for
    by those that were followed longer: weights are inverse probabilities of being
    followed, by Kaplan and Meier of the whole sample (Uno et al. 2007, "Evaluating
    prediction rules for t-year survivors").

    Args:
        seen: 1 where the event was seen, 0 where follow-up ended, [N].
        days: to the event or the last look, [N].
        risk: higher is sooner, [N].
        horizon: the day.
        weights: float [R, N].

    Returns:
        float64 [R]; NaN with no event by then, or with nobody followed so long.
    """
    happened, when = np.asarray(seen) == 1, np.asarray(days, dtype=np.float64)
    case = happened & (when <= horizon)
    free = (when > horizon) | ((when == horizon) & ~happened)
    if not case.any() or not free.any():
        return np.full(len(weights), np.nan)
    # Who was free counts alike, so that their weight cancels out.
    share = np.where(case, 1 / np.maximum(_followed(happened, when), 1e-9), free)
    return _auroc(Ranked(case, np.asarray(risk)), weights * share)


def _followed(happened: NDArray[np.bool_], when: Floats) -> Floats:
    """Kaplan-Meier probability of each row to be followed until just before `when`."""
    if happened.all():
        return np.ones(len(when))
    # Who has the event on a day was not there to be censored on it any more.
    curve = SurvfuncRight(when + 1e-6 * ~happened, (~happened).astype(int))
    place = np.searchsorted(curve.surv_times, when, side="left")
    return np.append(1.0, curve.surv_prob)[place]


def chances_of(rows: pl.DataFrame) -> tuple[list[str], NDArray[np.float64]]:
    """The classes or categories of predictions, and their probabilities [N, K]."""
    columns = [name for name in rows.columns if name.startswith(_PROBABILITY)]
    names = [name.removeprefix(_PROBABILITY) for name in columns]
    return names, rows.select(columns).to_numpy()


def risks_of(rows: pl.DataFrame) -> dict[float, Floats]:
    """Horizon in days -> risk of each row by then [N], horizons in order."""
    found = {
        float(name.removeprefix(_RISK).removesuffix("d")): rows[name].to_numpy()
        for name in rows.columns
        if name.startswith(_RISK)
    }
    return dict(sorted(found.items()))


def _auroc(ranked: Ranked, weights: Floats) -> Floats:
    return weighted.auroc(Weighted(ranked, weights[:, ranked.order]))


def _mean(values: ArrayLike, weights: Floats) -> Floats:
    return weights @ np.asarray(values, dtype=np.float64) / weights.sum(axis=1)


FIGURES: Final[Mapping[str, Callable[[pl.DataFrame, Floats], Figures]]] = {
    "binary": risk_figures,
    "multi_class": class_figures,
    "multi_label": category_figures,
    "regression": number_figures,
    "time_to_event": event_figures,
}
