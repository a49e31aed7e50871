"""Claims tables to records."""

from __future__ import annotations

import click

from claimpt_tf.claims.readers.registry import reader_names
from claimpt_tf.commands.beam import on_beam


@click.command()
@click.option(
    "--source",
    required=True,
    metavar="NAME",
    help=f"Input standard: {', '.join(reader_names())}.",
)
@click.option("--input", "input_path", required=True, help="Folder of the tables.")
@click.option("--output", required=True, help="Folder to make.")
@click.option("--key-file", help="Key that hashes member ids (default: your own).")
@click.option(
    "--rules",
    "rules_file",
    help="YAML file of visit rules that differ (docs/visits.md).",
)
@click.option(
    "--shift-dates",
    is_flag=True,
    help="Move each member's dates by up to a year, intervals kept.",
)
@click.option("--shards", type=int, help="Files a split (default: by size).")
@click.option(
    "--max-quarantined",
    default=0.2,
    show_default=True,
    help="Share of a table's lines that may be unusable.",
)
@on_beam
def ingest(
    source: str,
    input_path: str,
    output: str,
    key_file: str | None,
    rules_file: str | None,
    shift_dates: bool,
    shards: int | None,
    max_quarantined: float,
    beam_args: tuple[str, ...],
) -> None:
    """Turn claims tables into records of visit sequences.

    \b
    Examples:
      claimpt ingest --source synpuf --input sample_1 --output records
      claimpt ingest --source tuva --input claims --output records \\
        --rules rules.yaml --shift-dates
      claimpt ingest --source tuva --input 'claims/month-{SPAN}' --output records
      claimpt ingest --source tuva --input claims --output records \\
        --runner processes --beam-arg=--direct_num_workers=2
    """
    from rich.console import Console
    from rich.progress import Progress

    from claimpt_tf.claims.preflight import check_input
    from claimpt_tf.claims.spans import span_folders
    from claimpt_tf.visits.ingest import ingest as run
    from claimpt_tf.visits.rules import load_rules

    rules = load_rules(rules_file) if rules_file else None
    for folder in span_folders(input_path):
        check_input(source, folder)
    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True) as bar:
        tasks = {what: bar.add_task(what, total=None) for what in ("lines", "buckets")}
        summary = run(
            source,
            input_path,
            output,
            rules=rules,
            key_file=key_file,
            shards=shards,
            beam_args=beam_args,
            max_quarantined=max_quarantined,
            shift_dates=shift_dates,
            progress=lambda what, done, total: bar.update(
                tasks[what], completed=done, total=total
            ),
        )
    console.print(summary.to_table())
