"""Losses against plain loops."""

from __future__ import annotations

import numpy as np

from claimpt_tf.training.objectives import (
    NEVER,
    days_until_targets,
    recall_at,
    window_loss,
)


def test_days_until_targets_against_a_loop() -> None:
    draw = np.random.default_rng(0)
    batch, visits, codes, dates, targets = 5, 7, 3, 4, 6
    day = np.sort(draw.integers(0, 100, (batch, visits)), axis=1)
    kind = draw.integers(0, 3, (batch, visits))
    of_code = draw.integers(-1, targets, (batch, visits, codes))
    asked = draw.integers(0, 100, (batch, dates))
    got = np.asarray(
        days_until_targets(
            *(a.astype("int32") for a in (day, kind, of_code, asked)), targets
        )
    )
    want = np.full((batch, dates, targets), NEVER)
    for b in range(batch):
        for q in range(dates):
            for v in range(visits):
                ahead = day[b, v] - asked[b, q]
                for target in of_code[b, v]:
                    if kind[b, v] and ahead > 0 and target >= 0:
                        want[b, q, target] = min(want[b, q, target], ahead)
    np.testing.assert_array_equal(got, want)


def test_window_loss_counts_fully_observed_windows_only() -> None:
    logits = np.random.default_rng(1).normal(size=(2, 3, 2, 4)).astype("float32")
    days = np.random.default_rng(2).integers(1, 200, (2, 3, 4)).astype("int32")
    observed = np.array([[10, 50, 400], [29, 30, 90]], "int32")
    horizons = np.array([30, 90], "int32")
    total = count = 0.0
    for b in range(2):
        for q in range(3):
            for h, length in enumerate(horizons):
                if observed[b, q] < length:
                    continue
                count += 1
                y = (days[b, q] <= length).astype(float)
                p = 1 / (1 + np.exp(-logits[b, q, h].astype(float)))
                total -= np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    got = float(window_loss(logits, days, observed, horizons))
    np.testing.assert_allclose(got, total / count, rtol=1e-5)


def test_window_loss_without_any_observed_window_is_zero() -> None:
    zero = window_loss(
        np.ones((1, 1, 1, 2), "float32"),
        np.ones((1, 1, 2), "int32"),
        np.zeros((1, 1), "int32"),
        np.array([30], "int32"),
    )
    assert float(zero) == 0.0


def test_recall_at_k() -> None:
    logits = np.array([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]], "float32")
    happened = np.array([[True, False, True, False], [False, False, False, False]])
    hits, came = recall_at(logits, happened, 2)
    assert (float(hits), float(came)) == (1.0, 2.0)
