"""Evaluate a fine-tuned network beside its baselines."""

from __future__ import annotations

import click


@click.command()
@click.option("--run", required=True, help="Run of `claimpt finetune`.")
@click.option("--output", required=True, help="Folder of the evaluation, to be made.")
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
@click.option("--source", default="", help="Input standard, for the page.")
@click.option(
    "--simulated", is_flag=True, help="The members are simulated; the page says so."
)
@click.option("--true-risk", default="", help="The simulator's table of true risks.")
@click.option("--key-file", help="Key that hashes member ids, as at ingest.")
def evaluate(
    run: str,
    output: str,
    capacity: float,
    threshold: float | None,
    replicates: int,
    seed: int,
    source: str,
    simulated: bool,
    true_risk: str,
    key_file: str | None,
) -> None:
    """Judge a fine-tuned network on its test split: page, figures and model card.

    Writes report.html, metrics.json, predictions.parquet, model_card.md and
    recalibration.json. Baselines on counts are fitted on the same members.

    \b
    Examples:
      claimpt evaluate --run r2 --output r2/evaluation
      claimpt evaluate --run r2 --capacity 200 --threshold 0.15 --output e2
    """
    from rich.console import Console

    from claimpt_tf.evaluation.evaluate import Choices, evaluate_run

    found = evaluate_run(
        run,
        output,
        Choices(replicates, seed, capacity, threshold),
        truth=true_risk,
        key_file=key_file,
        source=source,
        simulated=simulated,
        say=click.echo,
    )
    Console(highlight=False).print(found.to_table("Test split"))
    click.echo(f"{output}/report.html")
