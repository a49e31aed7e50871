"""The figures by which a risk score is judged, each with a reason when it has none.

Point estimates come from scikit-learn and statsmodels where these know the figure.
`default_metrics` pairs each with its form for many bootstrap weightings at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    roc_auc_score,
)
from sklearn.metrics import log_loss as sklearn_log_loss
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation import weighted
from claimpt_tf.evaluation.weighted import Floats, Ranked, Weighted

CAPACITY = 0.05
MIN_EACH_CLASS = 2


@dataclass(frozen=True)
class Estimate:
    """A figure, or the reason why it cannot be estimated."""

    value: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Metric:
    """One figure in its two forms.

    Attributes:
        name: key in `metrics.json`.
        title: what a table's heading says.
        point: the estimate from (labels, scores).
        resampled: the same for many weightings; (replicates,) from a `Weighted`.
        better: "higher", "lower" or the ideal value as text ("0", "1").
    """

    name: str
    title: str
    point: Callable[[Floats, Floats], Estimate]
    resampled: Callable[[Weighted], Floats]
    better: str


def checked(labels: ArrayLike, scores: ArrayLike, who: str = "the model") -> Ranked:
    """Labels and scores as a `Ranked`, or an error that says what is wrong.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: probabilities in [0, 1], shape (rows,).
        who: the model's name, for the message.

    Raises:
        ArtifactError: lengths differ, no rows, labels other than 0 and 1, scores
            missing, not finite or outside [0, 1].

    >>> checked([0, 1], [0.2, float("nan")], "counts")
    Traceback (most recent call last):
        ...
    claimpt_tf.errors.ArtifactError: counts: 1 of 2 scores is NaN, missing or \
