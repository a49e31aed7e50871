"""Ask a served model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


@click.command()
@click.argument(
    "member_json", required=False, type=click.Path(exists=True, dir_okay=False)
)
@click.option(
    "--member",
    "member_ids",
    multiple=True,
    metavar="ID",
    help="Raw id of a member to look up; repeatable. Needs the key.",
)
@click.option("--records", help="Where to look it up: a folder of `claimpt ingest`.")
@click.option("--source", metavar="NAME", help="Or the input standard of tables ...")
@click.option("--input", "tables", help="... and their folder.")
@click.option(
    "--index-date",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Last day whose information may be used (default: the last known day).",
)
@click.option("--key-file", help="The key that ingest hashed member ids with.")
@click.option(
    "--url", default="http://127.0.0.1:8501", show_default=True, help="REST server."
)
@click.option("--grpc", "address", metavar="HOST:PORT", help="gRPC server instead.")
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
@click.option("--version", "number", type=int, help="Of the model; else the latest.")
@click.option("--explain", is_flag=True, help="Show which visits and codes made it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line a member.")
@click.option("--ca", metavar="PEM", help="Who signed the server's certificate.")
@click.option(
    "--certificate", nargs=2, metavar="PEM KEY", help="This client's, for mutual TLS."
)
def predict(
    member_json: str | None,
    member_ids: tuple[str, ...],
    records: str | None,
    source: str | None,
    tables: str | None,
    index_date: object,
    key_file: str | None,
    url: str,
    address: str | None,
    name: str,
    number: int | None,
    explain: bool,
    as_json: bool,
    ca: str | None,
    certificate: tuple[str, str] | None,
) -> None:
    """Ask a served model for the risk of the members in MEMBER_JSON, or by --member.

    \b
    The file holds one member, or a list:
      {"sex": "F", "birth_date": "2012-04-03", "index_date": "2023-06-30",
       "visits": [{"date": "2023-01-05", "type": "ED",
                   "codes": ["ICD10CM:J45.901", "HCPCS:99284"]}]}

    \b
    Examples:
      claimpt predict member.json
      claimpt predict member.json --explain
      claimpt predict members.json --grpc 127.0.0.1:8500 --json
      claimpt predict --member A123 --records records --explain
      claimpt predict --member A123 --source tuva --input claims \\
        --index-date 2023-06-30
    """
    import dataclasses
    import json

    from claimpt_tf.serving.client import Client
    from claimpt_tf.serving.grpc_client import GrpcClient
    from claimpt_tf.serving.model_client import ModelClient
    from claimpt_tf.serving.requests import read_members

    if (member_json is None) == (not member_ids):
        raise click.UsageError("give either MEMBER_JSON or --member")
    if member_json is not None:
        members = read_members(member_json)
    else:
        members = _looked_up(member_ids, records, source, tables, index_date, key_file)
    client: ModelClient
    if address:
        client = GrpcClient(
            address, name, version=number, ca=ca, certificate=certificate
        )
    else:
        client = Client(url, name, version=number, ca=ca, certificate=certificate)
    with client:
        if not explain:
            for risk in client.predict(members):
                click.echo(
                    json.dumps({"probability": risk}) if as_json else f"{risk:.4f}"
                )
            return
        for one in client.explain(members):
            if as_json:
                click.echo(json.dumps(dataclasses.asdict(one), default=str))
                continue
            click.echo(
                f"{one.probability:.4f}  ({one.reference:.4f} without any visit)"
            )
            for visit in one.visits:
                click.echo(f"  {visit.share:+.4f}  {visit.date} {visit.type}")
                for code in visit.codes:
                    click.echo(f"     {code.share:+.4f}  {code.code}")


def _looked_up(
    member_ids: Sequence[str],
    records: str | None,
    source: str | None,
    tables: str | None,
    index_date: object,
    key_file: str | None,
) -> list[dict[str, Any]]:
    import datetime
    import os
    import tempfile

    from claimpt_tf.serving.record_members import members_of_records

    day = index_date.date() if isinstance(index_date, datetime.datetime) else None
    if records:
        return members_of_records([records], member_ids, day, key_file)
    if not (source and tables):
        raise click.UsageError("--member needs --records, or --source and --input")
    from claimpt_tf.visits.ingest import ingest

    with tempfile.TemporaryDirectory() as scratch:
        made = os.path.join(scratch, "records")
        ingest(source, tables, made, key_file=key_file)
        return members_of_records([made], member_ids, day, key_file)
