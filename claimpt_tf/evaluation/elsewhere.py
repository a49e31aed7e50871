"""A fine-tuned run judged on other members: another source, or a later time."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.errors import ClaimPTError, TaskError
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.evaluate import (
    MODEL,
    Choices,
    baseline_scores,
    true_risk,
    write_evaluation,
)
from claimpt_tf.evaluation.evaluate_run import (
    LOG_FOLDER,
    refuse_an_old,
    refuse_one_class,
    told_facts,
)
from claimpt_tf.evaluation.explained import explained_examples
from claimpt_tf.evaluation.finetuned_model import FinetunedModel
from claimpt_tf.evaluation.finetuned_run import FinetunedRun, labelled_rows, read_run
from claimpt_tf.evaluation.hparams import hparams_of, write_hparams
from claimpt_tf.evaluation.reproduce import command_of, training_commands
from claimpt_tf.evaluation.rivals import described
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.truth import BEST
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.transform import build_cohort
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.finetune_run import COHORT_FOLDER

HOME, LOCAL = "trained at home", "trained here"
_SAME_PERSON: Final = ("patient_id", "sex", "birth_days")
_EPOCH: Final = datetime.date(1970, 1, 1)


def evaluate_elsewhere(
    run: str,
    data: str,
    output: str,
    choices: Choices,
    *,
    since: datetime.date | None = None,
    truth: str = "",
    key_file: str | None = None,
    source: str = "",
    simulated: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Evaluates a run on the test split of other records, or of later index dates.

    The network is judged as it is and recalibrated on the validation split of these
    records, beside counts that were trained at home and, without `since`, counts
    that were trained here.

    Args:
        run: folder of a run of `claimpt finetune`.
        data: records that `claimpt ingest` made.
        output: where the evaluation and the new cohort go.
        choices: how to do it.
        since: only index dates from this day on: a split by time. The run must not
            have learned from labels of that time.
        truth: the simulator's table of true risks, where there is one.
        key_file: the key that member ids were hashed with.
        source: the input standard, for the page.
        simulated: the members came from the simulator.
        say: called with a line about each step.

    Raises:
        ArtifactError: the run is no finished one, or its base is gone.
        TaskError: labels that are not yes or no or all the same, or a `since` that
            the run's own labels reach.
    """
    refuse_an_old(output)
    say(f"reading {run}")
    home = read_run(run)
    task = home.task if since is None else later(home, since)
    model = FinetunedModel.load(run)
    cohort = Path(output) / COHORT_FOLDER
    say(f"labelling {data}")
    attrition = build_cohort(task, data, cohort, key_file=key_file).attrition
    notes = [*home.facts.get("notes", ())]
    say("scoring with the network")
    every, every_score = model.scores(cohort, "test")
    own = strangers(home, every)
    if not own.any():
        raise TaskError(
            f"{data}: no labelled row in the split test is of a member whom the run "
            "has not learned from; there is nobody to judge it on"
        )
    if not own.all():
        notes.append("members whom the model learned from are left out")
    test, given = every.filter(own), every_score[own]
    refuse_one_class(test)
    held_out, valid = labelled_rows(cohort, "eval"), None
    if held_out.height:  # it only recalibrates
        held_out, held_out_scores = model.scores(cohort, "eval")
        unknown = strangers(home, held_out, ("train",))
        held_out = held_out.filter(unknown)
        if held_out.height:
            valid = (held_out["label"].to_numpy(), held_out_scores[unknown])
    scores: dict[str, ArrayLike] = {MODEL: given}
    say("fitting baselines on counts")
    at_home = baseline_scores(
        home.rows["train"], test, task, choices.seed, home.rows.get("eval"), say,
        home.unlabelled, choices.past_windows,
    )  # fmt: skip
    scores |= {f"{name}, {HOME}": one for name, one in at_home.items()}
    if since is None:
        scores |= _local(task, cohort, test, held_out, choices, notes.append, say)
    elif home.unlabelled is not None and home.facts.get("recipe") == "adapt":
        notes.append(
            "adaptation also rehearsed the past of training members outside the "
            "cohort, which reaches beyond the first test date"
        )
    risk = true_risk(test, task, truth, key_file)
    if risk is not None:
        scores[BEST] = risk
    asked = ["--data RECORDS", *([] if since is None else [f"--from-date {since}"])]
    story = Story(
        task,
        attrition.export(),
        source,
        simulated=simulated or bool(truth),
        facts=told_facts(home.facts) | described(scores),
        commands=(
            *training_commands(run, home.facts, home.task),
            command_of(
                run, choices, *asked, truth=truth, source=source, simulated=simulated
            ),
        ),
        notes=tuple(notes),
        examples=explained_examples(
            model, cohort, every, every_score, own, task.index.kind == "each_visit"
        ),
        split=_told(since),
    )
    say(f"{choices.replicates:,} bootstrap replicates of {len(scores)} models")
    judged = write_evaluation(output, scores, test, story, choices, valid)
    told = {
        **hparams_of(home.facts),
        "split": "elsewhere" if since is None else "later",
    }
    write_hparams(Path(output) / LOG_FOLDER, told, judged.points())
    return judged


