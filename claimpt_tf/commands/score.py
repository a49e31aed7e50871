"""Score whole folders of records."""

from __future__ import annotations

import click


@click.command()
@click.argument("records", nargs=-1)
@click.option("--source", metavar="NAME", help="Instead of RECORDS: input standard ...")
@click.option("--input", "tables", help="... and folder of claims tables.")
@click.option("--model", required=True, help="Version folder, or folder of versions.")
@click.option("--output", required=True, help="Folder of the Parquet parts.")
@click.option(
    "--index-date", type=click.DateTime(["%Y-%m-%d"]),
    help="Last day whose information may be used (default: each record's own, or its "
    "last known day).",
)  # fmt: skip
@click.option(
    "--reasons", default=0, show_default=True, help="Codes to name as reasons."
)
@click.option(
    "--reasons-above", default=0.0, show_default=True, help="Least risk to explain."
)
@click.option(
    "--member-ids", metavar="TABLE",
    help="Parquet or CSV with a column member_id: raw ids are put beside the hashed "
    "ones. Needs the key.",
)  # fmt: skip
@click.option("--key-file", help="The key that ingest hashed member ids with.")
@click.option("--batch-size", default=128, show_default=True, help="Records a run.")
@click.option("--workers", type=int, help="Processes (default: one a core).")
def score(
    records: tuple[str, ...],
    source: str | None,
    tables: str | None,
    model: str,
    output: str,
    index_date: object,
    reasons: int,
    reasons_above: float,
    member_ids: str | None,
    key_file: str | None,
    batch_size: int,
    workers: int | None,
) -> None:
    """Score every member of RECORDS, folders of `claimpt ingest` or TFRecord files.

    With --source and --input, of claims tables: their records are kept in
    OUTPUT/records. An interrupted run goes on where it stopped when the same command
    is given again.

    \b
    Examples:
      claimpt score records --model RUN/serving/claimpt --output scores \\
        --index-date 2023-12-31
      claimpt score records --model RUN/serving/claimpt --output scores \\
        --reasons 3 --reasons-above 0.2 --member-ids members.parquet
      claimpt score --source tuva --input claims --model RUN/serving/claimpt \\
        --output scores
    """
    import datetime

    from claimpt_tf.serving.saved_model import resolve_version
    from claimpt_tf.serving.score import records_of_tables, score_records

    given = sum(one is not None for one in (source, tables))
    if given == 1 or bool(records) == bool(given):
        raise click.UsageError("give either RECORDS, or both --source and --input")
    resolve_version(model)  # before an hour is spent
    if source and tables:
        click.echo(f"reading {tables}")
        records = (records_of_tables(source, tables, output, key_file),)
    done = score_records(
        records,
        model,
        output,
        index_date=(
            index_date.date() if isinstance(index_date, datetime.datetime) else None
        ),
        reasons=reasons,
        reasons_above=reasons_above,
        batch_size=batch_size,
        ids_file=member_ids,
        key_file=key_file,
        workers=workers,
        say=click.echo,
    )
    click.echo(f"{output}: {done.members:,} members in {done.seconds:,.0f} s")
