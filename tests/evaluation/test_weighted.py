"""The figures of many weightings at once equal the figures of repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from claimpt_tf.evaluation.metrics import default_metrics
from claimpt_tf.evaluation.weighted import Ranked, Weighted, ece

METRICS = default_metrics(0.1)
# Their bins and windows are those of all rows, not of the repeated ones.
SAME_BINS = ("ece", "ici")


def by_repetition(name: str, labels, scores, weights) -> list[float]:
    values = []
    for counts in weights.astype(int):
        rows = np.repeat(np.arange(len(labels)), counts)
        value = METRICS[name].point(labels[rows], scores[rows]).value
        values.append(np.nan if value is None else value)
    return values


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", [name for name in METRICS if name not in SAME_BINS])
def test_a_weight_is_a_repeated_row(name: str, ties: bool) -> None:
    generator = np.random.default_rng(1)
    logit = generator.normal(-1, 1, 150)
    labels = (generator.random(150) < 1 / (1 + np.exp(-logit))).astype(float)
    scores = 1 / (1 + np.exp(-1.5 * logit - generator.normal(0, 1, 150)))
    scores = scores.round(1 if ties else 12)
    weights = generator.poisson(1, (20, 150)).astype(float)
    ranked = Ranked(labels, scores)
    found = METRICS[name].resampled(Weighted(ranked, weights[:, ranked.order]))
    assert found == pytest.approx(
        by_repetition(name, labels, scores, weights), abs=1e-6
    )


def test_the_bins_of_the_ece_stay_those_of_all_rows() -> None:
    generator = np.random.default_rng(2)
    scores = generator.random(200)
    labels = (generator.random(200) < scores).astype(float)
    weights = generator.poisson(1, (5, 200)).astype(float)
    edges = np.quantile(scores, np.linspace(0.1, 0.9, 9))
    bins = np.searchsorted(edges, scores)
    expected = [
        sum(abs((row * (scores - labels))[bins == one].sum()) for one in range(10))
        / row.sum()
        for row in weights
    ]
    ranked = Ranked(labels, scores)
    assert ece(Weighted(ranked, weights[:, ranked.order])) == pytest.approx(expected)


@settings(max_examples=25)
@given(
    hnp.arrays(float, 12, elements=st.sampled_from([0.0, 1.0])),
    hnp.arrays(float, 12, elements=st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.9, 1.0])),
    hnp.arrays(float, (3, 12), elements=st.integers(0, 3).map(float)),
)
def test_small_samples_give_the_same_figure_or_none(labels, scores, weights) -> None:
    weights[:, 0] += 1  # a bootstrap replicate always draws somebody
    ranked = Ranked(labels, scores)
    rows = Weighted(ranked, weights[:, ranked.order])
    for name in ("auroc", "auprc", "brier", "log_loss", "ppv_at_capacity"):
        found = METRICS[name].resampled(rows)
        for value, expected in zip(
            found, by_repetition(name, labels, scores, weights), strict=True
        ):
            # One positive allows a replicate's figure, though not a point estimate.
            assert np.isnan(expected) or value == pytest.approx(expected, abs=1e-9)
    slopes = METRICS["calibration_slope"].resampled(rows)
    for value, expected in zip(
        slopes,
        by_repetition("calibration_slope", labels, scores, weights),
        strict=True,
    ):
        if not np.isnan(expected) and abs(expected) < 5:
            assert value == pytest.approx(expected, abs=1e-5)


def test_replicates_without_a_class_are_nan() -> None:
    ranked = Ranked([1, 0, 0], [0.9, 0.5, 0.1])
    weights = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    for name in ("auroc", "auprc", "scaled_brier", "calibration_in_the_large"):
        found = METRICS[name].resampled(Weighted(ranked, weights))
        assert np.isnan(found).all(), name
    sensitivity = METRICS["sensitivity_at_capacity"].resampled(
        Weighted(ranked, weights)
    )
    assert np.isnan(sensitivity[0])
    assert sensitivity[1] == pytest.approx(1 / 3)
