"""The learning curve of a fine-tuned run: its network beside counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.baselines import LIGHTGBM, LOGISTIC, CountMatrices
from claimpt_tf.evaluation.cells import SEEDS, SHOTS, Learner
from claimpt_tf.evaluation.count_learner import CountLearner
from claimpt_tf.evaluation.evaluate import BASELINE_NAMES, HISTORY_NAME, MODEL, Choices
from claimpt_tf.evaluation.finetuned_run import FinetunedRun
from claimpt_tf.evaluation.history_model import HistoryModel
from claimpt_tf.evaluation.learning_curve import learning_curve
from claimpt_tf.evaluation.run_networks import network_of

STUDY_FOLDER: Final = "learning_curve"
SUMMARY_FILE: Final = "learning_curve.parquet"


@dataclass(frozen=True)
class Study:
    """A learning curve beside the evaluation.

    Attributes:
        shots: numbers of labelled members, beside all of them.
        seeds: how many draws of each.
        balanced: also draw in EHRSHOT's balanced way.
        processes: how many trainings run at once.
    """

    shots: Sequence[int] = SHOTS
    seeds: int = len(SEEDS)
    balanced: bool = False
    processes: int = 1


def run_study(
    run: str,
    found: FinetunedRun,
    output: str,
    study: Study,
    choices: Choices,
    say: Callable[[str], None],
) -> pl.DataFrame:
    """Trains what is missing of a study, and sums it up.

    The network is fine-tuned anew for each draw, from the run's base and with its
    choices. Cells that are done are kept in the evaluation's folder.

    Raises:
        ArtifactError: the run has no validation split, or its base is gone.
    """
    if "eval" not in found.rows:
        raise ArtifactError(
            f"{run} has no labelled row in the split eval, on which the network of a "
            "learning curve is calibrated; take more members"
        )
    train, test = found.rows["train"], found.rows["test"]
    learners: list[Learner] = [network_of(run, found, MODEL)]
    if choices.past_windows:
        try:
            past = HistoryModel(
                train, test, found.task, choices.seed, unlabelled=found.unlabelled
            )
            past.name = HISTORY_NAME
            learners.append(past)
        except TaskError as error:
            say(f"{HISTORY_NAME} is left out of the learning curve: {error}")
    matrices = CountMatrices.of(train, test)
    for kind in (LOGISTIC, LIGHTGBM):
        learners.append(CountLearner(kind, matrices, BASELINE_NAMES[kind]))
    summary = learning_curve(
        learners, train, test, Path(output) / STUDY_FOLDER, shots=study.shots,
        seeds=range(study.seeds), balanced=(False, True)[: 1 + study.balanced],
        processes=study.processes, n_boot=choices.replicates, say=say,
    )  # fmt: skip
    summary.write_parquet(Path(output) / SUMMARY_FILE)
    return summary
