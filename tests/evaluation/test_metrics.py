"""Each figure against an independent implementation, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import rankdata
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation import metrics
from claimpt_tf.evaluation.metrics import default_metrics


def sample(rows: int, seed: int = 0, ties: bool = False):
    generator = np.random.default_rng(seed)
    logit = generator.normal(-1, 1.2, rows)
    labels = (generator.random(rows) < 1 / (1 + np.exp(-logit))).astype(float)
    scores = 1 / (1 + np.exp(-0.7 * logit - 0.4 + generator.normal(0, 0.5, rows)))
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_is_the_mann_whitney_statistic(ties: bool) -> None:
    labels, scores = sample(300, ties=ties)
    ranks = rankdata(scores)
    positives, negatives = labels.sum(), (1 - labels).sum()
    u = ranks[labels == 1].sum() - positives * (positives + 1) / 2
    assert metrics.auroc(labels, scores).value == pytest.approx(
        u / positives / negatives
    )


def test_auprc_is_precision_at_each_new_hit() -> None:
    labels, scores = sample(300)
    order = np.argsort(-scores)
    hits = np.cumsum(labels[order])
    precision = hits / np.arange(1, 301)
    expected = precision[labels[order] == 1].mean()
    assert metrics.auprc(labels, scores).value == pytest.approx(expected)


def test_proper_scores_are_their_definitions() -> None:
    labels, scores = sample(300)
    brier = np.mean((scores - labels) ** 2)
    rate = labels.mean()
    likelihood = np.where(labels == 1, scores, 1 - scores)
    assert metrics.brier(labels, scores).value == pytest.approx(brier)
    assert metrics.scaled_brier(labels, scores).value == pytest.approx(
        1 - brier / (rate * (1 - rate))
    )
    assert metrics.log_loss(labels, scores).value == pytest.approx(
        -np.log(likelihood).mean()
    )


def test_scaled_brier_of_the_prevalence_is_zero() -> None:
    labels, _ = sample(300)
    same = np.full(300, labels.mean())
    assert metrics.scaled_brier(labels, same).value == pytest.approx(0, abs=1e-12)


def test_calibration_slope_is_an_unpenalised_logistic_regression() -> None:
    labels, scores = sample(500)
    logits = np.log(scores / (1 - scores))
    fit = LogisticRegression(penalty=None, tol=1e-10, max_iter=1000)
    fit.fit(logits[:, None], labels)
    assert metrics.calibration_slope(labels, scores).value == pytest.approx(
        fit.coef_[0, 0], abs=1e-5
    )


def test_calibration_in_the_large_sets_expected_to_observed() -> None:
    labels, scores = sample(500)
    shift = metrics.calibration_in_the_large(labels, scores).value
    assert shift is not None
    shifted = 1 / (1 + np.exp(-np.log(scores / (1 - scores)) - shift))
    assert shifted.mean() == pytest.approx(labels.mean(), abs=1e-9)


def test_calibration_in_the_large_of_certain_scores() -> None:
    """Isotonic recalibration gives zeros and ones, from which GLM's steps run away."""
    draw = np.random.default_rng(0)
    scores = draw.choice([0.0, 0.05, 0.2, 1.0], 341)
    labels = (draw.random(341) < np.clip(scores, 0.05, 0.6)).astype(float)
    shift = metrics.calibration_in_the_large(labels, scores).value
    assert shift is not None
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    shifted = 1 / (1 + np.exp(-np.log(clipped / (1 - clipped)) - shift))
    assert shifted.mean() == pytest.approx(labels.mean(), abs=1e-6)


def test_calibration_of_the_truth_is_zero_and_one() -> None:
    generator = np.random.default_rng(5)
    logit = generator.normal(-1, 1, 200_000)
    truth = 1 / (1 + np.exp(-logit))
    labels = (generator.random(len(truth)) < truth).astype(float)
    assert metrics.calibration_in_the_large(labels, truth).value == pytest.approx(
        0, abs=0.02
    )
    assert metrics.calibration_slope(labels, truth).value == pytest.approx(1, abs=0.02)
    assert metrics.ece(labels, truth).value == pytest.approx(0, abs=0.006)


def test_ece_uses_the_bins_of_scikit_learn() -> None:
    labels, scores = sample(1000)
    observed, mean = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    expected = np.abs(observed - mean).mean()  # 100 rows in each of the bins
    assert metrics.ece(labels, scores).value == pytest.approx(expected)


def test_capacity_counts_the_top_rows() -> None:
    labels, scores = sample(230)
    top = np.argsort(-scores)[:11]  # 5% of 230 is 11.5: a team sees 11
    hits = labels[top].sum()
    assert metrics.sensitivity_at_capacity(labels, scores).value == pytest.approx(
        hits / labels.sum()
    )
    assert metrics.ppv_at_capacity(labels, scores).value == pytest.approx(hits / 11)


