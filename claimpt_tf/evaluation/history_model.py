"""LightGBM on counts over a task's historical windows: adaptation without a network."""

from __future__ import annotations

from typing import Final

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, logit

from claimpt_tf.errors import TaskError
from claimpt_tf.evaluation.baselines import Counted, Floats, boost, folds_of, tuned
from claimpt_tf.evaluation.counts import CategoryOf, CountFeatures
from claimpt_tf.evaluation.historical import historical_windows
from claimpt_tf.tasks.past_days import DAYS, FEWEST_OUTCOMES
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.label_head import platt

HISTORY: Final = "lightgbm_history"
FEWEST_PAST_OUTCOMES: Final = 20
_CLIP = 1e-6


def windows_of(rows: pl.DataFrame, task: Task, seed: int = 0) -> pl.DataFrame:
    """A task's windows in the past of labelled rows' members, as adaptation has them.

    Days on which the task would have asked, unless fewer than `FEWEST_OUTCOMES` came
    after them: then any days.

    Args:
        rows: labelled examples.
        task: the question; it has a definition.
        seed: of dates.
    """
    asked = task.definition
    assert asked is not None
    past = rows.clear()
    if "past_days" in rows.columns:
        past = historical_windows(
            rows, asked.window_days, asked.gap_days,
            when_asked=True, dates=DAYS, seed=seed,
        )  # fmt: skip
    if past["label"].sum() >= FEWEST_OUTCOMES:
        return past
    return historical_windows(
        rows, asked.window_days, asked.gap_days,
        at_visits=task.at_visits, seed=seed,
    )  # fmt: skip


class HistoryModel:
    """A LightGBM that learnt the task's outcome in training members' past.

    Where the labels are the task's own outcome, labelled rows are more windows of the
    same kind and are trained on together with the past. Labels of a table are another
    thing than its proxy: then the model of the past is left as it is and labels
    calibrate it.

    Args:
        train: labelled examples of the training split; every member's past is used,
            no label.
        test: labelled examples to be scored.
        task: the question; it needs a definition by which a past can be labelled.
        seed: of dates, folds and sampling.
        category_of: see `CountFeatures`.
        unlabelled: training members outside the cohort, whose past adaptation of the
            network uses too.

    Attributes:
        name: what results call it.
        windows: how many historical windows there are.

    Raises:
        TaskError: the past cannot be labelled, or holds fewer than 20 outcomes.
    """

    name = HISTORY

    def __init__(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        task: Task,
        seed: int = 0,
        category_of: CategoryOf | None = None,
        unlabelled: pl.DataFrame | None = None,
    ) -> None:
        asked = task.definition
        if asked is None or task.label_kind != "binary":
            raise TaskError(
                f"task {task.name} has no outcome by which a past can be labelled"
            )
        known = train
        if unlabelled is not None:
            known = pl.concat([train, unlabelled.select(train.columns)])
        past = windows_of(known, task, seed)
        outcomes = int(past["label"].sum())
        if outcomes < FEWEST_PAST_OUTCOMES or outcomes == past.height:
            raise TaskError(
                f"the past of the training members holds {outcomes} outcomes in "
                f"{past.height} windows; {FEWEST_PAST_OUTCOMES} or more are needed"
            )
        self.windows = past.height
        self._pooled = task.labels is None
        features = CountFeatures(category_of).fit(train)
        self._past = features.transform(past)
        self._past_labels = past["label"].to_numpy().astype(np.int64)
        self._train = features.transform(train)
        self._labels = train["label"].to_numpy().astype(np.int64)
        self._test = features.transform(test)
        folds = folds_of(self._past_labels, past["patient_id"].to_numpy(), seed)
        counted = Counted(self._past, self._past_labels, folds, self._test)
        self._trees = tuned(counted, seed)

    def scores(self, chosen: NDArray[np.bool_] | None = None, seed: int = 0) -> Floats:
        """Probabilities of the test rows, float64 (test rows,).

        Args:
            chosen: which training rows' labels may be used, bool (training rows,);
                all by default.
            seed: of LightGBM's sampling.
        """
        rows = np.arange(len(self._labels))
        if chosen is not None:
            rows = np.flatnonzero(chosen)
        labels = self._labels[rows]
        if self._pooled:
            together = sparse.vstack([self._past, self._train[rows]], format="csr")
            known = np.concatenate([self._past_labels, labels])
            model = boost(together, known, self._trees, seed)
            return np.asarray(model.predict(self._test), dtype=np.float64)
        model = boost(self._past, self._past_labels, self._trees, seed)
        slope, intercept = platt(self._logit(model, self._train[rows]), labels)
        return np.asarray(expit(intercept + slope * self._logit(model, self._test)))

    def _logit(self, model: lgb.Booster, rows: sparse.csr_matrix) -> Floats:
        given = model.predict(rows)
        return np.asarray(logit(np.clip(given, _CLIP, 1 - _CLIP)), dtype=np.float64)
