"""A run whose labels are not yes or no, judged on other records or a later time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from claimpt_tf.errors import ClaimPTError
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.endpoints.judged import Judged, Learned
from claimpt_tf.evaluation.endpoints.registry import JUDGED
from claimpt_tf.evaluation.evaluate import MODEL, Choices
from claimpt_tf.evaluation.evaluate_endpoint import (
    known_rows,
    labelled_members,
    write_endpoint_evaluation,
)
from claimpt_tf.evaluation.evaluate_run import LOG_FOLDER, told_facts
from claimpt_tf.evaluation.hparams import hparams_of, write_hparams
from claimpt_tf.evaluation.other_records import (
    HOME,
    LOCAL,
    Asked,
    OtherRecords,
    other_records,
)
from claimpt_tf.evaluation.reproduce import command_of, training_commands
from claimpt_tf.evaluation.story import Story


def evaluate_endpoint_elsewhere(
    run: str,
    asked: Asked,
    output: str,
    choices: Choices,
    *,
    source: str = "",
    simulated: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Evaluates a run on the test split of other records, or of later index dates.

    The network is judged as it is and, where the kind of label allows it,
    recalibrated on the validation split of these records; beside it stand baselines
    that were trained at home and, but for later dates, here.

    Args:
        run: folder of a run of `claimpt finetune`.
        asked: which records, from when on.
        output: where the evaluation and the new cohort go.
        choices: how to do it; capacity, threshold and past windows play no part.
        source: the input standard, for the page.
        simulated: the members came from the simulator.
        say: called with a line about each step.

    Raises:
        ArtifactError: the run is no finished one, or its base is gone.
        InputError: a table of labels is missing, or there is one too many.
        TaskError: labels that are yes or no, or all the same, or later dates that the
            run's own labels reach.
    """
    there = other_records(run, asked, output, JUDGED, say)
    home, test, valid = there.home, there.test, there.held_out
    judged = JUDGED[home.kind](test.given.columns)
    truth = judged.truth(test.examples)
    judged.refuse(truth)
    predictions = {MODEL: test.given}
    say("fitting baselines on counts")
    learned = Learned(
        known_rows(home, labelled_members(home)), test.examples, there.task,
        choices.seed, say,
    )  # fmt: skip
    found = {f"{name}, {HOME}": one for name, one in judged.baselines(learned).items()}
    if asked.since is None:
        found |= _local(there, judged, choices, say)
    predictions |= {name: one.select(judged.columns) for name, one in found.items()}
    story = Story(
        there.task,
        there.attrition,
        source,
        simulated=simulated,
        facts={
            **told_facts(home.facts),
            **{name: judged.rivals[name.partition(", trained ")[0]] for name in found},
        },
        commands=(
            *training_commands(run, home.facts, home.task),
            command_of(
                run, choices, *asked.options(), source=source, simulated=simulated
            ),
        ),
        notes=tuple(there.notes),
        examples=there.examples(judged.told(there.every.given)),
        split=asked.split(),
    )
    say(f"{choices.replicates:,} bootstrap replicates of {len(predictions)} models")
    compared = write_endpoint_evaluation(
        output, judged, predictions, truth, test.examples, story, choices,
        None if valid is None else (valid.given, judged.truth(valid.examples)),
    )  # fmt: skip
    told = {**hparams_of(home.facts), "split": asked.name}
    write_hparams(Path(output) / LOG_FOLDER, told, compared.points())
    return compared


def _local(
    there: OtherRecords, judged: Judged, choices: Choices, say: Callable[[str], None]
) -> dict[str, pl.DataFrame]:
    """Baselines that learned from these records."""
    known = there.rows("train")
    if there.held_out is not None:
        known = pl.concat([known, there.held_out.examples], how="diagonal")
    try:
        if not known.height:
            raise ClaimPTError("no labelled row is in the split train or eval")
        learned = Learned(known, there.test.examples, there.task, choices.seed, say)
        found = judged.baselines(learned)
    except ClaimPTError as error:
        there.notes.append(f"nothing was trained on these records: {error}")
        return {}
    return {f"{name}, {LOCAL}": one for name, one in found.items()}
