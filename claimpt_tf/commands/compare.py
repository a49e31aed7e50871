"""Put evaluations side by side."""

from __future__ import annotations

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--output", help="Also write a page (.html) or the figures (.json).")
@click.option("--model", help="Compare this model of each, not the judged one.")
@click.option(
    "--replicates", default=1000, show_default=True, type=click.IntRange(1),
    help="Bootstrap replicates.",
)  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="Of the bootstrap.")
def compare(
    runs: tuple[str, ...],
    output: str | None,
    model: str | None,
    replicates: int,
    seed: int,
) -> None:
    """Put evaluations side by side: figures, intervals, paired differences.

    RUN is the --output of `claimpt evaluate`, or a folder that holds it as
    `evaluation`. The others are held against the first. Differences are tested where
    all were judged on the same rows.

    \b
    Examples:
      claimpt compare base/evaluation small/evaluation
      claimpt compare e1 e2 e3 --output compared.html
      claimpt compare e1 e2 --model "LightGBM on counts" --output counts.json
    """
    from rich.console import Console

    from claimpt_tf.evaluation.runs import compare_runs, write_compared

    found = compare_runs(runs, model, replicates, seed)
    Console(highlight=False).print(found.to_table())
    for note in found.notes:
        click.echo(note)
    if output:
        names = " ".join(found.found.models)
        write_compared(found, output, f"claimpt compare {names} --output {output}")
        click.echo(output)
