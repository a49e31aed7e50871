"""Pre-train a network."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--output", required=True, help="Folder of the run, to make.")
@click.option("--base", help="Run to go on from, of other claims.")
@click.option("--preset", help="Size of network (default: small, or the base's).")
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
def pretrain(
    data: str, output: str, base: str | None, preset: str | None, resume: bool,
    **chosen: Any,
) -> None:  # fmt: skip
    """Pre-train a network on the visit sequences of everybody in DATA.

    An interrupted run goes on exactly where it stood with --resume and the same
    choices. docs/training.md says what the objectives and choices mean. With --base
    the network of another run goes on learning, on another institution's claims, say;
    codes that are new to it are added (docs/finetuning.md).

    \b
    Examples:
      claimpt pretrain --data records --preset small --output run
      claimpt pretrain --data records --output run --resume
      claimpt pretrain --data records --output run \\
        --objective windows=1 --objective next_visit=0.5 --epochs 12
      claimpt pretrain --data records_b --base run_a --output run_ab
      tensorboard --logdir run/logs
    """
    from rich.console import Console

    from claimpt_tf.training.choices import pretrain_config
    from claimpt_tf.training.devices import choose_strategy
    from claimpt_tf.training.pretrain_run import pretrain_run
    from claimpt_tf.training.transfer import CONTINUED, Base, same_preset

    strategy = choose_strategy(chosen["distribution"] or "auto")
    start = Base.load(base) if base else None
    if start is not None:
        given = {name: value for name, value in chosen.items() if value is not None}
        chosen, preset = {**CONTINUED, **given}, same_preset(start, preset)
    config = pretrain_config(preset or "small", **chosen)
    metrics, recall = pretrain_run(
        data, output, config, resume, start, click.echo, strategy
    )
    Console(highlight=False).print(recall.to_table())
    click.echo(f"{output}: {metrics['seconds']:,.0f} s")
