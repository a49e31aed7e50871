"""Serve models here."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(exists=True, dir_okay=False)


@click.command()
@click.argument("model_base", required=False)
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
@click.option(
    "--config", type=_FILE, metavar="FILE",
    help="TF Serving's models.config instead of MODEL_BASE: several models, version "
    "policies and labels. Read again when it changes.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address.")
@click.option("--rest-port", default=8501, show_default=True, help="0 picks one.")
@click.option(
    "--grpc-port", default=8500, show_default=True, help="0 picks one, -1 opens none."
)
@click.option(
    "--batching", "batching_file", type=_FILE, metavar="FILE",
    help="TF Serving's batching parameters; without, batches form only while all "
    "cores are busy.",
)  # fmt: skip
@click.option("--tls-cert", metavar="PEM", help="Certificate: serve with TLS.")
@click.option("--tls-key", metavar="PEM", help="Its private key.")
@click.option(
    "--tls-client-ca", metavar="PEM", help="Take only clients it signed (mutual TLS)."
)
@click.option(
    "--max-request-mb", default=16.0, show_default=True, help="Largest request."
)
@click.option(
    "--max-pending", default=128, show_default=True, help="Requests in hand at once."
)
@click.option(
    "--poll-seconds", default=1.0, show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Time between two looks for new versions; one is loaded when its files rest "
    "from a look to the next.",
)  # fmt: skip
def serve(
    model_base: str | None,
    name: str,
    config: str | None,
    host: str,
    rest_port: int,
    grpc_port: int,
    batching_file: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
    max_request_mb: float,
    max_pending: int,
    poll_seconds: float,
) -> None:
    """Serve the newest version under MODEL_BASE over TF Serving's REST and gRPC APIs.

    This is not TensorFlow Serving, but a local server that speaks its protocol.

    \b
    Examples:
      claimpt serve RUN/serving/claimpt
      claimpt serve --config models.config --batching batching.config
      claimpt serve RUN/serving/claimpt --host 0.0.0.0 \\
        --tls-cert server.pem --tls-key server.key --tls-client-ca clients.pem
    """
    from claimpt_tf.errors import InputError
    from claimpt_tf.serving.limits import Limits
    from claimpt_tf.serving.models_config import read_batching
    from claimpt_tf.serving.server import serve as run
    from claimpt_tf.serving.tls import Tls

    if (tls_cert is None) != (tls_key is None) or (tls_client_ca and not tls_cert):
        raise InputError("TLS takes --tls-cert and --tls-key together")
    tls = Tls(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None
    run(
        model_base,
        name=name,
        config=Path(config) if config else None,
        host=host,
        rest_port=rest_port,
        grpc_port=None if grpc_port < 0 else grpc_port,
        batching=read_batching(batching_file) if batching_file else None,
        limits=Limits(body_bytes=int(max_request_mb * 2**20), pending=max_pending),
        tls=tls,
        poll_seconds=poll_seconds,
        say=click.echo,
    )
