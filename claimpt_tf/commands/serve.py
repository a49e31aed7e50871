"""Serve a model here."""

from __future__ import annotations

import click


@click.command()
@click.argument("model_base")
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address.")
@click.option("--rest-port", default=8501, show_default=True, help="0 picks one.")
def serve(model_base: str, name: str, host: str, rest_port: int) -> None:
    """Serve the newest version under MODEL_BASE over TF Serving's REST API.

    This is not TensorFlow Serving, but a local server that speaks its protocol.

    \b
    Example:
      claimpt serve RUN/serving/claimpt
    """
    from claimpt_tf.serving.server import serve as run

    run(model_base, name=name, host=host, rest_port=rest_port, say=click.echo)
