"""What `claimpt evaluate` does: a fine-tuned run judged at home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.errors import ClaimPTError, TaskError
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.evaluate import (
    MODEL,
    Choices,
    baseline_scores,
    refuse_an_old,
    true_risk,
    write_evaluation,
)
from claimpt_tf.evaluation.examples import Example, Told
from claimpt_tf.evaluation.explained import explained_examples
from claimpt_tf.evaluation.finetuned_model import FinetunedModel
from claimpt_tf.evaluation.finetuned_run import FinetunedRun, read_run
from claimpt_tf.evaluation.hparams import hparams_of, write_hparams
from claimpt_tf.evaluation.reproduce import command_of, training_commands
from claimpt_tf.evaluation.rivals import described
from claimpt_tf.evaluation.run_networks import rival_scores
from claimpt_tf.evaluation.run_study import Study, run_study
from claimpt_tf.evaluation.story import Story
from claimpt_tf.evaluation.truth import BEST
from claimpt_tf.training.finetune_run import COHORT_FOLDER

Say = Callable[[str], None]
LOG_FOLDER: Final = "logs"


def evaluate_run(
    run: str,
    output: str,
    choices: Choices,
    *,
    truth: str = "",
    key_file: str | None = None,
    source: str = "",
    simulated: bool = False,
    study: Study | None = None,
    networks: bool = False,
    paper: str | None = None,
    say: Say = lambda line: None,
) -> Comparison:
    """Evaluates a run of `claimpt finetune` beside its baselines.

    Args:
        run: folder of the run.
        output: where the evaluation goes; it must not hold another one.
        choices: how to do it.
        truth: the simulator's table of true risks, where there is one.
        key_file: the key that member ids were hashed with, to join true risks.
        source: the input standard, for the page.
        simulated: the members came from the simulator; known where `truth` is given.
        study: a learning curve to make, or to go on with.
        networks: whether other networks are trained on the same members too.
        paper: see `rival_scores`.
        say: called with a line about each step.

    Raises:
        ArtifactError: the run is no finished one, or its predictions do not fit.
        TaskError: the labels are not yes or no, or all the same.
    """
    refuse_an_old(output)
    say(f"reading {run}")
    found = read_run(run)
    test = found.rows["test"]
    refuse_one_class(test)
    scores: dict[str, ArrayLike] = {MODEL: found.scores["test"]}
    say("fitting baselines on counts")
    scores |= baseline_scores(
        found.rows["train"], test, found.task, choices.seed, found.rows.get("eval"),
        say, found.unlabelled, choices.past_windows,
    )  # fmt: skip
    if networks:
        try:
            scores |= dict(rival_scores(run, found, choices.seed, paper, say))
        except ClaimPTError as error:
            say(f"other networks are left out: {error}")
    risk = true_risk(test, found.task, truth, key_file)
    if risk is not None:
        scores[BEST] = risk
    learning = None
    if study is not None:
        learning = run_study(run, found, output, study, choices, say)
    say("explaining examples")
    examples = examples_of(run, found, Told.risk(found.scores["test"]), say)
    say(f"{choices.replicates:,} bootstrap replicates of {len(scores)} models")
    valid = None
    if "eval" in found.rows:
        valid = (found.rows["eval"]["label"].to_numpy(), found.scores["eval"])
    story = Story(
        found.task,
        found.attrition,
        source,
        simulated=simulated or bool(truth),
        facts=told_facts(found.facts) | described(scores),
        commands=(
            *training_commands(run, found.facts, found.task),
            command_of(
                run,
                choices,
                *options_of(study, networks, paper),
                truth=truth,
                source=source,
                simulated=simulated,
            ),
        ),
        notes=tuple(found.facts.get("notes", ())),
        examples=examples,
        learning=learning,
    )
    judged = write_evaluation(output, scores, test, story, choices, valid)
    write_hparams(Path(output) / LOG_FOLDER, hparams_of(found.facts), judged.points())
    return judged


def refuse_one_class(test: pl.DataFrame) -> None:
    """Refuses test rows with one label.

    Raises:
        TaskError: "all 90 test rows have label 0: ...".
    """
    if test["label"].n_unique() < 2:
        raise TaskError(
            f"all {test.height} test rows have label {test['label'][0]}: no model can "
            "be judged on one class; widen the outcome, the window or the population"
        )


def examples_of(
    run: str, found: FinetunedRun, told: Told, say: Say
) -> Sequence[Example]:
    """Explained predictions; none where the network or its base is gone."""
    try:
        return explained_examples(
            FinetunedModel.load(run),
            Path(run) / COHORT_FOLDER,
            found.rows["test"],
            told,
            at_visits=found.task.at_visits,
        )
    except ClaimPTError as error:
        say(f"no examples of explained predictions: {error}")
        return ()


def options_of(
    study: Study | None, networks: bool, paper: str | None = None
) -> list[str]:
    """What to type for them."""
    told = [] if networks else ["--no-networks"]
    if paper:
        told.append(f"--paper {Path(paper).name}")
    if study is None:
        return told
    told += ["--learning-curve", f"--draws {study.seeds}"]
    told += [f"--shots {count}" for count in study.shots]
    return [*told, *(["--balanced"] if study.balanced else [])]


def told_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Heading -> text about a run, from its `config.json`."""
    told = {
        "Model": "a transformer over visits, "
        + ("not pre-trained" if facts.get("fresh") else "pre-trained on everybody")
        + " and fine-tuned",
        "Recipe": str(facts.get("recipe", "")),
        "Labelled training members": str(facts.get("shots") or "all"),
        "Version": f"claimpt_tf {facts.get('claimpt_tf', '')}",
        "Seed": str(facts.get("choices", {}).get("seed", "")),
        "Training time": f"{facts['seconds']:,.0f} s" if "seconds" in facts else "",
    }
    return {name: text for name, text in told.items() if text}
