"""The learning curve of a run whose labels are not yes or no."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claimpt_tf.evaluation.cells import Learner
from claimpt_tf.evaluation.endpoint_networks import EndpointLearner
from claimpt_tf.evaluation.endpoints.judged import Judged, Learned
from claimpt_tf.evaluation.evaluate import MODEL, Choices
from claimpt_tf.evaluation.finetuned_run import FinetunedRun
from claimpt_tf.evaluation.learning_curve import learning_curve
from claimpt_tf.evaluation.run_study import STUDY_FOLDER, SUMMARY_FILE, Study
from claimpt_tf.evaluation.scales import OtherLabels
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.choices import FinetuneConfig


class Rivals:
    """All baselines of a kind of label; they are fitted together.

    Args:
        judged: the kind of label.
        train: labelled examples to learn from.
        test: labelled examples to predict.
        task: the question.
    """

    def __init__(
        self, judged: Judged, train: pl.DataFrame, test: pl.DataFrame, task: Task
    ) -> None:
        self._judged, self._train, self._test = judged, train, test
        self._task = task
        self._last: tuple[object, dict[str, pl.DataFrame]] = ((), {})

    def of(self, chosen: NDArray[np.bool_], seed: int) -> dict[str, pl.DataFrame]:
        """Baseline -> predictions of the test rows; see `Learner.scores`."""
        key = (chosen.tobytes(), seed)
        if self._last[0] != key:
            known = self._train.filter(chosen)
            learned = Learned(known, self._test, self._task, seed)
            self._last = key, self._judged.baselines(learned)
        return self._last[1]


class RivalLearner:
    """One of `Rivals` as a learner of a learning curve.

    Args:
        name: which.
        rivals: all of them.
    """

    def __init__(self, name: str, rivals: Rivals) -> None:
        self.name, self._rivals = name, rivals

    def scores(self, chosen: NDArray[np.bool_], seed: int) -> pl.DataFrame:
        """See `claimpt_tf.evaluation.cells.Learner.scores`."""
        return self._rivals.of(chosen, seed)[self.name]


def run_endpoint_study(
    run: str,
    found: FinetunedRun,
    judged: Judged,
    output: str,
    study: Study,
    choices: Choices,
    say: Callable[[str], None],
) -> pl.DataFrame:
    """Trains what is missing of a study, and sums it up; see `run_study`.

    The network gets the recipe that was asked for, so that `auto` picks by what each
    draw holds.
    """
    train, test = found.rows["train"], found.rows["test"]
    config = FinetuneConfig(**found.facts["choices"])
    rivals = Rivals(judged, train, test, found.task)
    learners: list[Learner] = [
        EndpointLearner(MODEL, run, found, judged.columns, config),
        *(RivalLearner(name, rivals) for name in judged.rivals),
    ]
    summary = learning_curve(
        learners, train, test, Path(output) / STUDY_FOLDER, shots=study.shots,
        seeds=range(study.seeds), processes=study.processes,
        n_boot=choices.replicates, say=say,
        scale=OtherLabels(judged, judged.truth(test), choices.fewest),
    )  # fmt: skip
    summary.write_parquet(Path(output) / SUMMARY_FILE)
    return summary
