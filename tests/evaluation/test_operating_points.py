"""Flagging, net benefit and the smoothed calibration against other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation import operating_points as points
from claimpt_tf.evaluation.metrics import default_metrics
from claimpt_tf.evaluation.smooth_calibration import ici, resampled_ici
from claimpt_tf.evaluation.weighted import Ranked, Weighted

GENERATOR = np.random.default_rng(5)
SCORES = GENERATOR.beta(1, 4, 400).round(2)  # with ties
LABELS = (GENERATOR.random(400) < SCORES**1.2).astype(float)
WEIGHTS = GENERATOR.integers(0, 3, (3, 400)).astype(float)


def rows_of(weights: np.ndarray) -> Weighted:
    ranked = Ranked(LABELS, SCORES)
    return Weighted(ranked, weights[:, ranked.order])


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.31])
def test_a_threshold_gives_scikit_learns_table(threshold: float) -> None:
    cells = points.at_threshold(rows_of(WEIGHTS), threshold)
    for place, weight in enumerate(WEIGHTS):
        flagged = threshold <= SCORES
        table = confusion_matrix(LABELS, flagged, sample_weight=weight)
        (left, false_alarms), (missed, hits) = table
        assert cells.hits[place] == hits and cells.left[place] == left
        assert points.sensitivity(cells)[place] == pytest.approx(hits / (hits + missed))
        assert points.specificity(cells)[place] == pytest.approx(
            left / (left + false_alarms)
        )
        ppv = hits / (hits + false_alarms)
        assert points.ppv(cells)[place] == pytest.approx(ppv)
        assert points.npv(cells)[place] == pytest.approx(left / (left + missed))
        rate = (hits + missed) / table.sum()
        assert points.lift(cells)[place] == pytest.approx(ppv / rate)
        odds = threshold / (1 - threshold)
        assert points.net_benefit(cells, threshold)[place] == pytest.approx(
            hits / table.sum() - odds * false_alarms / table.sum()
        )


def test_a_capacity_flags_the_top_rows() -> None:
    scores = np.arange(400) / 400
    ranked = Ranked(LABELS, scores)
    cells = points.at_capacity(Weighted(ranked, np.ones((1, 400))), 0.1)
    table = confusion_matrix(LABELS, scores >= 0.9)
    assert [cells.left[0], cells.false_alarms[0], cells.missed[0], cells.hits[0]] == (
        table.ravel().tolist()
    )


def test_flagging_all_is_the_decision_curves_other_line() -> None:
    everybody = points.at_threshold(
        Weighted(Ranked(LABELS, np.full(400, 0.5)), np.ones((1, 400))), 0.2
    )
    assert points.net_benefit(everybody, 0.2)[0] == pytest.approx(
        points.treat_all(LABELS, 0.2)
    )
    with pytest.raises(ArtifactError, match="between 0 and 1"):
        points.at_threshold(rows_of(WEIGHTS), 1.0)


def test_figures_that_do_not_exist_say_why() -> None:
    metrics = default_metrics(threshold=0.99)
    found = metrics["ppv_at_threshold"].point(LABELS, SCORES)
    assert (found.value, found.reason) == (None, "nobody, or everybody, is flagged")
    found = metrics["sensitivity_at_threshold"].point(0 * LABELS, SCORES)
    assert (found.value, found.reason) == (None, "no positives")


def test_grouped_lines_are_statsmodels_lowess() -> None:
    generator = np.random.default_rng(1)
    scores = generator.beta(1, 5, 3000)
    labels = (generator.random(3000) < scores**0.7).astype(float)
    ranked = Ranked(labels, scores)
    unit = resampled_ici(Weighted(ranked, np.ones((1, 3000))))[0]
    assert unit == pytest.approx(ici(labels, scores), abs=0.003)
    assert ici(labels, scores) == pytest.approx(
        np.mean(np.abs(scores**0.7 - scores)), abs=0.02
    )
    drawn = generator.integers(0, 3000, 3000)
    weights = np.bincount(drawn, minlength=3000)[None].astype(float)
    again = resampled_ici(Weighted(ranked, weights[:, ranked.order]))[0]
    assert again == pytest.approx(ici(labels[drawn], scores[drawn]), abs=0.004)
