"""One evaluation: figures, page, predictions and model card in one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.claims.privacy import load_key
from claimpt_tf.errors import ArtifactError, InputError, TaskError
from claimpt_tf.evaluation.baselines import (
    BASELINES,
    LIGHTGBM,
    LOGISTIC,
    PREVALENCE,
    fit_predict_all,
)
from claimpt_tf.evaluation.bootstrap import REPLICATES
from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.comparison import Comparison, write_metrics
from claimpt_tf.evaluation.endpoint_recalibration import Recalibrated
from claimpt_tf.evaluation.history_model import HistoryModel
from claimpt_tf.evaluation.metrics import CAPACITY
from claimpt_tf.evaluation.model_card import write_card
from claimpt_tf.evaluation.predictions import write_predictions
from claimpt_tf.evaluation.provenance import synthetic_note
from claimpt_tf.evaluation.recalibration import Recalibration, recalibrate
from claimpt_tf.evaluation.report import write_report
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.subgroups import groupings_of
from claimpt_tf.evaluation.truth import best_possible
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.spec import Task
from claimpt_tf.training.pretrain import write_text
from claimpt_tf.training.scores import PREDICTIONS_FILE

METRICS_FILE: Final = "metrics.json"
REPORT_FILE: Final = "report.html"
CARD_FILE: Final = "model_card.md"
RECALIBRATION_FILE: Final = "recalibration.json"
MODEL: Final = "pre-trained"
HISTORY_NAME: Final = "LightGBM on counts and past windows"
BASELINE_NAMES: Final = {
    PREVALENCE: "prevalence",
    LOGISTIC: "logistic regression on counts",
    LIGHTGBM: "LightGBM on counts",
}
PLATT, ISOTONIC = "recalibrated (Platt)", "recalibrated (isotonic)"
FEWEST_EVENTS: Final = 20
_NO_THRESHOLD: Final = 0.1  # without a validation split to take the prevalence of


@dataclass(frozen=True)
class Choices:
    """How an evaluation is done.

    Attributes:
        replicates: of the bootstrap.
        seed: of bootstrap and baselines.
        capacity: share of rows, or from 1 on a number of rows, that a team takes up.
        threshold: probability from which on members are flagged; None takes the
            prevalence of the validation rows.
        fewest: with fewer rows of a class, figures that need both are not estimable.
        past_windows: whether LightGBM on past windows, by far the slowest rival, is
            among them.
    """

    replicates: int = REPLICATES
    seed: int = 7
    capacity: float = CAPACITY
    threshold: float | None = None
    fewest: int = FEWEST_EVENTS
    past_windows: bool = True

    def share(self, rows: int) -> float:
        """The capacity as a share of this many rows.

        Raises:
            InputError: it is not positive, or more rows than there are.
        """
        share = self.capacity / rows if self.capacity > 1 else self.capacity
        if not 0 < share <= 1:
            raise InputError(
                f"--capacity {self.capacity:g}: give a share above 0 such as 0.05, or "
                f"a number of rows up to {rows}"
            )
        return share


def write_evaluation(
    folder: str | os.PathLike[str],
    scores: Mapping[str, ArrayLike],
    test: pl.DataFrame,
    story: Story,
    choices: Choices,
    valid: tuple[ArrayLike, ArrayLike] | None = None,
) -> Comparison:
    """Judges models on the test rows and writes everything about it.

    Args:
        folder: gets `report.html`, `metrics.json`, `predictions.parquet`,
            `model_card.md` and, where there is a validation split,
            `recalibration.json`.
        scores: model -> probabilities (test rows,), the judged one first.
        test: labelled examples.
        story: what else to tell.
        choices: how to do it.
        valid: labels and the judged model's probabilities of a validation split.

    Raises:
        ArtifactError: scores that are no probabilities, rows without labels.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    main = next(iter(scores))
    judged = dict(scores)
    notes = list(story.notes)
    fitted: Recalibration | None = None
    threshold = choices.threshold
    if valid is None:
        notes.append("no validation split: nothing was recalibrated")
    else:
        rate = float(np.mean(np.asarray(valid[0])))
        if threshold is None and 0 < rate < 1:
            threshold = round(rate, 3) or None
        try:
            fitted = recalibrate(*valid)
            judged[f"{main}, {PLATT}"] = fitted.platt(scores[main])
            judged[f"{main}, {ISOTONIC}"] = fitted.isotonic(scores[main])
        except TaskError as error:
            notes.append(f"not recalibrated: {error}")
    found = compare(
        judged,
        test,
        choices.replicates,
        choices.seed,
        capacity=choices.share(test.height),
        subgroups=groupings_of(test),
        threshold=threshold or _NO_THRESHOLD,
        fewest=choices.fewest,
    )
    found = replace(
        found,
        task=story.task.name,
        simulated=synthetic_note(story.source, story.simulated) is not None,
    )
    write_predictions(place / PREDICTIONS_FILE, judged, test, "test")
    if fitted is not None:
        write_recalibration(place, main, fitted)
    story = replace(story, notes=notes)
    write_report(place / REPORT_FILE, found, judged, test, story)
    write_card(place / CARD_FILE, found, story)
    write_metrics(found, place / METRICS_FILE)  # last: it tells that all is there
    return found


def refuse_an_old(output: str) -> None:
    """Refuses a folder that holds an evaluation.

    Raises:
        ArtifactError: it does.
    """
    if (Path(output) / METRICS_FILE).exists():
        raise ArtifactError(
            f"{output} holds an evaluation; choose another --output or remove it"
        )


def write_recalibration(
    folder: Path, model: str, fitted: Recalibration | Recalibrated
) -> None:
    """Writes `recalibration.json`.

    Args:
        folder: of the evaluation.
        model: what was recalibrated.
        fitted: how.
    """
    text = json.dumps({model: fitted.to_dict()}, indent=1) + "\n"
    write_text(str(folder / RECALIBRATION_FILE), text)


def baseline_scores(
    train: pl.DataFrame,
    test: pl.DataFrame,
    task: Task,
    seed: int,
    valid: pl.DataFrame | None = None,
    say: Callable[[str], None] = lambda line: None,
    unlabelled: pl.DataFrame | None = None,
    past_windows: bool = True,
) -> dict[str, Floats]:
    """Prevalence, logistic regression, LightGBM, and LightGBM on past windows.

    Args:
        train: labelled examples of the training split.
        test: labelled examples to score.
        task: the question.
        seed: of folds and sampling.
        valid: labelled examples that the network stops early on; counts may then
            learn from them too.
        say: called with what is left out, and why.
        unlabelled: training members outside the cohort, whose past adaptation had.
        past_windows: whether the last one, by far the slowest, is fitted.
    """
    known = train if valid is None else pl.concat([train, valid], how="diagonal")
    counted = fit_predict_all(known, test, BASELINES, seed)
    scores = {BASELINE_NAMES[kind]: given for kind, given in counted.items()}
    if not past_windows:
        return scores
    try:
        history = HistoryModel(known, test, task, seed, unlabelled=unlabelled)
        scores[HISTORY_NAME] = history.scores()
    except TaskError as error:
        say(f"{HISTORY_NAME} is left out: {error}")
    return scores


def true_risk(
    test: pl.DataFrame, task: Task, table: str, key_file: str | None
) -> Floats | None:
    """The simulator's own risks, where it has them for every row of this task."""
    if not (table and task.truth):
        return None
    risk = best_possible(test, table, load_key(key_file), task.truth)
    return None if risk.null_count() else risk.to_numpy()
