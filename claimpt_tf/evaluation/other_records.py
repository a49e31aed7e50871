"""The rows of other records, or of a later time, on which a run can be judged."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from claimpt_tf.errors import InputError, TaskError
from claimpt_tf.evaluation.comparison import BINARY
from claimpt_tf.evaluation.evaluate import refuse_an_old
from claimpt_tf.evaluation.examples import Example, Told
from claimpt_tf.evaluation.explained import explained_examples
from claimpt_tf.evaluation.finetuned_model import FinetunedModel
from claimpt_tf.evaluation.finetuned_run import FinetunedRun, labelled_rows, read_run
from claimpt_tf.tasks.spec import Task, with_label_table
from claimpt_tf.tasks.transform import build_cohort
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.training.finetune_run import COHORT_FOLDER

HOME, LOCAL = "trained at home", "trained here"
_SAME_PERSON: Final = ("patient_id", "sex", "birth_days")
_EPOCH: Final = datetime.date(1970, 1, 1)


@dataclass(frozen=True)
class Asked:
    """What a run is judged on, instead of its own test split.

    Attributes:
        data: records that `claimpt ingest` made.
        since: only index dates from this day on: a split by time.
        labels: the table of labels of those members, of a task that has one.
        key_file: the key that member ids were hashed with.
    """

    data: str
    since: datetime.date | None = None
    labels: str | None = None
    key_file: str | None = None

    def split(self) -> str:
        """How test rows were parted from what was learned, and what is left open."""
        if self.since is None:
            return (
                "Other records than those the model was trained on, its members among "
                "them left out. How the model does at yet another place has not been "
                "measured here."
            )
        return (
            f"Split by time and by member: index dates from {self.since} on, of "
            "members whom no model was trained on. Pre-training needs no label, and "
            "was not cut at that date unless its records were."
        )

    def options(self) -> list[str]:
        """What to type for it, but for paths."""
        found = ["--data RECORDS"]
        if self.labels is not None:
            found.append("--labels TABLE")
        return found if self.since is None else [*found, f"--from-date {self.since}"]

    @property
    def name(self) -> str:
        """For TensorBoard."""
        return "elsewhere" if self.since is None else "later"


@dataclass(frozen=True)
class Rows:
    """Labelled examples of a split, and what the network predicts for them.

    Attributes:
        examples: labelled examples.
        given: predictions, a row each.
    """

    examples: pl.DataFrame
    given: pl.DataFrame

    def filter(self, chosen: np.ndarray) -> Rows:
        """Some of them, by bool (rows,)."""
        return Rows(self.examples.filter(chosen), self.given.filter(chosen))


@dataclass(frozen=True)
class OtherRecords:
    """Other records, labelled for a run's task and scored by its network.

    Attributes:
        home: what is in the run.
        task: the run's, on those dates and with that table of labels.
        model: the run's network.
        cohort: folder of the labelled examples.
        attrition: counts that may be published.
        every: all rows of the split test.
        own: bool (rows of `every`,), those of members whom the run has not seen.
        test: these.
        held_out: rows of the split eval whose members the run did not train on; None
            where there are none.
        notes: what a reader should know.
    """

    home: FinetunedRun
    task: Task
    model: FinetunedModel
    cohort: Path
    attrition: dict[str, Any]
    every: Rows
    own: np.ndarray
    test: Rows
    held_out: Rows | None
    notes: list[str] = field(default_factory=list)

    def rows(self, split: str) -> pl.DataFrame:
        """Labelled examples of another split."""
        return labelled_rows(self.cohort, split)

    def examples(self, told: Told | None) -> Sequence[Example]:
        """Explained predictions of rows of the test split.

        Args:
            told: the number of each row of `every` that is explained; None if none is.
        """
        if told is None:
            return ()
        return explained_examples(
            self.model, self.cohort, self.every.examples, told, self.own,
            self.task.at_visits,
        )  # fmt: skip

    def unlabelled(self) -> pl.DataFrame | None:
        """Training members outside the cohort, if there are any."""
        rows = self.rows(UNLABELLED)
        return rows if rows.height else None


def other_records(
    run: str,
    asked: Asked,
    output: str,
    kinds: Container[str] = (BINARY,),
    say: Callable[[str], None] = lambda line: None,
) -> OtherRecords:
    """Labels other records for a run's task and scores them.

    Args:
        run: folder of a run of `claimpt finetune`.
        asked: which records, from when on.
        output: gets the folder `cohort`; it must not hold an evaluation.
        kinds: of label that may be judged.
        say: called with a line about each step.

    Raises:
        ArtifactError: the run is no finished one, or its base is gone; `output` holds
            an evaluation.
        InputError: a table of labels is missing, or there is one too many.
        TaskError: a `since` that the run's own labels reach, or nobody is left.
    """
    refuse_an_old(output)
    say(f"reading {run}")
    home = read_run(run, kinds)
    task = _with_table(home.task, asked.labels)
    if asked.since is not None:
        task = later(home, task, asked.since)
    model = FinetunedModel.load(run)
    cohort = Path(output) / COHORT_FOLDER
    say(f"labelling {asked.data}")
    made = build_cohort(task, asked.data, cohort, key_file=asked.key_file)
    notes = [*home.facts.get("notes", ())]
    say("scoring with the network")
    every = Rows(*model.predictions(cohort, "test"))
    own = strangers(home, every.examples)
    if not own.any():
        raise TaskError(
            f"{asked.data}: no labelled row in the split test is of a member whom the "
            "run has not learned from; there is nobody to judge it on"
        )
    if not own.all():
        notes.append("members whom the model learned from are left out")
    held_out = None
    if labelled_rows(cohort, "eval").height:  # it only recalibrates
        found = Rows(*model.predictions(cohort, "eval"))
        found = found.filter(strangers(home, found.examples, ("train",)))
        held_out = found if found.examples.height else None
    return OtherRecords(
        home, made.task, model, cohort, made.attrition.export(), every, own,
        every.filter(own), held_out, notes,
    )  # fmt: skip


def _with_table(task: Task, labels: str | None) -> Task:
    if task.labels is None:
        if labels is not None:
            raise InputError(
                f"--labels: task {task.name} finds its outcome in the claims; leave it "
                "out"
            )
        return task
    if labels is None:
        raise InputError(
            f"task {task.name}: its labels came from a table of the run's own members; "
            "give that of the other records with --labels FILE"
        )
    return with_label_table(task, labels)


def later(home: FinetunedRun, task: Task, since: datetime.date) -> Task:
    """The run's task with index dates from a day on.

    Args:
        home: the run.
        task: its task.
        since: the day.

    Raises:
        InputError: index dates come from a table.
        TaskError: "... its outcome windows reach 2023-08-29: ...".
    """
    if task.labels is not None:
        raise InputError(
            "--from-date: index dates come from the table of labels; give one with "
            "those later dates only, and leave --from-date out"
        )
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
    fields = task.model_dump()
    fields["index"] |= {"since": since.isoformat(), "until": None}
    return Task.model_validate(fields)


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
