"""The regularised head on [score, state]."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from claimpt_tf.training.label_head import fit_label_head, platt


def draw(rows: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    score = generator.normal(size=rows)
    state = generator.normal(size=(rows, 40))
    risk = 1 / (1 + np.exp(-(1.5 * score - 1.5)))
    return score, state, (generator.random(rows) < risk).astype(int)


def test_a_hundred_labels_do_not_undo_a_good_score() -> None:
    score, state, label = draw(100)
    head = fit_label_head(score, state, label, np.arange(100))
    score, state, label = draw(5000, seed=1)
    fitted = head.scale * score + head.shift + state @ head.correction
    assert roc_auc_score(label, fitted) > roc_auc_score(label, score) - 0.01


def test_probabilities_are_calibrated_in_the_large() -> None:
    score, state, label = draw(4000)
    head = fit_label_head(3 * score + 7, state, label, np.arange(4000))
    logit = head.scale * (3 * score + 7) + head.shift + state @ head.correction
    assert abs(np.mean(1 / (1 + np.exp(-logit))) - label.mean()) < 0.005


def test_the_state_helps_when_it_knows_more() -> None:
    score, state, _ = draw(3000)
    risk = 1 / (1 + np.exp(-(score + 2 * state[:, 0] - 1)))
    label = (np.random.default_rng(5).random(3000) < risk).astype(int)
    head = fit_label_head(score, state, label, np.arange(3000))
    assert head.state_scale > 0
    fitted = head.scale * score + state @ head.correction
    assert roc_auc_score(label, fitted) > roc_auc_score(label, score) + 0.1


def test_a_fold_without_events_falls_back_to_the_score() -> None:
    score, state, _ = draw(12)
    label = np.zeros(12, int)
    label[0] = 1
    head = fit_label_head(score, state, label, np.arange(12))
    assert head.state_scale == 0


def test_platt_mends_overconfidence() -> None:
    draw = np.random.default_rng(0)
    logit = draw.normal(size=4000)
    label = (draw.random(4000) < 1 / (1 + np.exp(-logit))).astype(int)
    slope, intercept = platt(4 * logit + 2, label)
    assert abs(slope - 0.25) < 0.03
    assert abs(slope * 2 + intercept) < 0.15


def test_platt_leaves_tiny_samples_alone() -> None:
    assert platt(np.arange(6.0), np.array([0, 0, 0, 0, 0, 1])) == (1.0, 0.0)


def test_a_state_that_knows_nothing_stays_out() -> None:
    """Of eighty draws of few labels, hardly any lets noise in."""
    kept = []
    for seed in range(80):
        score, state, label = draw(90, seed=seed)
        patient = np.arange(90) // 3
        kept.append(fit_label_head(score, state, label, patient).state_scale)
    assert sum(share > 0 for share in kept) <= 4
