"""Trees as a layer score as LightGBM does."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from scipy import sparse

from claimpt_tf.models.tree_ensemble import TreeEnsemble
from claimpt_tf.training.boosted_trees import PARTS, fill, grow, rounds_of, tree_layer
from claimpt_tf.training.counted_rows import Rows


@pytest.fixture(scope="module")
def rows() -> Rows:
    draw = np.random.default_rng(3)
    features = np.where(draw.random((4000, 6)) < 0.5, 0, draw.random((4000, 6)))
    features = features.astype(np.float32)
    years = draw.uniform(0.1, 1, 4000)
    rate = np.exp(-1 + 2 * features[:, 0] - 1.5 * (features[:, 1] > 0.4))
    event = (draw.exponential(1 / rate) < years).astype(float)
    return Rows(sparse.csr_matrix(features), event, years, np.arange(4000) // 4)


def layer_of(boosters: list[lgb.Booster]) -> TreeEnsemble:
    layer = tree_layer(boosters[0].num_trees())
    fill(layer, boosters[::-1])  # what stood there before leaves no trace
    fill(layer, boosters)
    return layer


def test_the_layer_scores_as_the_boosters(rows: Rows) -> None:
    rounds = rounds_of(rows, seed=1)
    assert rounds > 5
    boosters = grow(rows, rounds, seed=1)
    dense = rows.features.toarray()
    wanted = np.mean([one.predict(dense, raw_score=True) for one in boosters], axis=0)
    np.testing.assert_allclose(layer_of(boosters)(dense).numpy(), wanted, atol=1e-5)
    truth = 2 * dense[:, 0] - 1.5 * (dense[:, 1] > 0.4)
    assert np.corrcoef(wanted, truth)[0, 1] > 0.9


def test_values_on_a_threshold_go_the_same_way(rows: Rows) -> None:
    booster = grow(rows, 20, seed=1)[0]
    edges = [
        node["threshold"]
        for tree in booster.dump_model()["tree_info"]
        for node in [tree["tree_structure"]]
        if "threshold" in node
    ]
    near = np.asarray(edges, np.float32)
    near = np.concatenate([near, np.nextafter(near, 1), np.nextafter(near, 0)])
    dense = np.repeat(near[:, None], 6, axis=1)
    wanted = booster.predict(dense.astype(np.float64), raw_score=True)
    np.testing.assert_allclose(
        layer_of([booster] * PARTS)(dense).numpy(), wanted, atol=1e-5
    )


def test_the_same_rows_grow_the_same_trees(rows: Rows) -> None:
    one, other = (grow(rows, 10, seed=2)[0].model_to_string() for _ in range(2))
    assert one == other
