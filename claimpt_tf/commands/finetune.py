"""Fine-tune a network for a task."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--base", required=True, help="Run of `claimpt pretrain`.")
@click.option("--task", help="A shipped task, or a YAML file.")
@click.option("--labels", help="Table of labels: member, index date, label, split.")
@click.option("--output", required=True, help="Folder of the run, to be made.")
@click.option("--shots", type=click.IntRange(1), help="Labelled training members.")
@click.option(
    "--fresh", is_flag=True, help="Begin with new weights: what is pre-training worth?"
)
@click.option(
    "--recipe", type=click.Choice(["auto", "adapt", "labels", "head"]),
    help="How to train (docs/finetuning.md).",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Passes, at most.")
@click.option("--batch-size", type=click.IntRange(1), help="Members or rows a batch.")
@click.option("--learning-rate", type=float, help="Peak rate of the head.")
@click.option(
    "--layer-decay",
    type=float,
    help="Factor of the rate from a layer to the one below.",
)
@click.option(
    "--schedule", type=click.Choice(["cosine", "slanted"]),
    help="Cosine after a warm-up, or ULMFiT's slanted triangle.",
)  # fmt: skip
@click.option(
    "--train", type=click.Choice(["full", "freeze", "probe"]),
    help="All layers, all but the embeddings, or the head alone.",
)  # fmt: skip
@click.option("--unfreeze", is_flag=True, default=None, help="One more layer an epoch.")
@click.option(
    "--bags", type=click.IntRange(1, 20),
    help="Networks to train, with further seeds; their scores are averaged.",
)  # fmt: skip
@click.option("--seed", type=int, help="Of everything random.")
@click.option("--key-file", help="Key that hashes member ids, as at ingest.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
def finetune(
    data: str,
    base: str,
    task: str | None,
    labels: str | None,
    output: str,
    shots: int | None,
    fresh: bool,
    key_file: str | None,
    resume: bool,
    **chosen: Any,
) -> None:
    """Fine-tune a pre-trained network for a small population, and score it.

    `predictions.parquet` then holds every labelled row of every split. With --labels
    the labels come from a table; the task's own outcome, if there is a task, is what
    adaptation trains on.

    \b
    Examples:
      claimpt finetune --data records --base run --task asthma_exacerbation --output r2
      claimpt finetune --data records --base run --task self_harm --labels charts.csv \\
        --shots 100 --output r3
      claimpt finetune --data records --base run --labels charts.csv --output r4 \\
        --recipe labels --layer-decay 0.4 --schedule slanted --unfreeze
    """
    from rich.console import Console

    from claimpt_tf.evaluation.endpoint_metrics import figures_table, judge_run
    from claimpt_tf.evaluation.hparams import write_finetuned
    from claimpt_tf.tasks.choice import chosen_tasks
    from claimpt_tf.training.choices import finetune_config
    from claimpt_tf.training.finetune_run import finetune_run

    (asked,), notes = chosen_tasks((task,) if task else (), labels, None, None)
    for note in notes:
        click.echo(f"note: {note}")
    facts = finetune_run(
        data, base, asked, output, finetune_config(**chosen), shots=shots, fresh=fresh,
        key_file=key_file, resume=resume, say=click.echo,
    )  # fmt: skip
    judged = judge_run(output)
    write_finetuned(f"{output}/logs/hparams", facts, judged)
    Console(highlight=False).print(figures_table(judged))
    click.echo(f"{output}: {facts['seconds']:,.0f} s")
