"""Trees on decayed counts, grown on the past that the network learned from.

Counts are what a network is easily beaten by, and trees on them err elsewhere than it
does; their sum is better than either. LightGBM grows them, a layer holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np

from claimpt_tf.models.tree_ensemble import NO_LEAF, TreeEnsemble
from claimpt_tf.training.counted_rows import Rows

LEAVES, PARTS = 8, 6
MOST_ROUNDS, PATIENCE, FOLDS = 600, 30, 5
_GROWTH = {
    "objective": "poisson",
    "learning_rate": 0.1,
    "num_leaves": LEAVES,
    "min_data_in_leaf": 40,
    "lambda_l2": 20.0,
    "feature_fraction": 0.15,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 31,
    "use_missing": False,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
    "num_threads": 1,  # as in evaluation.baselines: OpenMP's threads spin
}


def rounds_of(rows: Rows, seed: int) -> int:
    """How many trees foresee other members best, by cross-validation.

    Each of `FOLDS` boosters learns from one of `PARTS`, as those of `grow` do, and all
    rows of the members left out judge it.

    Args:
      rows: What to learn from.
      seed: Of the draw, and of LightGBM's sampling.
    """
    drawn = np.random.default_rng(seed).integers(0, FOLDS, rows.member.max() + 1)
    fold, part = drawn[rows.member], np.arange(len(rows.event)) % PARTS
    tried = lgb.cv(
        {**_GROWTH, "seed": seed},
        _dataset(rows),
        MOST_ROUNDS,
        folds=[
            (np.flatnonzero((fold != one) & (part == one)), np.flatnonzero(fold == one))
            for one in range(FOLDS)
        ],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    losses = tried["valid poisson-mean"]
    assert isinstance(losses, list)
    return len(losses)


def grow(
    rows: Rows, rounds: int, seed: int, labelled: Rows | None = None
) -> list[lgb.Booster]:
    """Grows trees for the log rate of the outcome a year.

    A member's dates are much alike, so each booster takes some of them: their mean errs
    less than one booster of all.

    Args:
      rows: What to learn from.
      rounds: Trees of each booster.
      seed: Of LightGBM's sampling.
      labelled: Rows that every booster takes.

    Returns:
      `PARTS` boosters, to be averaged.
    """
    boosters = []
    for number in range(PARTS):
        part = rows.some(np.arange(len(rows.event)) % PARTS == number)
        if labelled is not None:
            part = part.with_more(labelled)
        growth = {**_GROWTH, "seed": seed + number}
        boosters.append(lgb.train(growth, _dataset(part), rounds))
    return boosters


def _dataset(rows: Rows) -> lgb.Dataset:
    return lgb.Dataset(
        rows.features, rows.event / rows.years, weight=rows.years,
        params=_GROWTH, free_raw_data=False,
    )  # fmt: skip


def tree_layer(rounds: int) -> TreeEnsemble:
    """A layer for the boosters of `grow`, to be filled."""
    layer = TreeEnsemble(rounds * PARTS, LEAVES, name="trees")
    layer.build(None)
    return layer


def fill(layer: TreeEnsemble, boosters: Sequence[lgb.Booster]) -> None:
    """Sets a layer to the mean of boosters' raw scores.

    Args:
      layer: Of `tree_layer`.
      boosters: Of `grow`, of as many rounds.
    """
    layer.depth.assign(np.full(layer.depth.shape, NO_LEAF))
    layer.paths.assign(np.zeros(layer.paths.shape))
    tables = {
        name: getattr(layer, name).numpy()
        for name in ("feature", "threshold", "paths", "depth", "value")
    }
    dumps = [
        tree["tree_structure"]
        for one in boosters
        for tree in one.dump_model()["tree_info"]
    ]
    for number, root in enumerate(dumps):
        _fill(root, number, tables, len(boosters))
    for name, table in tables.items():
        getattr(layer, name).assign(table)


def _fill(
    root: Mapping[str, Any], tree: int, tables: Mapping[str, np.ndarray], parts: int
) -> None:
    splits = leaves = 0
    below: list[tuple[Mapping[str, Any], list[tuple[int, int]]]] = [(root, [])]
    while below:
        node, path = below.pop()
        if "leaf_value" in node:
            tables["value"][tree, leaves] = node["leaf_value"] / parts
            tables["depth"][tree, leaves] = len(path)
            for split, side in path:
                tables["paths"][tree, split, leaves] = side
            leaves += 1
            continue
        tables["feature"][tree, splits] = node["split_feature"]
        tables["threshold"][tree, splits] = _at_most(node["threshold"])
        below.append((node["left_child"], [*path, (splits, 1)]))
        below.append((node["right_child"], [*path, (splits, -1)]))
        splits += 1


def _at_most(threshold: float) -> np.float32:
    """The largest float32 up to a float64: both part float32 values alike."""
    near = np.float32(threshold)
    return near if near <= threshold else np.nextafter(near, np.float32(-np.inf))
