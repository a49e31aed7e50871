"""Pre-train a network."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--output", required=True, help="Folder of the run, to make.")
@click.option("--preset", default="small", show_default=True, help="Size of network.")
@click.option(
    "--objective", "objectives", multiple=True, metavar="NAME=WEIGHT",
    help="What to learn, and its weight; repeatable (default: the preset's mix).",
)  # fmt: skip
@click.option("--epochs", type=int, help="Passes over the members, at most.")
@click.option("--batch-size", type=int, help="Members a batch.")
@click.option("--learning-rate", type=float, help="Peak rate.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "mixed_bfloat16"]),
    help="auto: bfloat16 where there is hardware for it.",
)
@click.option(
    "--distribution",
    type=click.Choice(["auto", "none", "mirrored", "multiworker"]),
    help="auto: all GPUs, or the workers of TF_CONFIG.",
)
@click.option(
    "--checkpoint-minutes", type=float, help="Least time between two checkpoints."
)
@click.option(
    "--categories", multiple=True, metavar="FILE",
    help="Your own categories of codes (docs/codes.md); repeatable.",
)  # fmt: skip
@click.option("--seed", type=int, help="Of weights, order and dates.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
def pretrain(data: str, output: str, resume: bool, **chosen: Any) -> None:
    """Pre-train a network on the visit sequences of everybody in DATA.

    An interrupted run goes on exactly where it stood with --resume and the same
    choices. docs/training.md says what the objectives and choices mean.

    \b
    Examples:
      claimpt pretrain --data records --preset small --output run
      claimpt pretrain --data records --output run --resume
      claimpt pretrain --data records --output run \\
        --objective windows=1 --objective next_visit=0.5 --epochs 12
      tensorboard --logdir run/logs
    """
    from rich.console import Console

    from claimpt_tf.training.choices import pretrain_config
    from claimpt_tf.training.pretrain_run import pretrain_run

    config = pretrain_config(**chosen)
    metrics, recall = pretrain_run(data, output, config, resume, say=click.echo)
    Console(highlight=False).print(recall.to_table())
    click.echo(f"{output}: {metrics['seconds']:,.0f} s")
