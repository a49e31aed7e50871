"""Records as a MEDS dataset."""

from __future__ import annotations

import click


@click.command("export-meds")
@click.option("--data", required=True, help="Folder that `claimpt ingest` made.")
@click.option("--output", required=True, help="Folder of the dataset, to make.")
@click.option("--labels", help="Folder that `claimpt cohort` made.")
@click.option("--name", default="claims", show_default=True, help="Dataset's name.")
def export_meds(data: str, output: str, labels: str | None, name: str) -> None:
    """Write records as a MEDS dataset, and a cohort's labels in MEDS's label schema.

    Subject ids are made of the hashes in the records, never of member ids.

    \b
    Examples:
      claimpt export-meds --data records --output meds
      claimpt export-meds --data records --labels cohort --output meds
    """
    from rich.console import Console
    from rich.progress import Progress

    from claimpt_tf.visits.export_meds import export_meds as run

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("members", total=None)
        made = run(data, output, labels, name, lambda done: bar.advance(task, done))
    click.echo(
        f"{output}: {made.subjects:,} subjects, {made.rows:,} events, "
        f"{made.codes:,} codes, {made.labels:,} labels"
    )