def test_ties_at_capacity_do_not_depend_on_the_order_of_rows() -> None:
    labels, scores = sample(300, ties=True)
    turned = metrics.ppv_at_capacity(labels[::-1], scores[::-1])
    assert metrics.ppv_at_capacity(labels, scores) == turned
    constant = metrics.ppv_at_capacity(labels, np.full(300, 0.3))
    assert constant.value == pytest.approx(labels.mean())


def test_one_row_is_the_smallest_capacity() -> None:
    assert metrics.ppv_at_capacity([0, 1, 0], [0.1, 0.9, 0.2], 0.01).value == 1.0


def test_capacity_outside_0_to_1_is_refused() -> None:
    for share in (0, 1.5, -0.1):
        with pytest.raises(ArtifactError, match="above 0 and at most 1"):
            default_metrics(share)
        with pytest.raises(ArtifactError, match="above 0 and at most 1"):
            metrics.ppv_at_capacity([0, 1], [0.1, 0.2], share)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([0, 0, 0, 0], "no positives"),
        ([1, 1, 1, 1], "no negatives"),
        ([0, 0, 0, 1], "fewer than 2 positives"),
        ([1, 1, 1, 0], "fewer than 2 negatives"),
    ],
)
def test_one_class_has_no_ranking_and_says_so(labels: list[int], reason: str) -> None:
    scores = [0.1, 0.2, 0.3, 0.4]
    for name in (
        "auroc",
        "auprc",
        "scaled_brier",
        "calibration_in_the_large",
        "calibration_slope",
    ):
        found = default_metrics()[name].point(np.array(labels), np.array(scores))
        assert (found.value, found.reason) == (None, reason)
    assert metrics.brier(labels, scores).value is not None
    assert metrics.log_loss(labels, scores).value is not None


def test_no_positives_have_no_sensitivity() -> None:
    found = metrics.sensitivity_at_capacity([0, 0], [0.1, 0.2])
    assert (found.value, found.reason) == (None, "no positives")


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([0.3, 0.3, 0.3, 0.3], "every score is the same"),
        ([0.1, 0.2, 0.3, 0.4], "a threshold separates the classes"),
        ([0.4, 0.3, 0.2, 0.1], "a threshold separates the classes"),
        ([0.1, 0.3, 0.3, 0.4], "a threshold separates the classes"),
    ],
)
def test_separated_classes_have_no_slope(scores: list[float], reason: str) -> None:
    found = metrics.calibration_slope([0, 0, 1, 1], scores)
    assert (found.value, found.reason) == (None, reason)


def test_scores_of_0_and_1_stay_finite() -> None:
    labels, scores = [0, 1, 0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0, 0.7, 0.2]
    for metric in default_metrics().values():
        value = metric.point(np.array(labels, float), np.array(scores)).value
        assert value is not None
        assert np.isfinite(value)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.1, float("nan")], r"LR: 1 of 2 scores is NaN.*first at row 1"),
        ([0, 1], [float("inf"), 0.1], r"infinite, first at row 0"),
        ([0, 1], [0.1, 1.2], r"1 of 2 scores lie outside 0 to 1, first at row 1"),
        ([0, 1], [-3.0, 0.2], r"not log odds"),
        ([0, 2], [0.1, 0.2], r"labels must be 0 or 1; 1 of 2 are not, first at row 1"),
        ([0, 1], [0.1], r"\(1,\) scores for \(2,\) labels"),
        ([], [], r"no rows"),
    ],
)
def test_broken_input_is_an_error_that_names_the_row(labels, scores, message) -> None:
    with pytest.raises(ArtifactError, match=message):
        metrics.checked(labels, scores, "LR")


def test_every_metric_refuses_nan() -> None:
    for metric in default_metrics().values():
        with pytest.raises(ArtifactError, match="NaN"):
            metric.point(np.array([0.0, 1.0]), np.array([0.5, np.nan]))


def test_titles_name_the_capacity() -> None:
    titles = [metric.title for metric in default_metrics(0.025, 0.3).values()]
    assert {"Sensitivity, top 2.5%", "PPV, top 2.5%", "Lift, at 30%"} <= set(titles)
    assert titles[-1] == "Net benefit, at 30%"


def test_statsmodels_agrees_on_the_calibration_line() -> None:
    labels, scores = sample(400, seed=3)
    logits = np.log(scores / (1 - scores))
    line = sm.Logit(labels, sm.add_constant(logits)).fit(disp=False, tol=1e-12)
    assert metrics.calibration_slope(labels, scores).value == pytest.approx(
        line.params[1], abs=1e-7
    )
