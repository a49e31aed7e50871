"""What `claimpt evaluate` does with a run whose labels are not yes or no."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from claimpt_tf.errors import ArtifactError, ClaimPTError, InputError, TaskError
from claimpt_tf.evaluation.comparison import Comparison, write_metrics
from claimpt_tf.evaluation.endpoint_compare import compare_endpoints
from claimpt_tf.evaluation.endpoint_networks import rival_predictions
from claimpt_tf.evaluation.endpoint_recalibration import FITS
from claimpt_tf.evaluation.endpoint_report import write_endpoint_report
from claimpt_tf.evaluation.endpoint_study import run_endpoint_study
from claimpt_tf.evaluation.endpoints.judged import Judged, Learned
from claimpt_tf.evaluation.endpoints.registry import JUDGED
from claimpt_tf.evaluation.evaluate import (
    CARD_FILE,
    METRICS_FILE,
    MODEL,
    REPORT_FILE,
    Choices,
    refuse_an_old,
    write_recalibration,
)
from claimpt_tf.evaluation.evaluate_run import (
    LOG_FOLDER,
    Say,
    examples_of,
    options_of,
    told_facts,
)
from claimpt_tf.evaluation.examples import Example
from claimpt_tf.evaluation.finetuned_run import FinetunedRun, predictions_of, read_run
from claimpt_tf.evaluation.hparams import hparams_of, write_hparams
from claimpt_tf.evaluation.model_card import write_card
from claimpt_tf.evaluation.provenance import synthetic_note
from claimpt_tf.evaluation.reproduce import command_of, training_commands
from claimpt_tf.evaluation.rivals import described
from claimpt_tf.evaluation.run_study import Study
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.subgroups import groupings_of
from claimpt_tf.tasks.shots import shots as draw_shots
from claimpt_tf.training.scores import PREDICTIONS_FILE, write_parquet

RECALIBRATED: Final = "recalibrated"
NOT_DONE: Final = {
    "capacity": "it is a share of the rows with the highest risk",
    "threshold": "it is a probability of yes",
    "balanced": "it takes as many with as without an outcome",
    "paper": "fine-tune from that run and evaluate it",
    "true_risk": "the simulator knows risks of yes-or-no outcomes only",
    "past_windows": "none are looked at",
}


def evaluate_endpoint_run(
    run: str,
    output: str,
    choices: Choices,
    *,
    source: str = "",
    simulated: bool = False,
    study: Study | None = None,
    networks: bool = False,
    say: Say = lambda line: None,
) -> Comparison:
    """Evaluates a run of `claimpt finetune` whose labels are not yes or no.

    Args:
        run: folder of the run.
        output: where the evaluation goes; it must not hold another one.
        choices: how to do it; capacity, threshold and past windows play no part.
        source: the input standard, for the page.
        simulated: the members came from the simulator.
        study: a learning curve to make, or to go on with.
        networks: whether other networks are trained on the same members too.
        say: called with a line about each step.

    Raises:
        ArtifactError: the run is no finished one, or its predictions do not fit.
        TaskError: the labels are yes or no, or all the same.
    """
    refuse_an_old(output)
    say(f"reading {run}")
    found = read_run(run, JUDGED)
    path = Path(run) / PREDICTIONS_FILE
    table = pl.read_parquet(path)
    kind = JUDGED[found.kind]
    columns = kind.predicted(table.columns)
    if not columns:
        raise ArtifactError(f"{path} has no predictions of {found.kind} labels")
    judged = kind(columns)
    test = found.rows["test"]
    given, truth = _of_split(judged, found, table, str(path), "test")
    judged.refuse(truth)
    predictions = {MODEL: given}
    valid = None
    if "eval" in found.rows:
        valid = _of_split(judged, found, table, str(path), "eval")
    say("fitting baselines on counts")
    labelled = labelled_members(found)
    learned = Learned(known_rows(found, labelled), test, found.task, choices.seed, say)
    predictions |= {
        name: one.select(columns) for name, one in judged.baselines(learned).items()
    }
    if networks:
        try:
            predictions |= dict(
                rival_predictions(
                    run, found, labelled.to_numpy(), columns, choices.seed, say
                )
            )
        except ClaimPTError as error:
            say(f"other networks are left out: {error}")
    learning = None
    if study is not None:
        learning = run_endpoint_study(run, found, judged, output, study, choices, say)
    examples: Sequence[Example] = ()
    if (told := judged.told(given)) is not None:
        say("explaining examples")
        examples = examples_of(run, found, told, say)
    say(f"{choices.replicates:,} bootstrap replicates of {len(predictions)} models")
    story = Story(
        found.task,
        found.attrition,
        source,
        simulated=simulated,
        facts={
            **told_facts(found.facts),
            **judged.rivals,
            **described(name for name in predictions if name not in judged.rivals),
        },
        commands=(
            *training_commands(run, found.facts, found.task),
            command_of(
                run,
                choices,
                *options_of(study, networks),
                source=source,
                simulated=simulated,
            ),
        ),
        notes=tuple(found.facts.get("notes", ())),
        examples=examples,
        learning=learning,
    )
    compared = write_endpoint_evaluation(
        output, judged, predictions, truth, test, story, choices, valid
    )
    facts = hparams_of(found.facts)
    write_hparams(Path(output) / LOG_FOLDER, facts, compared.points())
    return compared


def write_endpoint_evaluation(
    folder: str | os.PathLike[str],
    judged: Judged,
    predictions: Mapping[str, pl.DataFrame],
    truth: pl.DataFrame,
    test: pl.DataFrame,
    story: Story,
    choices: Choices,
    valid: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> Comparison:
    """Judges models on the test rows and writes everything about it.

    Args:
        folder: gets `report.html`, `metrics.json`, `predictions.parquet`,
            `model_card.md` and, where the judged model could be recalibrated,
            `recalibration.json`.
        judged: the kind of label.
        predictions: model -> its predictions of the test rows, the judged one first.
        truth: their labels.
        test: labelled examples.
        story: what else to tell.
        choices: how to do it.
        valid: the judged model's predictions of a validation split, and its labels.

    Raises:
        ArtifactError: predictions that are none.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    main, notes = next(iter(predictions)), list(story.notes)
    predictions = dict(predictions)
    if judged.kind in FITS:
        try:
            if valid is None:
                raise TaskError("there is no validation split")
            fitted = FITS[judged.kind](*valid)
            predictions[f"{main}, {RECALIBRATED}"] = fitted(predictions[main])
            write_recalibration(place, main, fitted)
        except TaskError as error:
            notes.append(f"not recalibrated: {error}")
    story = replace(story, notes=notes)
    found = compare_endpoints(
        judged, predictions, truth, test, choices.replicates, choices.seed,
        subgroups=groupings_of(test), fewest=choices.fewest,
    )  # fmt: skip
    found = replace(
        found,
        task=story.task.name,
        simulated=synthetic_note(story.source, story.simulated) is not None,
    )
    models = {
        name: pl.concat([truth, one], how="horizontal")
        for name, one in predictions.items()
    }
    write_parquet(predictions_table(models, test), str(place / PREDICTIONS_FILE))
    write_endpoint_report(place / REPORT_FILE, judged, found, models, test, story)
    write_card(place / CARD_FILE, found, story, list(judged.titles)[:6])
    write_metrics(found, place / METRICS_FILE)  # last: it tells that all is there
    return found


