"""Ask a served model."""

from __future__ import annotations

import click


@click.command()
@click.argument("member_json", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--url", default="http://127.0.0.1:8501", show_default=True, help="The server."
)
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
def predict(member_json: str, url: str, name: str) -> None:
    """Ask a served model for the risk of the members in MEMBER_JSON.

    \b
    The file holds one member, or a list:
      {"sex": "F", "birth_date": "2012-04-03", "index_date": "2023-06-30",
       "visits": [{"date": "2023-01-05", "type": "ED",
                   "codes": ["ICD10CM:J45.901", "HCPCS:99284"]}]}
    """
    from claimpt_tf.serving.client import Client
    from claimpt_tf.serving.requests import read_members

    for risk in Client(url, name).predict(read_members(member_json)):
        click.echo(f"{risk:.4f}")
