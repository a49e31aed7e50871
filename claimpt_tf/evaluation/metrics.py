"""The figures by which a risk score is judged, each with a reason when it has none.

Point estimates come from scikit-learn and statsmodels where these know the figure.
`default_metrics` pairs each with its form for many bootstrap weightings at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

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
from claimpt_tf.evaluation import operating_points as points
from claimpt_tf.evaluation import smooth_calibration, weighted
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
def calibration_in_the_large(labels: Floats, scores: Floats) -> Estimate:
    """Intercept with the score's log odds as offset; 0 when right on average.

    Positive: the score is too low on average. Source: Van Calster et al. 2019,
    "Calibration: the Achilles heel of predictive analytics". By Newton's method with
    bounded steps: statsmodels' runs away where some scores are 0 or 1.
    """
    value = float(weighted.calibration_in_the_large(_unit(labels, scores))[0])
    if not np.isfinite(value):
        return Estimate(None, "the intercept did not converge")
    return Estimate(value)


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


@_two_classes
def ici(labels: Floats, scores: Floats) -> Estimate:
    """Mean distance of the smoothed calibration curve from the diagonal."""
    if np.ptp(scores) == 0:
        return Estimate(None, "every score is the same")
    return Estimate(smooth_calibration.ici(labels, scores))


def sensitivity_at_capacity(
    labels: ArrayLike, scores: ArrayLike, share: float = CAPACITY
) -> Estimate:
    """Share of all positives among the top `share` of rows by score.

    The number of rows is `share` x rows, rounded down, at least 1. Rows tied at the
    last place count by their expectation.

    >>> sensitivity_at_capacity([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.3], 0.25).value
    0.5
    """
    return _flagging(labels, scores, lambda rows: _of_top(rows, share, "sensitivity"))


def ppv_at_capacity(
    labels: ArrayLike, scores: ArrayLike, share: float = CAPACITY
) -> Estimate:
    """Share of positives among the top `share` of rows by score.

    >>> ppv_at_capacity([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.3], 0.5).value
    1.0
    """
    return _flagging(labels, scores, lambda rows: _of_top(rows, share, "ppv"))


_FLAGGING: Final = {
    "sensitivity": ("Sensitivity", points.sensitivity),
    "specificity": ("Specificity", points.specificity),
    "ppv": ("PPV", points.ppv),
    "npv": ("NPV", points.npv),
    "lift": ("Lift", points.lift),
}


def _of_top(rows: Weighted, share: float, figure: str) -> Floats:
    return _FLAGGING[figure][1](points.at_capacity(rows, _share(share)))


def _above(rows: Weighted, threshold: float, figure: str) -> Floats:
    cells = points.at_threshold(rows, threshold)
    if figure == "net_benefit":
        return points.net_benefit(cells, threshold)
    return _FLAGGING[figure][1](cells)


def _flagging(
    labels: ArrayLike, scores: ArrayLike, figure: Callable[[Weighted], Floats]
) -> Estimate:
    ranked = checked(labels, scores)
    value = float(figure(_unit(ranked.labels, ranked.scores))[0])
    if np.isfinite(value):
        return Estimate(value)
    if ranked.positive.all() or not ranked.positive.any():
        return Estimate(
            None, f"no {'negatives' if ranked.positive.any() else 'positives'}"
        )
    return Estimate(None, "nobody, or everybody, is flagged")


def _share(share: float) -> float:
    if not 0 < share <= 1:
        raise ArtifactError(
            f"capacity {share} must lie above 0 and at most 1 (0.05 is the top 5%)"
        )
    return share


def _flagging_metrics(
    suffix: str,
    title: str,
    figure: Callable[..., Floats],
    at: float,
    names: Sequence[str],
) -> list[Metric]:
    found = []
    for name in names:
        heading = "Net benefit" if name == "net_benefit" else _FLAGGING[name][0]
        resampled = partial(figure, **{_ARGUMENT[suffix]: at, "figure": name})
        found.append(
            Metric(
                f"{name}_{suffix}",
                f"{heading}, {title}",
                partial(_flagging, figure=resampled),
                resampled,
                "higher",
            )
        )
    return found


_ARGUMENT: Final = {"at_capacity": "share", "at_threshold": "threshold"}


def default_metrics(
    capacity: float = CAPACITY, threshold: float | None = None
) -> Mapping[str, Metric]:
    """The figures of every comparison, by name, in the order of the tables.

    Args:
        capacity: the share of rows a care team can take up.
        threshold: the probability from which on members are flagged; None leaves its
            figures out.
    """
    _share(capacity)
    figures = [
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
        Metric("ici", "ICI", ici, smooth_calibration.resampled_ici, "lower"),
    ]
    top = f"top {100 * capacity:.3g}%"
    every = tuple(_FLAGGING)
    figures += _flagging_metrics("at_capacity", top, _of_top, capacity, every)
    if threshold is not None:
        title = f"at {100 * threshold:.3g}%"
        figures += _flagging_metrics(
            "at_threshold", title, _above, threshold, (*every, "net_benefit")
        )
    return {metric.name: metric for metric in figures}