def predictions_table(
    models: Mapping[str, pl.DataFrame], test: pl.DataFrame
) -> pl.DataFrame:
    """One row a model and labelled example, as a run's own table but for `model`.

    Args:
        models: model -> labels and predictions.
        test: labelled examples.
    """
    rows = test.select(
        "patient_id",
        index_date=pl.col("index_day").cast(pl.Int32).cast(pl.Date),
        split=pl.lit("test"),
    )
    return pl.concat(
        pl.concat(
            [rows.with_columns(model=pl.lit(name)), one, test.select("label_row")],
            how="horizontal",
        )
        for name, one in models.items()
    )


def known_rows(found: FinetunedRun, labelled: pl.Series) -> pl.DataFrame:
    """What baselines may learn from: the labels that the run had.

    Args:
        found: the run.
        labelled: which training rows' labels it used.
    """
    known = found.rows["train"].filter(labelled)
    if "eval" in found.rows and not found.facts.get("shots"):
        known = pl.concat([known, found.rows["eval"]], how="diagonal")
    return known


def _of_split(
    judged: Judged, found: FinetunedRun, table: pl.DataFrame, name: str, split: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The run's predictions of a split, checked, and its labels."""
    rows = found.rows[split]
    truth = judged.truth(rows)
    given = predictions_of(rows, table, name, split, [*judged.columns, *truth.columns])
    _refuse_other_labels(given.select(truth.columns), truth, name, split)
    judged.check(given.select(judged.columns), name)
    return given.select(judged.columns), truth


def labelled_members(found: FinetunedRun) -> pl.Series:
    """Which training rows' labels the run used, Boolean."""
    train = found.rows.get("train")
    if train is None:
        raise ArtifactError("no labelled row is in the split train: nothing to compare")
    if not (count := found.facts.get("shots")):
        return pl.Series([True] * train.height, dtype=pl.Boolean)
    seed = found.facts["choices"]["seed"]
    return draw_shots(train.select("patient_id", "index_day", "label"), count, seed)


def refuse_options(kind: str, given: Iterable[str]) -> None:
    """Refuses options that do not go with a kind of label.

    Args:
        kind: of label.
        given: names of parameters that a person gave.

    Raises:
        InputError: "labels are regression; leave out --threshold (there is no ...)".
    """
    told = [
        f"--{name.replace('_', '-')} ({NOT_DONE[name]})"
        for name in given
        if name in NOT_DONE
    ]
    if told:
        raise InputError(f"labels are {kind}; leave out {', '.join(told)}")


def _refuse_other_labels(
    given: pl.DataFrame, truth: pl.DataFrame, name: str, split: str = "test"
) -> None:
    """Refuses predictions whose labels are not the cohort's."""
    other = np.zeros(truth.height, bool)
    for column in truth.columns:
        one, asked = given[column], truth[column]
        if asked.dtype == pl.List:
            one, asked = one.list.unique().list.sort(), asked.list.unique().list.sort()
            one, asked = one.list.join("\n"), asked.list.join("\n")
        other |= (one.cast(asked.dtype) != asked).fill_null(True).to_numpy()
    if other.any():
        raise ArtifactError(
            f"{name}: {other.sum()} labels of the split {split} differ from the "
            "cohort's; fine-tune again"
        )
