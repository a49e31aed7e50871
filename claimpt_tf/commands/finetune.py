"""Fine-tune a network for a task."""

from __future__ import annotations

import click


@click.command()
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--base", required=True, help="Run of `claimpt pretrain`.")
@click.option("--task", required=True, help="A shipped task, or a YAML file.")
@click.option("--labels", help="Table of labels: member, index date, label, split.")
@click.option("--output", required=True, help="Folder of the run, to be made.")
@click.option("--shots", type=click.IntRange(1), help="Labelled training members.")
@click.option(
    "--recipe", default="auto", show_default=True,
    type=click.Choice(["auto", "adapt", "labels"]), help="How to train.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Passes, at most.")
@click.option("--seed", default=7, show_default=True, help="Of everything random.")
@click.option("--key-file", help="Key that hashes member ids, as at ingest.")
def finetune(
    data: str,
    base: str,
    task: str,
    labels: str | None,
    output: str,
    shots: int | None,
    recipe: str,
    epochs: int | None,
    seed: int,
    key_file: str | None,
) -> None:
    """Fine-tune a pre-trained network for a small population, and score it.

    `predictions.parquet` then holds every labelled row of every split. With --labels
    the labels come from a table; the task's own outcome is what adaptation trains on.

    \b
    Examples:
      claimpt finetune --data records --base run --task asthma_exacerbation --output r2
      claimpt finetune --data records --base run --task self_harm --labels charts.csv \\
        --shots 100 --output r3
    """
    from claimpt_tf.tasks.choice import chosen_tasks
    from claimpt_tf.training.choices import FinetuneConfig
    from claimpt_tf.training.finetune_run import finetune_run

    (chosen,), notes = chosen_tasks((task,), labels, None, None)
    for note in notes:
        click.echo(f"note: {note}")
    given = {} if epochs is None else {"epochs": epochs}
    config = FinetuneConfig.model_validate({"recipe": recipe, "seed": seed, **given})
    facts = finetune_run(
        data, base, chosen, output, config, shots=shots, key_file=key_file,
        say=click.echo,
    )  # fmt: skip
    click.echo(f"{output}: {facts['seconds']:,.0f} s")