infinite, first at row 1; score every row again
    """
    truth = np.asarray(labels, dtype=np.float64)
    given = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != given.shape:
        raise ArtifactError(
            f"{who}: {given.shape} scores for {truth.shape} labels; "
            "give one score a row, in the rows' order"
        )
    if not len(truth):
        raise ArtifactError(f"{who}: no rows to evaluate; is the split empty?")
    strange = ~np.isin(truth, (0.0, 1.0))
    if strange.any():
        raise ArtifactError(
            f"{who}: labels must be 0 or 1; {strange.sum()} of {len(truth)} are not, "
            f"first at row {int(strange.argmax())}"
        )
    broken = ~np.isfinite(given)
    if broken.any():
        count = int(broken.sum())
        raise ArtifactError(
            f"{who}: {count} of {len(given)} scores {'is' if count == 1 else 'are'} "
            f"NaN, missing or infinite, first at row {int(broken.argmax())}; "
            "score every row again"
        )
    outside = (given < 0) | (given > 1)
    if outside.any():
        raise ArtifactError(
            f"{who}: {outside.sum()} of {len(given)} scores lie outside 0 to 1, first "
            f"at row {int(outside.argmax())}; give probabilities, not log odds"
        )
    return Ranked(truth, given)


def too_few(labels: Floats) -> str | None:
    """Why figures that need both classes cannot be estimated, or None.

    >>> too_few(np.array([0.0, 0.0]))
    'no positives'
    >>> too_few(np.array([0.0, 0.0, 1.0]))
    'fewer than 2 positives'
    """
    positives = int(labels.sum())
    for count, name in (
        (positives, "positives"),
        (len(labels) - positives, "negatives"),
    ):
        if count == 0:
            return f"no {name}"
        if count < MIN_EACH_CLASS:
            return f"fewer than {MIN_EACH_CLASS} {name}"
    return None


def _two_classes(
    figure: Callable[[Floats, Floats], float | Estimate],
) -> Callable[[ArrayLike, ArrayLike], Estimate]:
    def estimate(labels: ArrayLike, scores: ArrayLike) -> Estimate:
        ranked = checked(labels, scores)
        reason = too_few(ranked.labels)
        if reason is not None:
            return Estimate(None, reason)
        result = figure(ranked.labels, ranked.scores)
        return result if isinstance(result, Estimate) else Estimate(float(result))

    estimate.__name__ = figure.__name__
    estimate.__doc__ = figure.__doc__
    return estimate


def _any_classes(
    figure: Callable[[Floats, Floats], float],
) -> Callable[[ArrayLike, ArrayLike], Estimate]:
    def estimate(labels: ArrayLike, scores: ArrayLike) -> Estimate:
        ranked = checked(labels, scores)
        return Estimate(float(figure(ranked.labels, ranked.scores)))

    estimate.__name__ = figure.__name__
    estimate.__doc__ = figure.__doc__
    return estimate


def _unit(labels: Floats, scores: Floats) -> Weighted:
    return Weighted(Ranked(labels, scores), np.ones((1, len(labels))))


@_two_classes
def auroc(labels: Floats, scores: Floats) -> float:
    """Area under the ROC curve.

    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value
    0.75
    """
    return float(roc_auc_score(labels, scores))


@_two_classes
def auprc(labels: Floats, scores: Floats) -> float:
    """Average precision, without interpolation."""
    return float(average_precision_score(labels, scores))


@_any_classes
def brier(labels: Floats, scores: Floats) -> float:
    """Mean squared difference between probability and label."""
    return float(brier_score_loss(labels, scores, pos_label=1))


@_two_classes
def scaled_brier(labels: Floats, scores: Floats) -> float:
    """1 - Brier / (prevalence x (1 - prevalence)); 0 for predicting the prevalence."""
    rate = labels.mean()
    return 1 - float(brier_score_loss(labels, scores, pos_label=1)) / (
        rate * (1 - rate)
    )


@_any_classes
def log_loss(labels: Floats, scores: Floats) -> float:
    """Mean negative log likelihood in nats, probabilities clipped as scikit-learn."""
    return float(sklearn_log_loss(labels, scores, labels=[0.0, 1.0]))


@_two_classes
def calibration_in_the_large(labels: Floats, scores: Floats) -> float:
    """Intercept with the score's log odds as offset; 0 when right on average.

    Positive: the score is too low on average. Source: Van Calster et al. 2019,
    "Calibration: the Achilles heel of predictive analytics".
    """
    ranked = Ranked(labels, scores)
    model = GLM(
        ranked.labels,
        np.ones((len(ranked), 1)),
        family=Binomial(),
        offset=ranked.logits,
    )
    return float(model.fit(tol=1e-12).params[0])


@_two_classes
def calibration_slope(labels: Floats, scores: Floats) -> Estimate:
    """Slope of the label on the score's log odds; 1 when right, below 1 overfitted."""
    ranked = Ranked(labels, scores)
    if ranked.scores[0] == ranked.scores[-1]:
        return Estimate(None, "every score is the same")
    if _unit(labels, scores).separated[0]:
        return Estimate(None, "a threshold separates the classes")
    design = np.stack([np.ones(len(ranked)), ranked.logits], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # separation is handled above
        fit = GLM(ranked.labels, design, family=Binomial()).fit(tol=1e-12, maxiter=200)
    if not fit.converged:
        return Estimate(None, "the calibration line did not converge")
    return Estimate(float(fit.params[1]))


@_any_classes
def ece(labels: Floats, scores: Floats) -> float:
    """Expected calibration error over ten quantile bins; 0 when calibrated.

    Biased upwards when a bin holds few positives: read it beside the slope.
    """
    return float(weighted.ece(_unit(labels, scores))[0])


def sensitivity_at_capacity(
    labels: ArrayLike, scores: ArrayLike, share: float = CAPACITY
) -> Estimate:
    """Share of all positives among the top `share` of rows by score.

    The number of rows is `share` x rows, rounded down, at least 1. Rows tied at the
    last place count by their expectation.

    >>> sensitivity_at_capacity([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.3], 0.25).value
    0.5
    """
    ranked = checked(labels, scores)
    if not ranked.labels.any():
        return Estimate(None, "no positives")
    rows = _unit(ranked.labels, ranked.scores)
    return Estimate(float(weighted.sensitivity_at_capacity(rows, _share(share))[0]))


def ppv_at_capacity(
    labels: ArrayLike, scores: ArrayLike, share: float = CAPACITY
) -> Estimate:
    """Share of positives among the top `share` of rows by score.

    >>> ppv_at_capacity([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.3], 0.5).value
    1.0
    """
    ranked = checked(labels, scores)
    rows = _unit(ranked.labels, ranked.scores)
    return Estimate(float(weighted.ppv_at_capacity(rows, _share(share))[0]))


def _share(share: float) -> float:
    if not 0 < share <= 1:
        raise ArtifactError(
            f"capacity {share} must lie above 0 and at most 1 (0.05 is the top 5%)"
        )
    return share


def default_metrics(capacity: float = CAPACITY) -> Mapping[str, Metric]:
    """The figures of every comparison, by name, in the order of the tables.

    Args:
        capacity: the share of rows a care team can take up.
    """
    _share(capacity)
    top = f"top {100 * capacity:.3g}%"
    figures = (
        Metric("auroc", "AUROC", auroc, weighted.auroc, "higher"),
        Metric("auprc", "AUPRC", auprc, weighted.auprc, "higher"),
        Metric("brier", "Brier", brier, weighted.brier, "lower"),
        Metric(
            "scaled_brier",
            "Scaled Brier",
            scaled_brier,
            weighted.scaled_brier,
            "higher",
        ),
        Metric("log_loss", "Log loss", log_loss, weighted.log_loss, "lower"),
        Metric(
            "calibration_in_the_large",
            "Calibration in the large",
            calibration_in_the_large,
            weighted.calibration_in_the_large,
            "0",
        ),
        Metric(
            "calibration_slope",
            "Calibration slope",
            calibration_slope,
            weighted.calibration_slope,
            "1",
        ),
        Metric("ece", "ECE", ece, weighted.ece, "lower"),
        Metric(
            "sensitivity_at_capacity",
            f"Sensitivity, {top}",
            partial(sensitivity_at_capacity, share=capacity),
            partial(weighted.sensitivity_at_capacity, share=capacity),
            "higher",
        ),
        Metric(
            "ppv_at_capacity",
            f"PPV, {top}",
            partial(ppv_at_capacity, share=capacity),
            partial(weighted.ppv_at_capacity, share=capacity),
            "higher",
        ),
    )
    return {metric.name: metric for metric in figures}
