"""A fine-tuned run judged on other members: another source, or a later time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from numpy.typing import ArrayLike

from claimpt_tf.errors import ClaimPTError
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
    refuse_one_class,
    told_facts,
)
from claimpt_tf.evaluation.examples import Told
from claimpt_tf.evaluation.hparams import hparams_of, write_hparams
from claimpt_tf.evaluation.other_records import (
    HOME,
    LOCAL,
    Asked,
    OtherRecords,
    Rows,
    other_records,
)
from claimpt_tf.evaluation.reproduce import command_of, training_commands
from claimpt_tf.evaluation.rivals import described
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.truth import BEST
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.training.scores import RISK


def evaluate_elsewhere(
    run: str,
    asked: Asked,
    output: str,
    choices: Choices,
    *,
    truth: str = "",
    source: str = "",
    simulated: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Evaluates a run on the test split of other records, or of later index dates.

    The network is judged as it is and recalibrated on the validation split of these
    records, beside counts that were trained at home and, but for later dates, counts
    that were trained here.

    Args:
        run: folder of a run of `claimpt finetune`.
        asked: which records, from when on.
        output: where the evaluation and the new cohort go.
        choices: how to do it.
        truth: the simulator's table of true risks, where there is one.
        source: the input standard, for the page.
        simulated: the members came from the simulator.
        say: called with a line about each step.

    Raises:
        ArtifactError: the run is no finished one, or its base is gone.
        InputError: a table of labels is missing, or there is one too many.
        TaskError: labels that are not yes or no or all the same, or later dates that
            the run's own labels reach.
    """
    there = other_records(run, asked, output, say=say)
    home, task, test, notes = there.home, there.task, there.test.examples, there.notes
    refuse_one_class(test)
    valid = None
    if there.held_out is not None:
        labels = there.held_out.examples["label"].to_numpy()
        valid = (labels, _risk(there.held_out))
    scores: dict[str, ArrayLike] = {MODEL: _risk(there.test)}
    say("fitting baselines on counts")
    at_home = baseline_scores(
        home.rows["train"], test, task, choices.seed, home.rows.get("eval"), say,
        home.unlabelled, choices.past_windows,
    )  # fmt: skip
    scores |= {f"{name}, {HOME}": one for name, one in at_home.items()}
    if asked.since is None:
        scores |= _local(there, choices, say)
    elif home.unlabelled is not None and home.facts.get("recipe") == "adapt":
        notes.append(
            "adaptation also rehearsed the past of training members outside the "
            "cohort, which reaches beyond the first test date"
        )
    risk = true_risk(test, task, truth, asked.key_file)
    if risk is not None:
        scores[BEST] = risk
    story = Story(
        task,
        there.attrition,
        source,
        simulated=simulated or bool(truth),
        facts=told_facts(home.facts) | described(scores),
        commands=(
            *training_commands(run, home.facts, home.task),
            command_of(
                run,
                choices,
                *asked.options(),
                truth=truth,
                source=source,
                simulated=simulated,
            ),
        ),
        notes=tuple(notes),
        examples=there.examples(Told.risk(_risk(there.every))),
        split=asked.split(),
    )  # fmt: skip
    say(f"{choices.replicates:,} bootstrap replicates of {len(scores)} models")
    judged = write_evaluation(output, scores, test, story, choices, valid)
    told = {**hparams_of(home.facts), "split": asked.name}
    write_hparams(Path(output) / LOG_FOLDER, told, judged.points())
    return judged


def _risk(rows: Rows) -> Floats:
    return rows.given[RISK].to_numpy()


def _local(
    there: OtherRecords, choices: Choices, say: Callable[[str], None]
) -> Mapping[str, Floats]:
    """Counts that learned from these records."""
    valid = None if there.held_out is None else there.held_out.examples
    try:
        found = baseline_scores(
            there.rows("train"), there.test.examples, there.task, choices.seed, valid,
            say, there.unlabelled(), choices.past_windows,
        )  # fmt: skip
    except ClaimPTError as error:
        there.notes.append(f"nothing was trained on these records: {error}")
        return {}
    return {f"{name}, {LOCAL}": one for name, one in found.items()}
