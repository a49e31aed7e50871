"""What pre-training knows of an outcome's own codes: where a task's head may begin.

The head of the objective `windows` scores the categories of codes in windows of 30 to
365 days. Those of an outcome's codes, in the window most like the task's, are a linear
score of the state that knows something before any label is seen.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl
import tensorflow as tf

from claimpt_tf.tasks.match import matching_codes
from claimpt_tf.tasks.outcome_spec import Definition
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.objectives import Windows
from claimpt_tf.training.pretrain import TARGETS_FILE
from claimpt_tf.training.pretrainer import Pretrainer
from claimpt_tf.training.targets import ACUTE_TYPES, Targets
from claimpt_tf.visits.ids import FIRST_CODE, VISIT_TYPES

WINDOW_HEAD_FILE = "window_head.npz"
_ACUTE = {VISIT_TYPES[number - 1] for number in ACUTE_TYPES}


@dataclass(frozen=True)
class HeadStart:
    """A linear score of the state.

    Attributes:
      kernel: float32 [width].
      bias: Its log-odds where the state is nought.
      targets: Target -> its share in the score; the shares add up to one.
    """

    kernel: np.ndarray
    bias: float
    targets: dict[str, float]


@dataclass(frozen=True)
class WindowScores:
    """Linear scores of every target in every window, as `WindowHead` makes them.

    Attributes:
      horizons: int [H], lengths of the windows in days.
      kernel: float32 [width, H, rank].
      shift: float32 [H, rank].
      vectors: float32 [K, rank].
      bias: float32 [H, K].
    """

    horizons: np.ndarray
    kernel: np.ndarray
    shift: np.ndarray
    vectors: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, model: Pretrainer) -> WindowScores | None:
        """Those that a model was trained to; None if its objectives are others."""
        for objective in model.objectives:
            if isinstance(objective, Windows):
                head, shape = objective.head, (objective.head.horizons, -1)
                kernel, shift = map(np.asarray, head.project.get_weights())
                return cls(
                    np.asarray(objective.horizons),
                    kernel.reshape(len(kernel), *shape).astype(np.float32),
                    shift.reshape(shape).astype(np.float32),
                    np.asarray(head.vectors, np.float32),
                    np.asarray(head.bias, np.float32),
                )
        return None

    def score(self, shares: np.ndarray, window_days: int) -> tuple[np.ndarray, float]:
        """Kernel [width] and bias of a mean of targets.

        Args:
          shares: float [K].
          window_days: The task's window; the one nearest to it in length is taken.
        """
        at = int(np.argmin(np.abs(np.log(self.horizons / window_days))))
        vector = shares @ self.vectors
        bias = self.shift[at] @ vector + shares @ self.bias[at]
        return (self.kernel[:, at] @ vector).astype(np.float32), float(bias)

    def rates(self, window_days: int) -> np.ndarray:
        """How likely each target is in such a window where the state is nought, [K]."""
        at = int(np.argmin(np.abs(np.log(self.horizons / window_days))))
        return 1 / (1 + np.exp(-self.bias[at].astype(np.float64)))


def save_window_head(model: Pretrainer, folder: str) -> None:
    """Writes a model's window scores beside its backbone, if it has any."""
    scores = WindowScores.of(model)
    if scores is None:
        return
    content = io.BytesIO()
    np.savez(content, **vars(scores))
    path = os.path.join(folder, WINDOW_HEAD_FILE)
    with tf.io.gfile.GFile(f"{path}.part", "wb") as file:
        file.write(content.getvalue())
    tf.io.gfile.rename(f"{path}.part", path, overwrite=True)


def head_start(base: str, task: Task, codes: Sequence[str]) -> HeadStart | None:
    """Where the head of a task begins with a pre-trained run.

    A target counts by how often it comes and by how many of its codes are the
    outcome's. Where only hospital and emergency visits are outcomes, targets of acute
    care are preferred.

    Args:
      base: Folder that `save_pretrained` wrote.
      task: The question.
      codes: The code vocabulary, in file order.

    Returns:
      None where the run learned no windows, the task's outcome names no codes, or no
      target has any of them.
    """
    path = os.path.join(base, WINDOW_HEAD_FILE)
    asked = task.definition
    if asked is None or not asked.outcome.names_codes or not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        found = np.load(io.BytesIO(file.read()))
        scores = WindowScores(*(found[one.name] for one in fields(WindowScores)))
    with tf.io.gfile.GFile(os.path.join(base, TARGETS_FILE)) as file:
        targets = Targets.from_json(file.read())
    parts = _parts(asked, task, targets, codes)
    shares = parts * scores.rates(asked.window_days)
    if not shares.any():
        return None
    shares /= shares.sum()
    told = {targets.names[n]: round(float(shares[n]), 3) for n in np.argsort(-shares)}
    return HeadStart(
        *scores.score(shares, asked.window_days),
        {name: share for name, share in told.items() if share},
    )


def _parts(
    asked: Definition, task: Task, targets: Targets, codes: Sequence[str]
) -> np.ndarray:
    """Share of each target's codes that are the outcome's, [K]."""
    outcome = asked.outcome
    matched = matching_codes(
        pl.Series(codes, dtype=pl.String),
        outcome.codes or (),
        outcome.categories or (),
        task.category_of,
    )
    meant = np.isin(np.asarray(codes, object), matched.to_numpy())
    meant = np.concatenate([np.zeros(FIRST_CODE, bool), meant])
    columns = [np.asarray(targets.anywhere)]
    if set(outcome.visit_types or ()) and set(outcome.visit_types or ()) <= _ACUTE:
        columns.insert(0, np.asarray(targets.acute))
    for column in columns:
        real = column >= 0
        size = np.bincount(column[real], minlength=len(targets.names))
        hits = np.bincount(column[real & meant], minlength=len(targets.names))
        if hits.any():
            return hits / np.maximum(size, 1)
    return np.zeros(len(targets.names))
