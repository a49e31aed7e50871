"""Intervals and paired tests: against a naive bootstrap, and over repeated samples."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.bootstrap import (
    Cell,
    Draws,
    bootstrap,
    difference,
    interval,
    replicate,
)
from claimpt_tf.evaluation.metrics import Estimate, default_metrics
from claimpt_tf.evaluation.weighted import Ranked

METRICS = default_metrics()
AUROC = {"auroc": METRICS["auroc"]}


def clustered(patients: int, seed: int, effect: float = 1.0):
    """Labels, calibrated scores and ids; one to three alike rows a patient."""
    generator = np.random.default_rng(seed)
    ids = np.repeat(np.arange(patients), generator.integers(1, 4, patients))
    logit = (effect * generator.normal(size=patients) - 1)[ids]
    truth = 1 / (1 + np.exp(-logit))
    labels = (generator.random(len(ids)) < truth).astype(float)
    return labels, truth, ids


def naive(labels, scores, ids, figure, n_boot: int, seed: int) -> np.ndarray:
    """Draws patients one by one and concatenates their rows."""
    generator = np.random.default_rng(seed)
    rows_of = [np.flatnonzero(ids == one) for one in np.unique(ids)]
    values = []
    for _ in range(n_boot):
        drawn = generator.integers(0, len(rows_of), len(rows_of))
        rows = np.concatenate([rows_of[one] for one in drawn])
        values.append(figure(labels[rows], scores[rows]))
    return np.array(values)


@pytest.mark.parametrize(
    ("name", "figure"), [("auroc", roc_auc_score), ("auprc", average_precision_score)]
)
def test_replicates_are_those_of_a_naive_bootstrap(name: str, figure) -> None:
    labels, scores, ids = clustered(120, 1)
    cell = Cell(Ranked(labels, scores), np.arange(len(labels)))
    found = replicate({"": cell}, METRICS, Draws(ids, 50, seed=4))[""][name]
    assert found == pytest.approx(naive(labels, scores, ids, figure, 50, seed=4))


def test_intervals_are_percentiles_of_the_naive_bootstrap() -> None:
    labels, scores, ids = clustered(150, 2)
    found = bootstrap(labels, scores, ids, AUROC, n_boot=200, seed=9)["auroc"]
    values = naive(labels, scores, ids, roc_auc_score, 200, seed=9)
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(values, [0.025, 0.975]))
    )


def test_rows_of_one_patient_go_together() -> None:
    labels, scores, ids = clustered(200, 3)
    alone = bootstrap(labels, scores, ids, AUROC, 400)["auroc"]
    thrice = bootstrap(
        np.tile(labels, 3), np.tile(scores, 3), np.tile(ids, 3), AUROC, 400
    )["auroc"]
    independent = bootstrap(
        np.tile(labels, 3), np.tile(scores, 3), np.arange(3 * len(ids)), AUROC, 400
    )["auroc"]
    assert (alone.low, alone.high) == pytest.approx((thrice.low, thrice.high))
    assert independent.high - independent.low < 0.75 * (thrice.high - thrice.low)


def test_the_order_of_rows_does_not_matter() -> None:
    labels, scores, ids = clustered(100, 4)
    turned = bootstrap(labels[::-1], scores[::-1], ids[::-1], METRICS, 100)
    for name, figure in bootstrap(labels, scores, ids, METRICS, 100).items():
        assert figure.low == pytest.approx(turned[name].low, abs=1e-9)


def test_ids_may_be_text_and_seeds_repeat() -> None:
    labels, scores, ids = clustered(100, 5)
    names = np.array([f"{one:032x}" for one in ids])
    first = bootstrap(labels, scores, names, AUROC, 100, seed=1)
    assert first == bootstrap(labels, scores, ids, AUROC, 100, seed=1)
    assert first != bootstrap(labels, scores, ids, AUROC, 100, seed=2)


def test_the_same_model_twice_does_not_differ() -> None:
    labels, scores, ids = clustered(100, 6)
    cell = Cell(Ranked(labels, scores), np.arange(len(labels)))
    values = replicate({0: cell, 1: cell}, AUROC, Draws(ids, 100))
    found = difference(
        Estimate(0.7), Estimate(0.7), values[0]["auroc"], values[1]["auroc"]
    )
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_pairing_sees_a_small_difference_that_intervals_alone_hide() -> None:
    labels, scores, ids = clustered(1500, 7)
    worse = np.clip(
        scores + np.random.default_rng(0).normal(0, 0.07, len(scores)), 0, 1
    )
    rows = np.arange(len(labels))
    values = replicate(
        {
            "a": Cell(Ranked(labels, scores), rows),
            "b": Cell(Ranked(labels, worse), rows),
        },
        AUROC,
        Draws(ids, 400),
    )
    a, b = values["a"]["auroc"], values["b"]["auroc"]
    points = [Estimate(roc_auc_score(labels, one)) for one in (worse, scores)]
    paired = difference(*points, b, a)
    assert paired.value == pytest.approx(points[0].value - points[1].value)
    assert paired.high is not None and paired.high < 0
    assert paired.p is not None and paired.p < 0.05
    assert interval(points[0], b).high > interval(points[1], a).low
    turned = difference(points[1], points[0], a, b)
    assert turned.low == pytest.approx(-paired.high)
    assert turned.p == paired.p


def test_few_positives_give_a_value_without_interval() -> None:
    labels = np.zeros(40)
    labels[:2] = 1
    scores = np.linspace(0.9, 0.1, 40)
    found = bootstrap(labels, scores, np.arange(40), AUROC, 300)["auroc"]
    assert found.value == 1.0
    assert found.low is None
    assert found.reason is not None
    assert found.reason.startswith("not estimable in ")


def test_a_difference_to_nothing_is_nothing() -> None:
    none = np.full(3, np.nan)
    found = difference(Estimate(0.5), Estimate(None, "no positives"), none, none)
    assert (found.value, found.reason) == (None, "no positives")


@pytest.mark.parametrize(
    ("ids", "n_boot", "message"),
    [
        ([], 10, "no rows"),
        ([1, 2], 0, "give 1 or more"),
        (np.array(["a", None], dtype=object), 10, "patient_id is missing"),
    ],
)
def test_draws_refuse_what_cannot_be_drawn(ids, n_boot: int, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Draws(ids, n_boot)


def test_a_thousand_replicates_of_2000_rows_are_quick() -> None:
    labels, scores, _ = clustered(1000, 8)
    labels, scores = labels[:2000], scores[:2000]
    started = time.process_time()
    bootstrap(labels, scores, np.arange(len(labels)), AUROC, 1000)
    assert time.process_time() - started < 2


def covered(repeats: int, patients: int, n_boot: int) -> dict[str, float]:
    """Share of intervals that hold the population's figure."""
    labels, truth, _ = clustered(400_000, 99)
    expected = {
        "auroc": roc_auc_score(labels, truth),
        "brier": np.mean((labels - truth) ** 2),
        "calibration_in_the_large": 0.0,
        "calibration_slope": 1.0,
    }
    chosen = {name: METRICS[name] for name in expected}
    hits = dict.fromkeys(expected, 0)
    for seed in range(repeats):
        sample = clustered(patients, seed)
        for name, found in bootstrap(*sample, chosen, n_boot, seed).items():
            hits[name] += found.low <= expected[name] <= found.high
    return {name: count / repeats for name, count in hits.items()}


def test_intervals_cover_roughly() -> None:
    for name, share in covered(repeats=40, patients=250, n_boot=150).items():
        assert share >= 0.82, name


@pytest.mark.slow
def test_intervals_cover_at_their_level() -> None:
    for name, share in covered(repeats=200, patients=700, n_boot=500).items():
        assert 0.92 <= share <= 0.98, (name, share)


@pytest.mark.slow
def test_equal_models_are_told_apart_as_often_as_p_says() -> None:
    told = 0
    for seed in range(200):
        labels, truth, ids = clustered(400, seed)
        generator = np.random.default_rng(1000 + seed)
        logit = np.log(truth / (1 - truth))
        rows = np.arange(len(ids))
        cells = {
            name: Cell(
                Ranked(labels, norm.cdf(logit + generator.normal(0, 1, len(ids)))), rows
            )
            for name in "ab"
        }
        values = replicate(cells, AUROC, Draws(ids, 400, seed))
        points = [
            METRICS["auroc"].point(cell.ranked.labels, cell.ranked.scores)
            for cell in cells.values()
        ]
        found = difference(*points, values["a"]["auroc"], values["b"]["auroc"])
        told += found.p < 0.05
    assert 2 <= told <= 20  # 5% of 200, give or take