def later(home: FinetunedRun, since: datetime.date) -> Task:
    """The run's task with index dates from a day on.

    Raises:
        TaskError: "... its outcome windows reach 2023-08-29: ...".
    """
    days = [
        int(day)
        for split, frame in home.rows.items()
        for day in frame["index_day"]
        if split != "test"
    ]
    last = _EPOCH + datetime.timedelta(max(days))
    reached = last + datetime.timedelta(home.task.horizon_days)
    if reached >= since:
        raise TaskError(
            f"--from-date {since}: the run learned from index dates up to {last}, and "
            f"its outcome windows reach {reached}; that would be no split by time. "
            "Give a later date, or fine-tune with `until` in the task's index and "
            "a base that was pre-trained before"
        )
    fields = home.task.model_dump()
    fields["index"] |= {"since": since.isoformat(), "until": None}
    return Task.model_validate(fields)


def _told(since: datetime.date | None) -> str:
    if since is None:
        return (
            "Other records than those the model was trained on, its members among "
            "them left out. How the model does at yet another place has not been "
            "measured here."
        )
    return (
        f"Split by time and by member: index dates from {since} on, of members whom no "
        "model was trained on. Pre-training needs no label, and was not cut at that "
        "date unless its records were."
    )


def strangers(
    home: FinetunedRun, rows: pl.DataFrame, learned: Sequence[str] = ("train", "eval")
) -> np.ndarray:
    """Which rows are of members of whom the run has seen no label, bool (rows,).

    Simulated members of two seeds share ids, so sex and birth must be the same too.

    Args:
        home: the run.
        rows: labelled examples.
        learned: the run's splits whose labels count as seen.
    """
    known = pl.concat(
        [frame.select(_SAME_PERSON) for split, frame in home.rows.items()
         if split in learned]
    ).unique()  # fmt: skip
    numbered = rows.select(*_SAME_PERSON).with_row_index("row")
    told = np.zeros(rows.height, bool)
    told[numbered.join(known, on=_SAME_PERSON, how="anti")["row"].to_numpy()] = True
    return told


def _local(
    task: Task,
    cohort: Path,
    test: pl.DataFrame,
    valid: pl.DataFrame,
    choices: Choices,
    note: Callable[[str], None],
    say: Callable[[str], None],
) -> Mapping[str, Floats]:
    train = labelled_rows(cohort, "train")
    unlabelled = labelled_rows(cohort, UNLABELLED)
    try:
        found = baseline_scores(
            train, test, task, choices.seed, valid if valid.height else None, say,
            unlabelled if unlabelled.height else None, choices.past_windows,
        )  # fmt: skip
    except ClaimPTError as error:
        note(f"nothing was trained on these records: {error}")
        return {}
    return {f"{name}, {LOCAL}": one for name, one in found.items()}
