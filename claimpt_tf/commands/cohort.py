"""Records to labelled examples."""

from __future__ import annotations

import click

from claimpt_tf.commands.beam import on_beam
from claimpt_tf.errors import TaskError


@click.command()
@click.argument("tasks", metavar="[TASK]...", nargs=-1)
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--output", required=True, help="Folder for the labelled examples.")
@click.option("--labels", help="Table of labels: member, index date, label, split.")
@click.option("--key-file", help="Key that hashes member ids, as at ingest.")
@click.option("--aces", help="Task file of ACES to take instead of a TASK.")
@click.option("--predicates", help="ACES predicates, where they stand apart.")
@on_beam
def cohort(
    tasks: tuple[str, ...],
    data: str,
    output: str,
    labels: str | None,
    key_file: str | None,
    aces: str | None,
    predicates: str | None,
    beam_args: tuple[str, ...],
) -> None:
    """Label records by TASK (a shipped task or a YAML file) and show who is left.

    Of several TASKs each gets a folder of its name in the output. With --labels the
    labels come from a table; TASK, if there is one, is then what adaptation trains on.

    \b
    Examples:
      claimpt cohort asthma_exacerbation --data records --output cohort
      claimpt cohort asthma_exacerbation self_harm --data records --output cohorts
      claimpt cohort --labels charts.csv --data records --output cohort
      claimpt cohort --aces readmission.yaml --data records --output cohort
    """
    from pathlib import Path

    from rich.console import Console

    from claimpt_tf.tasks.attrition import check_enough
    from claimpt_tf.tasks.choice import chosen_tasks
    from claimpt_tf.tasks.transform import build_cohort

    console = Console(highlight=False)
    chosen, notes = chosen_tasks(tasks, labels, aces, predicates)
    for note in notes:
        console.print(f"[yellow]note[/] {note}")
    refused = []
    for task in chosen:
        folder = Path(output) / task.name if len(chosen) > 1 else Path(output)
        summary = build_cohort(task, data, folder, beam_args, key_file)
        console.print(summary.attrition.table())
        try:
            warnings = check_enough(summary.attrition)
        except TaskError as error:
            refused.append(str(error))
            continue
        for warning in (*summary.warnings, *warnings):
            console.print(f"[yellow]warning[/] {warning}")
    if refused:
        raise TaskError("\n".join(refused))
