"""Opponents of networks whose labels are classes, categories, numbers or times.

All learn from the same counts as the baselines of `claimpt_tf.evaluation.baselines`,
and what is tuned is tuned inside the training rows likewise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.preprocessing import MaxAbsScaler

from claimpt_tf.evaluation.baselines import (
    Counted,
    Folds,
    boosted,
    parted,
)
from claimpt_tf.evaluation.counts import CategoryOf, CountFeatures
from claimpt_tf.evaluation.proportional_hazards import (
    Baseline,
    fit_cox,
    poisson_rows,
)
from claimpt_tf.evaluation.weighted import Floats

C_GRID: Final = (0.003, 0.03, 0.3, 3.0)
ALPHAS: Final = (1000.0, 100.0, 10.0, 1.0)
_MAX_ITERATIONS = 500
_SQUARED: Final = {"objective": "regression", "metric": "l2"}
_RATES: Final = {"objective": "poisson", "metric": "poisson"}

Setting = TypeVar("Setting")


def counted_rows(
    known: pl.DataFrame,
    test: pl.DataFrame,
    labels: NDArray,
    strata: NDArray,
    seed: int = 0,
    category_of: CategoryOf | None = None,
    wanted: Callable[[str], bool] = lambda name: True,
) -> Counted:
    """Count features of both, the columns learnt from `known`, and folds for tuning.

    Args:
        known: labelled examples to learn from.
        test: labelled examples to score.
        labels: of `known`, whatever they are, first axis (known rows,).
        strata: numbers of which each fold gets like shares, (known rows,).
        seed: of the folds.
        category_of: see `CountFeatures`.
        wanted: which features, by name.
    """
    features = CountFeatures(category_of).fit(known)
    kept = np.flatnonzero([wanted(name) for name in features.names])
    patients = known["patient_id"].to_numpy()
    folds = parted(strata, patients, known["patient_id"].n_unique(), seed)
    train, scored = (features.transform(rows)[:, kept] for rows in (known, test))
    return Counted(train, labels, folds, scored)


def linear_classes(counted: Counted, classes: int) -> Floats:
    """Multinomial logistic regression with an L2 penalty.

    Args:
        counted: rows; their labels are numbers of classes.
        classes: how many there are; one that came in no row gets probability 0.

    Returns:
        float64 (test rows, classes).
    """
    train, test = _logs(counted)

    def chances(
        strength: float, fit: NDArray | slice, rows: sparse.csr_matrix
    ) -> Floats:
        model = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for C
            model.fit(train[fit], counted.labels[fit])
        found = np.zeros((rows.shape[0], classes))
        found[:, model.classes_] = model.predict_proba(rows)
        return found

    def loss(strength: float, fit: NDArray, held: NDArray) -> float:
        found = np.clip(chances(strength, fit, train[held]), 1e-15, None)
        found /= found.sum(axis=1, keepdims=True)
        return float(
            log_loss(
                counted.labels[held], found, labels=range(classes), normalize=False
            )
        )

    return chances(_best(C_GRID, counted.folds, loss), slice(None), test)


def boosted_classes(counted: Counted, classes: int, seed: int = 0) -> Floats:
    """LightGBM's softmax of trees, float64 (test rows, classes)."""
    objective = {
        "objective": "multiclass", "metric": "multi_logloss", "num_class": classes,
    }  # fmt: skip
    return boosted(counted, seed, objective)


def linear_numbers(counted: Counted) -> Floats:
    """Ridge regression of one or several numbers a row, float64 (test rows, ...)."""
    train, test = _logs(counted)
    solver = "sparse_cg"
    if counted.labels.ndim == 2:  # one decomposition serves all
        train, test, solver = train.toarray(), test.toarray(), "cholesky"

    def fitted(alpha: float, fit: NDArray | slice) -> Ridge:
        return Ridge(alpha, solver=solver).fit(train[fit], counted.labels[fit])

    def loss(alpha: float, fit: NDArray, held: NDArray) -> float:
        error = fitted(alpha, fit).predict(train[held]) - counted.labels[held]
        return float((error**2).sum())

    alpha = _best(ALPHAS, counted.folds, loss)
    return np.asarray(fitted(alpha, slice(None)).predict(test), dtype=np.float64)


def boosted_numbers(counted: Counted, seed: int = 0) -> Floats:
    """LightGBM's least squares, float64 (test rows,)."""
    return boosted(counted, seed, _SQUARED)


def cox_risks(counted: Counted, days: Floats, horizons: Sequence[float]) -> Floats:
    """A Cox model with a ridge penalty.

    Args:
        counted: rows; their labels are 1 where the event was seen.
        days: to the event or the last look, (training rows,).
        horizons: days.

    Returns:
        Risk by each horizon, float64 (test rows, horizons).
    """
    train, test = _logs(counted)
    seen = counted.labels
    baseline = Baseline.of(seen, days, np.ones(len(days)))
    label, weight = poisson_rows(seen, days, baseline)

    def penalty(strength: float, fit: NDArray) -> float:
        return 1 / (strength * max(seen[fit].sum(), 1))

    def loss(strength: float, fit: NDArray, held: NDArray) -> float:
        model, _ = fit_cox(train[fit], seen[fit], days[fit], penalty(strength, fit), 1)
        held = held[weight[held] > 0]
        rates = np.maximum(model.predict(train[held]), 1e-12)
        deviance = mean_poisson_deviance(label[held], rates, sample_weight=weight[held])
        return float(deviance * weight[held].sum())

    everyone = np.arange(len(days))
    strength = _best(C_GRID, counted.folds, loss)
    model, fitted = fit_cox(train, seen, days, penalty(strength, everyone))
    return fitted.risks(model.predict(test), horizons)


def boosted_risks(
    counted: Counted, days: Floats, horizons: Sequence[float], seed: int = 0
) -> Floats:
    """LightGBM's rates under proportional hazards; as `cox_risks`."""
    seen = counted.labels
    label, weight = poisson_rows(
        seen, days, Baseline.of(seen, days, np.ones(len(days)))
    )
    told = np.flatnonzero(weight > 0)
    place = np.full(len(days), -1)
    place[told] = np.arange(len(told))
    folds = [
        (place[fit][place[fit] >= 0], place[held][place[held] >= 0])
        for fit, held in counted.folds
    ]
    rates = replace(
        counted, train=counted.train[told], labels=label[told], folds=folds,
        weights=weight[told], test=sparse.vstack([counted.train, counted.test]).tocsr(),
    )  # fmt: skip
    found = boosted(rates, seed, _RATES)
    baseline = Baseline.of(seen, days, found[: len(days)])
    return baseline.risks(found[len(days) :], horizons)


def _logs(counted: Counted) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """log(1 + count), scaled by each column's maximum in training."""
    scaler = MaxAbsScaler()
    train = scaler.fit_transform(counted.train.log1p())
    return train, scaler.transform(counted.test.log1p())


def _best(
    grid: Sequence[Setting],
    folds: Folds,
    loss: Callable[[Setting, NDArray, NDArray], float],
) -> Setting:
    """The setting with the lowest loss over the folds; without any, the second one."""
    if not folds:
        return grid[1]
    totals = [sum(loss(one, *fold) for fold in folds) for one in grid]
    return grid[int(np.argmin(totals))]
