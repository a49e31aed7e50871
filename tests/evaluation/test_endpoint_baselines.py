"""Baselines of other kinds of label: learned from counts, and Cox against lifelines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter, NelsonAalenFitter
from scipy import sparse
from sklearn.linear_model import Ridge

from claimpt_tf.evaluation.baselines import Counted
from claimpt_tf.evaluation.endpoint_baselines import (
    boosted_classes,
    boosted_numbers,
    boosted_risks,
    counted_rows,
    cox_risks,
    linear_classes,
    linear_numbers,
)
from claimpt_tf.evaluation.proportional_hazards import Baseline, fit_cox

ROWS = 300
HORIZONS = (90.0, 365.0)


def followed(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, whether the event was seen, and days, some of them tied."""
    draw = np.random.default_rng(seed)
    features = draw.poisson(1.0, (rows, 2)).astype(float)
    event = draw.exponential(400 * np.exp(-0.6 * features[:, 0]))
    end = draw.exponential(500, rows)
    days = np.ceil(np.minimum(event, end) / 5) * 5
    return features, (event <= end).astype(int), days


def counted(labels: np.ndarray, features: np.ndarray, test: np.ndarray) -> Counted:
    places = np.arange(len(labels))
    folds = [(places[places % 3 != n], places[places % 3 == n]) for n in range(3)]
    rows = (sparse.csr_matrix(one, dtype=np.float32) for one in (features, test))
    train, scored = rows
    return Counted(train, labels, folds, scored)


def test_cox_is_that_of_lifelines() -> None:
    features, seen, days = followed(1)
    table = pd.DataFrame({"a": features[:, 0], "b": features[:, 1]})
    # Days are told apart a little: lifelines has another rule for ties.
    apart = days + np.arange(ROWS) / 1e4
    model, baseline = fit_cox(features, seen, apart, penalty=0.0)
    theirs = CoxPHFitter().fit(table.assign(t=apart, e=seen), "t", "e")
    np.testing.assert_allclose(model.coef_, theirs.params_.to_numpy(), atol=2e-3)
    days_of_events = baseline.days[[30, 90]]  # between them lifelines interpolates
    risk = baseline.risks(model.predict(features[:5]), days_of_events)
    survival = theirs.predict_survival_function(table.head(5), times=days_of_events)
    np.testing.assert_allclose(risk, 1 - survival.to_numpy().T, atol=1e-3)


def test_without_covariates_the_baseline_is_nelson_and_aalens() -> None:
    _, seen, days = followed(2)
    found = Baseline.of(seen, days, np.ones(ROWS))
    theirs = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(days, seen)
    np.testing.assert_allclose(
        found.by(HORIZONS), theirs.cumulative_hazard_at_times(HORIZONS), atol=1e-9
    )
    assert found.by([0.0])[0] == 0


def test_risks_follow_the_planted_hazard() -> None:
    features, seen, days = followed(3, 1200)
    test, test_seen, test_days = followed(4, 600)
    rows = counted(seen, features, test)
    curve = KaplanMeierFitter().fit(test_days, test_seen)
    for found in (
        cox_risks(rows, days, HORIZONS),
        boosted_risks(rows, days, HORIZONS),
    ):
        assert found.shape == (600, 2) and (found[:, 0] < found[:, 1]).all()
        often = found[test[:, 0] >= 2, 1].mean()
        assert often > found[test[:, 0] == 0, 1].mean() + 0.1
        for place, day in enumerate(HORIZONS):
            observed = 1 - curve.predict(day)
            assert found[:, place].mean() == pytest.approx(observed, abs=0.06)


def test_classes_follow_what_was_planted() -> None:
    draw = np.random.default_rng(5)
    features = draw.poisson(2.0, (600, 3)).astype(float)
    label = np.minimum(features[:, 0], 2).astype(int)
    label[draw.random(600) < 0.2] = 1
    rows = counted(label[:400], features[:400], features[400:])
    for chances in (linear_classes(rows, 4), boosted_classes(rows, 4)):
        np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-6)
        assert chances[:, 3].max() < 0.01  # it came in no row
        assert (chances.argmax(axis=1) == label[400:]).mean() > 0.75


def test_numbers_follow_what_was_planted() -> None:
    draw = np.random.default_rng(6)
    features = draw.poisson(2.0, (500, 3)).astype(float)
    label = 100 + 30 * np.log1p(features[:, 0]) + draw.normal(0, 5, 500)
    rows = counted(label[:400], features[:400], features[400:])
    for given in (linear_numbers(rows), boosted_numbers(rows)):
        assert np.corrcoef(given, label[400:])[0, 1] > 0.9
    # Several at once are each their own ridge regression, of one penalty.
    both = counted(np.stack([label, -label], 1)[:400], features[:400], features[400:])
    found = linear_numbers(both)
    np.testing.assert_allclose(found[:, 0], -found[:, 1], rtol=1e-4)
    scale = np.log1p(features[:400]).max(axis=0)
    logs = np.log1p(features) / scale
    theirs = [
        Ridge(alpha).fit(logs[:400], label[:400]).predict(logs[400:])
        for alpha in (1000.0, 100.0, 10.0, 1.0)
    ]
    assert min(np.abs(one - found[:, 0]).max() for one in theirs) < 0.1


def test_folds_keep_members_whole(make_labelled) -> None:
    known, test = make_labelled(40, rows_each=2), make_labelled(5, seed=9)
    strata = known["label"].to_numpy()
    rows = counted_rows(
        known, test, strata, strata, wanted=lambda name: not name.startswith("code[")
    )
    assert len(rows.folds) == 5 and rows.test.shape[1] == rows.train.shape[1]
    for fit, held in rows.folds:
        members = known["patient_id"]
        assert not set(members[fit]) & set(members[held])
    everything = counted_rows(known, test, strata, strata)
    assert everything.train.shape[1] > rows.train.shape[1]
    one = known.head(2).with_columns(patient_id=pl.lit("a"))
    assert counted_rows(one, test, strata[:2], strata[:2]).folds == []
