"""Opponents every model must face: prevalence, and two models on counts.

Whatever is tuned is tuned inside the training rows, by cross-validation whose folds
keep a patient's rows together and hold like shares of positives.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import MaxAbsScaler

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.counts import CategoryOf, CountFeatures

PREVALENCE: Final = "prevalence"
LOGISTIC: Final = "logistic_counts"
LIGHTGBM: Final = "lightgbm_counts"
BASELINES: Final = (PREVALENCE, LOGISTIC, LIGHTGBM)

MAX_FOLDS = 5
MANY_ROWS, PARTS_OF_MANY = 5_000, 3  # from so many on one part is held out, once
C_GRID: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
C_UNTUNED = 0.1  # with too few positives for folds
_MAX_ITERATIONS = 500

LIGHTGBM_GRID: Final = (
    {"num_leaves": 4, "lambda_l2": 10.0},
    {"num_leaves": 15, "lambda_l2": 10.0},
)
YES_OR_NO: Final[Mapping[str, Any]] = {
    "objective": "binary",
    "metric": "binary_logloss",
}
_LIGHTGBM_FIXED: Final = {
    "learning_rate": 0.05,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 31,  # counts have few values; a quarter of the default's time
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    "num_threads": 1,  # OpenMP's threads spin: 20 times slower where cores are shared
}
_MAX_ROUNDS = 600
_PATIENCE = 30
ROUNDS_UNTUNED = 30

Floats = NDArray[np.float64]
Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True)
class Counted:
    """Training and test rows as count features.

    Attributes:
        train: CSR, (training rows, features).
        labels: 0 or 1, or what else the objective asks for, (training rows,).
        folds: pairs of row positions (fit, score) within training; empty when
            a class has fewer than two patients.
        test: CSR, (test rows, features).
        weights: of the training rows, (training rows,); None counts all alike.
    """

    train: sparse.csr_matrix
    labels: NDArray[Any]
    folds: Folds
    test: sparse.csr_matrix
    weights: Floats | None = None


@dataclass(frozen=True)
class CountMatrices:
    """Count features made once, from which any training rows can be taken.

    Columns are those of all training rows; no label decides over one.

    Attributes:
        train: CSR, (training rows, features).
        labels: 0 or 1, (training rows,).
        patients: whose row it is, (training rows,).
        test: CSR, (test rows, features).
    """

    train: sparse.csr_matrix
    labels: NDArray[np.int64]
    patients: NDArray[np.object_]
    test: sparse.csr_matrix

    @classmethod
    def of(
        cls,
        train: pl.DataFrame,
        test: pl.DataFrame,
        category_of: CategoryOf | None = None,
    ) -> CountMatrices:
        """Features of labelled examples, the columns learnt from `train`."""
        features = CountFeatures(category_of).fit(train)
        return cls(
            features.transform(train),
            _labels(train),
            train["patient_id"].to_numpy(),
            features.transform(test),
        )

    def counted(
        self, chosen: NDArray[np.bool_] | None = None, seed: int = 0
    ) -> Counted:
        """The chosen training rows (all by default) with folds for tuning.

        Raises:
            TaskError: the chosen rows have one class only.
        """
        if chosen is None:
            chosen = np.ones(len(self.labels), bool)
        labels = _both_classes(self.labels[chosen])
        folds = folds_of(labels, self.patients[chosen], seed)
        return Counted(self.train[np.flatnonzero(chosen)], labels, folds, self.test)


def fit_predict(
    train: pl.DataFrame,
    test: pl.DataFrame,
    kind: str,
    seed: int = 0,
    category_of: CategoryOf | None = None,
) -> Floats:
    """Fits one baseline on `train` and scores `test`.

    Args:
        train: labelled examples; nothing else is learnt from.
        test: labelled examples; their labels are not looked at.
        kind: one of `BASELINES`.
        seed: of folds and of LightGBM's sampling.
        category_of: see `CountFeatures`.

    Returns:
        Probabilities, float64, shape (test rows,).

    Raises:
        TaskError: the training rows have one class only.
        ArtifactError: an unknown kind, or frames that are no labelled examples.
    """
    return fit_predict_all(train, test, [kind], seed, category_of)[kind]


def fit_predict_all(
    train: pl.DataFrame,
    test: pl.DataFrame,
    kinds: Iterable[str] = BASELINES,
    seed: int = 0,
    category_of: CategoryOf | None = None,
) -> dict[str, Floats]:
    """As `fit_predict` for several baselines, the features made once."""
    kinds = list(kinds)
    unknown = [kind for kind in kinds if kind not in BASELINES]
    if unknown:
        raise ArtifactError(
            f"no baseline {', '.join(unknown)}; there are {', '.join(BASELINES)}"
        )
    labels = _labels(train)
    scores = {}
    if PREVALENCE in kinds:
        scores[PREVALENCE] = np.full(test.height, labels.mean())
    if LOGISTIC in kinds or LIGHTGBM in kinds:
        counted = count(train, test, seed, category_of)
        if LOGISTIC in kinds:
            scores[LOGISTIC] = logistic(counted)
        if LIGHTGBM in kinds:
            scores[LIGHTGBM] = boosted(counted, seed)
    return {kind: scores[kind] for kind in kinds}


def count(
    train: pl.DataFrame,
    test: pl.DataFrame,
    seed: int = 0,
    category_of: CategoryOf | None = None,
) -> Counted:
    """Count features of both splits and folds of the first."""
    return CountMatrices.of(train, test, category_of).counted(seed=seed)


def logistic(counted: Counted) -> Floats:
    """L2 logistic regression on log(1 + count), scaled by each column's maximum.

    C is the one of `C_GRID` with the lowest log loss over the folds.
    """
    scaler = MaxAbsScaler()
    train = scaler.fit_transform(counted.train.log1p())
    strength = _best_c(train, counted) if counted.folds else C_UNTUNED
    model = _logistic_model(strength)
    _fit_quietly(model, train, counted.labels)
    test = scaler.transform(counted.test.log1p())
    return model.predict_proba(test)[:, 1].astype(np.float64)


@dataclass(frozen=True)
class Trees:
    """A tuned setting of LightGBM.

    Attributes:
        settings: size of the trees.
        rounds: how many there are.
    """

    settings: Mapping[str, float]
    rounds: int


def boosted(
    counted: Counted, seed: int = 0, objective: Mapping[str, Any] = YES_OR_NO
) -> Floats:
    """LightGBM on counts; tree size and number of trees by loss over the folds.

    Args:
        counted: rows; their labels are what the objective asks for.
        seed: of sampling.
        objective: LightGBM's `objective` and `metric`, and what these need.
    """
    trees = tuned(counted, seed, objective)
    model = boost(
        counted.train, counted.labels, trees, seed, objective, counted.weights
    )
    return np.asarray(model.predict(counted.test), dtype=np.float64)


def tuned(
    counted: Counted, seed: int = 0, objective: Mapping[str, Any] = YES_OR_NO
) -> Trees:
    """The setting of `LIGHTGBM_GRID` and number of trees with the lowest loss."""
    data = lgb.Dataset(
        counted.train,
        counted.labels,
        weight=counted.weights,
        free_raw_data=False,
        params={**_LIGHTGBM_FIXED, **objective},
    )
    best, lowest = Trees(LIGHTGBM_GRID[0], ROUNDS_UNTUNED), float("inf")
    for setting in LIGHTGBM_GRID if counted.folds else ():
        history = lgb.cv(
            {
                **_LIGHTGBM_FIXED,
                **_sizes(len(counted.labels), seed),
                **setting,
                **objective,
            },
            data,
            num_boost_round=_MAX_ROUNDS,
            folds=counted.folds,
            callbacks=[lgb.early_stopping(_PATIENCE, verbose=False)],
        )
        losses = np.asarray(history[f"valid {objective['metric']}-mean"])
        if losses.min() < lowest:
            best, lowest = Trees(setting, int(losses.argmin()) + 1), losses.min()
    return best


def boost(
    rows: sparse.csr_matrix,
    labels: NDArray[Any],
    trees: Trees,
    seed: int = 0,
    objective: Mapping[str, Any] = YES_OR_NO,
    weights: Floats | None = None,
) -> lgb.Booster:
    """LightGBM with a setting that is known."""
    settings = {
        **_LIGHTGBM_FIXED,
        **_sizes(len(labels), seed),
        **trees.settings,
        **objective,
    }
    data = lgb.Dataset(
        rows, labels, weight=weights, params={**_LIGHTGBM_FIXED, **objective}
    )
    return lgb.train(settings, data, num_boost_round=trees.rounds)


def _sizes(rows: int, seed: int) -> dict[str, int]:
    return {"min_data_in_leaf": int(np.clip(rows // 20, 5, 20)), "seed": seed}


def _labels(train: pl.DataFrame) -> NDArray[np.int64]:
    if "label" not in train.columns:
        raise ArtifactError("training rows have no column label")
    labels = train["label"].to_numpy()
    if not len(labels) or not np.isin(labels, (0, 1)).all():
        raise ArtifactError("training labels must be 0 or 1, and there must be some")
    return _both_classes(labels.astype(np.int64))


def _both_classes(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(labels) or labels.min() == labels.max():
        one = f" have label {labels[0]}" if len(labels) else ""
        raise TaskError(
            f"all {len(labels)} training rows{one}; baselines need "
            "both classes: widen the task's population or outcome window"
        )
    return labels


def folds_of(labels: NDArray[np.int64], patients: NDArray, seed: int) -> Folds:
    """Stratified folds that keep patients whole; none when a class has one patient."""
    scarcest = min(len(np.unique(patients[labels == one])) for one in (0, 1))
    return parted(labels, patients, scarcest, seed)


def parted(strata: NDArray, patients: NDArray, most: int, seed: int) -> Folds:
    """Folds that keep patients whole and hold like shares of the strata.

    Of many rows a third is enough to judge a setting by, and is held out once.

    Args:
        strata: of each row.
        patients: of each row.
        most: folds that there may be.
        seed: of the draw.
    """
    many = len(strata) > MANY_ROWS
    count = min(PARTS_OF_MANY if many else MAX_FOLDS, most)
    if count < 2:
        return []
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # small strata are handled here
        folds = list(splitter.split(np.zeros(len(strata)), strata, patients))
    return [
        (fit, held)
        for fit, held in folds[: 1 if many else None]
        if len(held) and set(strata[fit]) == set(strata)
    ]


def _logistic_model(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS, warm_start=True)


def _fit_quietly(
    model: LogisticRegression, rows: sparse.csr_matrix, labels: NDArray[np.int64]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for C
        model.fit(rows, labels)


def _best_c(train: sparse.csr_matrix, counted: Counted) -> float:
    losses = np.zeros(len(C_GRID))
    for fit, held in counted.folds:
        model = _logistic_model(C_GRID[0])
        rows, held_rows = train[fit], train[held]
        for position, strength in enumerate(C_GRID):
            model.set_params(C=strength)
            _fit_quietly(model, rows, counted.labels[fit])
            losses[position] += len(held) * log_loss(
                counted.labels[held],
                model.predict_proba(held_rows)[:, 1],
                labels=[0, 1],
            )
    return C_GRID[int(losses.argmin())]
