"""Write what a cluster needs to serve a model."""

from __future__ import annotations

import click


@click.command()
@click.argument("model_base")
@click.argument("out", type=click.Path(file_okay=False))
@click.option(
    "--target", required=True, type=click.Choice(["compose", "k8s", "kserve"]),
    help="What the files are for.",
)  # fmt: skip
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
@click.option("--image", help="TF Serving's image (default: the model's version).")
@click.option(
    "--claim", default="claimpt-models", show_default=True,
    help="Volume claim that holds the model's folder.",
)  # fmt: skip
@click.option("--storage-uri", help="Where KServe fetches it instead, e.g. gs://...")
@click.option("--replicas", nargs=2, type=int, default=(2, 10), show_default=True)
def deploy(
    model_base: str,
    out: str,
    target: str,
    name: str,
    image: str | None,
    claim: str,
    storage_uri: str | None,
    replicas: tuple[int, int],
) -> None:
    """Write files to OUT that serve MODEL_BASE on the real TensorFlow Serving.

    \b
    Examples:
      claimpt deploy --target compose RUN/serving/claimpt deploy
      docker compose -f deploy/compose.yaml up
      claimpt deploy --target k8s RUN/serving/claimpt deploy --claim models
      kubectl apply -f deploy/kubernetes.yaml
    """
    from claimpt_tf.serving.deploy import Deployment
    from claimpt_tf.serving.deploy import deploy as run

    given = Deployment(model_base, name, image, claim, storage_uri, replicas)
    for path in run(target, given, out):
        click.echo(str(path))
