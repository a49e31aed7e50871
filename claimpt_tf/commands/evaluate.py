"""Evaluate a fine-tuned network beside its baselines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from click.core import ParameterSource


@click.command()
@click.option("--run", required=True, help="Run of `claimpt finetune`.")
@click.option("--output", required=True, help="Folder of the evaluation, to be made.")
@click.option(
    "--data", help="Other records that `claimpt ingest` made: judge the run on them."
)
@click.option(
    "--labels", help="With --data: the table of labels of those members, of a task "
    "that has one.",
)  # fmt: skip
@click.option(
    "--from-date", type=click.DateTime(["%Y-%m-%d"]),
    help="With --data: index dates from this day on, a split by time.",
)  # fmt: skip
@click.option(
    "--learning-curve", is_flag=True,
    help="Also train network and counts on few labels, and draw how they learn. An "
    "interrupted one goes on.",
)  # fmt: skip
@click.option(
    "--shots", multiple=True, type=click.IntRange(1),
    help="Of the learning curve: members with labels, repeatable  [default: 8 ... 256]",
)  # fmt: skip
@click.option(
    "--draws", default=3, show_default=True, type=click.IntRange(1),
    help="Of the learning curve: draws of each number of labels.",
)  # fmt: skip
@click.option(
    "--balanced",
    is_flag=True,
    help="Of the learning curve: also as many with as without the outcome.",
)
@click.option(
    "--processes", default=1, show_default=True, type=click.IntRange(1),
    help="Of the learning curve: trainings at once, each with a core of its own and "
    "some 2 GiB.",
)  # fmt: skip
@click.option(
    "--capacity", default=0.05, show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Share of rows that a care team can take up; from 1 on, a number of rows.",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Probability from which on members are flagged  [default: the prevalence of "
    "the validation rows]",
)  # fmt: skip
@click.option(
    "--replicates", default=1000, show_default=True, type=click.IntRange(1),
    help="Bootstrap replicates.",
)  # fmt: skip
@click.option(
    "--seed", default=7, show_default=True, help="Of bootstrap and baselines."
)
@click.option(
    "--past-windows/--no-past-windows", default=True, show_default=True,
    help="Whether LightGBM on past windows, the slowest rival, is fitted too.",
)  # fmt: skip
@click.option(
    "--networks/--no-networks", default=True, show_default=True,
    help="Whether other networks are trained on the same members too: the same one "
    "not pre-trained, a GRU, and the paper's where --paper is given.",
)  # fmt: skip
@click.option(
    "--paper", help="Run of `claimpt pretrain --preset paper` on the same records."
)
@click.option("--source", default="", help="Input standard, for the page.")
@click.option(
    "--simulated", is_flag=True, help="The members are simulated; the page says so."
)
@click.option("--true-risk", default="", help="The simulator's table of true risks.")
@click.option("--key-file", help="Key that hashes member ids, as at ingest.")
def evaluate(
    run: str,
    output: str,
    data: str | None,
    labels: str | None,
    from_date: datetime | None,
    learning_curve: bool,
    shots: tuple[int, ...],
    draws: int,
    balanced: bool,
    processes: int,
    capacity: float,
    threshold: float | None,
    replicates: int,
    seed: int,
    past_windows: bool,
    networks: bool,
    paper: str | None,
    source: str,
    simulated: bool,
    true_risk: str,
    key_file: str | None,
) -> None:
    """Judge a fine-tuned network on its test split: page, figures and model card.

    Writes report.html, metrics.json, predictions.parquet, model_card.md and
    recalibration.json. Baselines on counts and other networks are trained on the same
    members. Classes, sets of categories, numbers and times to an event have figures
    and baselines of their own, and need none of the options on yes and no.

    \b
    Examples:
      claimpt evaluate --run r2 --output r2/evaluation
      claimpt evaluate --run r2 --capacity 200 --threshold 0.15 --output e2
      claimpt evaluate --run r2 --learning-curve --output e3
      claimpt evaluate --run r2 --data other_records --output elsewhere
      claimpt evaluate --run r2 --data other_records --labels charts_b.csv --output b
      claimpt evaluate --run r2 --data records --from-date 2023-01-01 --output later
    """
    from rich.console import Console

    from claimpt_tf.errors import InputError
    from claimpt_tf.evaluation.evaluate import Choices
    from claimpt_tf.evaluation.finetuned_run import kind_of
    from claimpt_tf.evaluation.other_records import Asked

    kind, choices = kind_of(run), Choices(replicates, seed)
    if kind != "binary":
        from claimpt_tf.evaluation.evaluate_endpoint import refuse_options

        context = click.get_current_context()
        by_default = ParameterSource.DEFAULT
        refuse_options(
            kind,
            [
                n
                for n in context.params
                if context.get_parameter_source(n) != by_default
            ],
        )
    if (from_date or labels) and not data:
        raise InputError("--from-date and --labels are of other records: add --data")
    if data and learning_curve:
        raise InputError(
            "--learning-curve is of the run's own members: leave out --data"
        )
    if paper and (data or not networks):
        raise InputError("--paper is one of the --networks of the run's own members")
    if (shots or balanced or processes > 1) and not learning_curve:
        raise InputError(
            "--shots, --balanced and --processes are of the --learning-curve: add it"
        )
    study = None
    if learning_curve:
        from claimpt_tf.evaluation.run_study import Study

        study = Study(shots or Study().shots, draws, balanced, processes)
    told: dict[str, Any] = {"source": source, "simulated": simulated, "say": click.echo}
    asked = data and Asked(data, from_date and from_date.date(), labels, key_file)
    if kind != "binary" and asked:
        from claimpt_tf.evaluation.endpoint_elsewhere import evaluate_endpoint_elsewhere

        found = evaluate_endpoint_elsewhere(run, asked, output, choices, **told)
    elif kind != "binary":
        from claimpt_tf.evaluation.evaluate_endpoint import evaluate_endpoint_run

        found = evaluate_endpoint_run(
            run, output, choices, study=study, networks=networks, **told
        )
    else:
        choices = Choices(
            replicates, seed, capacity, threshold, past_windows=past_windows
        )
        if asked:
            from claimpt_tf.evaluation.elsewhere import evaluate_elsewhere

            found = evaluate_elsewhere(
                run, asked, output, choices, truth=true_risk, **told
            )
        else:
            from claimpt_tf.evaluation.evaluate_run import evaluate_run

            found = evaluate_run(
                run, output, choices, truth=true_risk, key_file=key_file, study=study,
                networks=networks, paper=paper, **told,
            )  # fmt: skip
    Console(highlight=False).print(found.to_table("Test split"))
    click.echo(f"{output}/report.html")
