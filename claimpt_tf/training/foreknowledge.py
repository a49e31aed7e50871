"""What pre-training knows of an outcome's own codes: where a task's head may begin.

The head of the objective `windows` scores the categories of codes in windows of 30 to
365 days. Those of an outcome's codes, in the window most like the task's, know
something of it before any label is seen.
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
from claimpt_tf.training.run_folder import whole
from claimpt_tf.training.targets import ACUTE_TYPES, Targets
from claimpt_tf.visits.ids import FIRST_CODE, VISIT_TYPES

WINDOW_HEAD_FILE = "window_head.npz"
_ACUTE = {VISIT_TYPES[number - 1] for number in ACUTE_TYPES}


@dataclass(frozen=True)
class HeadStart:
    """Linear scores of the state, one for each target that the outcome is part of.

    Attributes:
      kernel: float32 [width, T].
      bias: float32 [T].
      parts: float [T], share of the target's codes that are the outcome's.
      targets: Their names.
      members: How many it was learned from.
    """

    kernel: np.ndarray
    bias: np.ndarray
    parts: np.ndarray
    targets: tuple[str, ...]
    members: int = 0

    def around(self, state: np.ndarray) -> tuple[np.ndarray, float]:
        """The score of any of the targets, linear near some states.

        The log of the sum of their rates, to first order about the mean: each target
        counts by how likely it is there. Of one target it is that target's own, but
        for the bias.

        Args:
          state: float [N, width].

        Returns:
          Kernel, float32 [width], and the bias at which the mean score is nought: how
          rare the outcome is in a cohort its labels tell.
        """
        mean = state.mean(axis=0)
        rates = self.parts * np.exp(mean @ self.kernel + self.bias)
        kernel = self.kernel @ (rates / rates.sum())
        return kernel.astype(np.float32), -float(mean @ kernel)


@dataclass(frozen=True)
class WindowScores:
    """Linear scores of every target in every window, as `WindowHead` makes them.

    Attributes:
      horizons: int [H], lengths of the windows in days.
      kernel: float32 [width, H, rank].
      shift: float32 [H, rank].
      vectors: float32 [K, rank].
      bias: float32 [H, K].
      members: int [], how many they were learned from.
    """

    horizons: np.ndarray
    kernel: np.ndarray
    shift: np.ndarray
    vectors: np.ndarray
    bias: np.ndarray
    members: np.ndarray

    @classmethod
    def of(cls, model: Pretrainer, members: int) -> WindowScores | None:
        """Those that a model was trained to; None if its objectives are others."""
        windows = _windows(model)
        if windows is None:
            return None
        head, shape = windows.head, (windows.head.horizons, -1)
        kernel, shift = map(np.asarray, head.project.get_weights())
        return cls(
            np.asarray(windows.horizons),
            kernel.reshape(len(kernel), *shape).astype(np.float32),
            shift.reshape(shape).astype(np.float32),
            np.asarray(head.vectors, np.float32),
            np.asarray(head.bias, np.float32),
            np.asarray(members),
        )

    @classmethod
    def load(cls, folder: str) -> WindowScores | None:
        """Those that `save_window_head` wrote; None if it had none to write.

        Raises:
          ArtifactError: The file is damaged.
        """
        path = os.path.join(folder, WINDOW_HEAD_FILE)
        if not tf.io.gfile.exists(path):
            return None
        with tf.io.gfile.GFile(path, "rb") as file:
            content = io.BytesIO(file.read())
        with whole(path):
            # Runs of before it was kept do not say of how many members.
            found = {"members": np.asarray(0), **np.load(content)}
            return cls(*(found[one.name] for one in fields(cls)))

    def begin(self, model: Pretrainer, names: Sequence[str]) -> bool:
        """Sets the window head of a model to these, target by target.

        Args:
          model: Its targets may be others too, and in another order.
          names: Of the targets here.

        Returns:
          Whether it has a head of this size.
        """
        windows = _windows(model)
        if windows is None:
            return False
        head, known = windows.head, {name: n for n, name in enumerate(names)}
        sizes = (tuple(windows.horizons), head.rank)
        if sizes != (tuple(self.horizons.tolist()), self.vectors.shape[1]):
            return False
        ours = [n for n, name in enumerate(model.targets.names) if name in known]
        theirs = [known[model.targets.names[n]] for n in ours]
        vectors, bias = np.copy(head.vectors), np.copy(head.bias)
        vectors[ours], bias[:, ours] = self.vectors[theirs], self.bias[:, theirs]
        head.vectors.assign(vectors)
        head.bias.assign(bias)
        kernel = self.kernel.reshape(len(self.kernel), -1)
        head.project.set_weights([kernel, self.shift.ravel()])
        return True

    def of_targets(
        self, targets: np.ndarray, window_days: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Kernels [width, T] and biases [T] of some targets.

        Args:
          targets: int [T].
          window_days: The task's window; the one nearest to it in length is taken.
        """
        at = int(np.argmin(np.abs(np.log(self.horizons / window_days))))
        vectors = self.vectors[targets].T
        bias = self.shift[at] @ vectors + self.bias[at, targets]
        return self.kernel[:, at] @ vectors, bias


def _windows(model: Pretrainer) -> Windows | None:
    found = (one for one in model.objectives if isinstance(one, Windows))
    return next(found, None)


def save_window_head(model: Pretrainer, members: int, folder: str) -> None:
    """Writes a model's window scores beside its backbone, if it has any.

    Args:
      model: What was trained.
      members: How many it was trained on.
      folder: Of the backbone.
    """
    scores = WindowScores.of(model, members)
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

    Where only hospital and emergency visits are outcomes, targets of acute care are
    preferred.

    Args:
      base: Folder that `save_pretrained` wrote.
      task: The question.
      codes: The code vocabulary, in file order.

    Returns:
      None where the run learned no windows, the task's outcome names no codes, or no
      target has any of them.
    """
    asked = task.definition
    if asked is None or not asked.outcome.names_codes:
        return None
    scores = WindowScores.load(base)
    if scores is None:
        return None
    path = os.path.join(base, TARGETS_FILE)
    with whole(path), tf.io.gfile.GFile(path) as file:
        targets = Targets.from_json(file.read())
    parts = _parts(asked, task, targets, codes)
    known = np.flatnonzero(parts)
    if not len(known):
        return None
    return HeadStart(
        *scores.of_targets(known, asked.window_days),
        parts[known],
        tuple(targets.names[n] for n in known),
        int(scores.members),
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
