"""Baselines learn, are repeatable, and look at nothing they should not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.baselines import (
    BASELINES,
    LIGHTGBM,
    LOGISTIC,
    PREVALENCE,
    count,
    fit_predict,
    fit_predict_all,
)


@pytest.fixture(scope="module")
def splits(make_labelled):
    return make_labelled(500, seed=1, rows_each=2), make_labelled(1000, seed=2)


@pytest.fixture(scope="module")
def scores(splits, three_characters):
    return fit_predict_all(*splits, seed=3, category_of=three_characters)


def test_baselines_rank_better_than_chance_and_below_the_truth(splits, scores) -> None:
    test = splits[1]
    best = roc_auc_score(test["label"], test["risk"])
    for kind in (LOGISTIC, LIGHTGBM):
        assert 0.62 < roc_auc_score(test["label"], scores[kind]) < best + 0.02, kind


def test_scores_are_probabilities_that_add_up(splits, scores) -> None:
    for kind in BASELINES:
        assert scores[kind].shape == (1000,)
        assert scores[kind].dtype == np.float64
        assert (scores[kind] >= 0).all() and (scores[kind] <= 1).all()
        assert scores[kind].mean() == pytest.approx(splits[1]["label"].mean(), abs=0.05)


def test_prevalence_is_that_of_training(splits, scores) -> None:
    assert set(scores[PREVALENCE]) == {splits[0]["label"].mean()}


def test_the_same_seed_gives_the_same_scores(splits, scores, three_characters) -> None:
    for kind in BASELINES:
        again = fit_predict(*splits, kind, 3, three_characters)
        np.testing.assert_allclose(again, scores[kind], rtol=1e-9, err_msg=kind)


def test_labels_of_the_test_rows_are_not_looked_at(splits, scores, three_characters):
    train, test = splits
    found = fit_predict_all(
        train, test.drop("label"), seed=3, category_of=three_characters
    )
    for kind in BASELINES:
        np.testing.assert_array_equal(found[kind], scores[kind])


def test_one_test_row_does_not_change_with_its_neighbours(
    splits, scores, three_characters
) -> None:
    train, test = splits
    few = fit_predict_all(train, test.head(7), seed=3, category_of=three_characters)
    for kind in BASELINES:
        np.testing.assert_allclose(few[kind], scores[kind][:7], rtol=1e-12)


def test_folds_keep_patients_whole_and_classes_in_both(
    splits, three_characters
) -> None:
    train = splits[0]
    counted = count(*splits, category_of=three_characters)
    patients = train["patient_id"].to_numpy()
    assert len(counted.folds) == 5
    for fit, held in counted.folds:
        assert not set(patients[fit]) & set(patients[held])
        assert 0 < counted.labels[held].mean() < 1


@pytest.mark.parametrize("positives", [1, 2, 4])
def test_a_handful_of_labels_is_enough(
    positives: int, make_labelled, three_characters
) -> None:
    pool = make_labelled(300, seed=8)
    train = pl.concat(
        [
            pool.filter(pl.col("label") == 1).head(positives),
            pool.filter(pl.col("label") == 0).head(8),
        ]
    )
    found = fit_predict_all(train, pool, category_of=three_characters)
    for kind in BASELINES:
        assert np.isfinite(found[kind]).all(), kind
        assert (found[kind] > 0).all() and (found[kind] < 1).all(), kind


def test_one_class_in_training_is_an_error(make_labelled, three_characters) -> None:
    train = make_labelled(20).with_columns(label=pl.lit(0))
    with pytest.raises(TaskError, match="all 20 training rows have label 0"):
        fit_predict(train, train, LOGISTIC, category_of=three_characters)


def test_an_unknown_baseline_is_named(make_labelled) -> None:
    frame = make_labelled(20)
    with pytest.raises(ArtifactError, match="no baseline gru; there are prevalence"):
        fit_predict(frame, frame, "gru")
    with pytest.raises(ArtifactError, match="no column label"):
        fit_predict(frame.drop("label"), frame, PREVALENCE)
    with pytest.raises(ArtifactError, match="must be 0 or 1"):
        fit_predict(frame.with_columns(label=pl.lit(2)), frame, PREVALENCE)
