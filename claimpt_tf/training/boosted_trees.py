"""Trees on decayed counts, grown on the same windows of the past as the network.

Counts are what a network is easily beaten by, and trees on them err elsewhere than it
does; their sum is better than either. LightGBM grows them, a layer holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import tensorflow as tf
from scipy import sparse

from claimpt_tf.models.decayed_counts import COUNTED, DecayedCounts
from claimpt_tf.models.tree_ensemble import NO_LEAF, TreeEnsemble
from claimpt_tf.training.batches import batch_count, code_counts, dated_batches, plain
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.inputs import as_of
from claimpt_tf.training.outcome_windows import days_until_targets
from claimpt_tf.training.targets import choose_targets
from claimpt_tf.visits.ids import FIRST_CODE

MOST_CODES = 1_000
FEWEST_VISITS = 30  # of a code that is a column of its own
FEWEST_DATES, MOST_DATES, ROWS = 2, 12, 80_000  # dates a member; rows in all
LEAVES, PARTS = 8, 3
MOST_ROUNDS, PATIENCE, HELD_OUT = 600, 30, 5
_BATCH = 16  # members: a batch of features is some hundred megabytes
_YEAR = 365.25
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


@dataclass(frozen=True)
class Rows:
    """Dates with what was known on them and what came.

    Attributes:
      features: CSR float32 [N, F].
      event: 0 or 1 [N], whether the outcome came while watched.
      years: float [N], how long the date was watched, up to the outcome.
      member: int [N]; rows of a member stay together.
    """

    features: sparse.csr_matrix
    event: np.ndarray
    years: np.ndarray
    member: np.ndarray

    def some(self, chosen: np.ndarray) -> Rows:
        """The rows that are chosen, bool [N]."""
        return Rows(
            self.features[chosen],
            self.event[chosen],
            self.years[chosen],
            self.member[chosen],
        )

    def with_more(self, other: Rows) -> Rows:
        """These rows and others, of other members or of the same."""
        return _joined([self, other])


def decayed_counts(codes: Sequence[str], source: tf.data.Dataset) -> DecayedCounts:
    """The layer whose columns are what training members have often enough.

    Columns are the most frequent codes, their categories anywhere, and in acute care.

    Args:
      codes: The code vocabulary, in file order.
      source: Batches of transformed training members.
    """
    seen = np.zeros(FIRST_CODE + len(codes), np.int64)
    counted = list(code_counts(source))
    for batch in counted:
        seen += np.bincount(batch["code_ids"].ravel(), minlength=len(seen))
    seen[:FIRST_CODE] = 0
    own = np.argsort(-seen, kind="stable")[:MOST_CODES]
    own = own[seen[own] >= FEWEST_VISITS]
    targets = choose_targets(codes, counted)
    table = np.full((len(seen), 3), -1, np.int32)
    table[own, 0] = np.arange(len(own))
    for place, of_code in enumerate((targets.anywhere, targets.acute), start=1):
        column = np.asarray(of_code)
        table[:, place] = np.where(column >= 0, column + len(own), -1)
    layer = DecayedCounts(
        len(seen), len(own) + len(targets.names), name="decayed_counts"
    )
    layer.build()
    layer.column_of.assign(table)
    return layer


class Counter:
    """Reads rows off members; it is traced once.

    Args:
      layer: Of `decayed_counts`.
      question: The task.
      config: Choices.
    """

    def __init__(
        self, layer: DecayedCounts, question: Question, config: FinetuneConfig
    ) -> None:
        self._question, self._config = question, config
        ranks = {"code_ids": 3, "sex": 1, "birth_day": 1}
        specs = [
            tf.TensorSpec([None] * ranks.get(name, 2), tf.int32) for name in COUNTED
        ]
        self._count = tf.function(layer, input_signature=specs, autograph=False)

    def _read(self, inputs: Mapping[str, Any]) -> np.ndarray:
        return self._count(*(inputs[name] for name in COUNTED)).numpy()

    def past(self, source: tf.data.Dataset) -> Rows:
        """Random dates of members' past, watched to the end of the window or of it.

        Args:
          source: Batches of transformed members with `visit_outcome` and `index_day`,
            as for adaptation.
        """
        asked, config = self._question, self._config
        members = batch_count(source, 1)[1]
        batches = dated_batches(
            source,
            ahead=asked.ahead_days,
            dates=int(np.clip(ROWS // max(members, 1), FEWEST_DATES, MOST_DATES)),
            batch_size=_BATCH,
            limits=config.limits,
            seed=config.seed,
            only_visits=asked.at_visits,
        )
        parts: list[Rows] = []
        seen = 0
        for batch in batches:
            parts.append(self._of_batch(batch, seen))
            seen += int(batch["sex"].shape[0])
        return _joined(parts)

    def _of_batch(self, batch: Mapping[str, Any], first: int) -> Rows:
        gap, window = self._question.gap_days, self._question.window_days
        marks = np.where(batch["visit_outcome"].numpy() == 1, 0, -1)
        marks = marks.astype(np.int32)[..., None]
        start = batch["query_day"] + gap
        days = days_until_targets(
            batch["visit_day"], batch["visit_type"], marks, start, 1
        )[..., 0].numpy()
        watched = (batch["observed_to"][:, None] - start).numpy()
        watched = np.minimum(watched, window)
        kept = np.ravel(watched > 0)
        member = np.repeat(first + np.arange(len(days)), days.shape[1])
        features = self._read(batch)
        return Rows(
            sparse.csr_matrix(features.reshape(-1, features.shape[-1])[kept]),
            np.ravel(days <= watched)[kept].astype(np.float64),
            np.ravel(np.minimum(days, watched))[kept] / _YEAR,
            member[kept],
        )

    def labelled(self, source: tf.data.Dataset, member_from: int) -> Rows:
        """Labelled rows; an outcome counts as come in the middle of the window.

        Args:
          source: Batches of transformed labelled examples.
          member_from: A number that no member of other rows has, nor a larger one.
        """
        features, label, patient = [], [], []
        limits = self._config.limits

        @plain
        def known(batch: Mapping[str, Any]) -> tuple[Any, Any, Any]:
            inputs = as_of(batch, batch["index_day"], limits)
            inputs = {name: inputs[name] for name in COUNTED}
            return inputs, batch["label"], batch["patient_id"]

        for inputs, labels, patients in source.unbatch().batch(_BATCH).map(known):
            features.append(sparse.csr_matrix(self._read(inputs)[:, 0]))
            label.append(labels.numpy())
            patient.append(patients.numpy())
        event = np.concatenate(label).astype(np.float64)
        number = np.unique(np.concatenate(patient), return_inverse=True)[1]
        window = self._question.window_days / _YEAR
        return Rows(
            sparse.vstack(features, format="csr"),
            event,
            np.where(event == 1, window / 2, window),
            member_from + number,
        )


def _joined(parts: Sequence[Rows]) -> Rows:
    return Rows(
        sparse.vstack([part.features for part in parts], format="csr"),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("event", "years", "member")
        ),
    )


def rounds_of(rows: Rows, seed: int) -> int:
    """How many trees foresee a held-out fifth of the members best.

    Args:
      rows: What to learn from.
      seed: Of the draw, and of LightGBM's sampling.
    """
    drawn = np.random.default_rng(seed).integers(0, HELD_OUT, rows.member.max() + 1)
    held = drawn[rows.member] == 0
    first = np.arange(len(held)) % PARTS == 0
    part = _dataset(rows.some(first & ~held))
    tried = lgb.train(
        {**_GROWTH, "seed": seed},
        part,
        MOST_ROUNDS,
        valid_sets=[_dataset(rows.some(first & held), part)],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    return max(tried.best_iteration, 1)


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


def _dataset(rows: Rows, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    return lgb.Dataset(
        rows.features, rows.event / rows.years, weight=rows.years,
        reference=reference, params=_GROWTH, free_raw_data=False,
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
