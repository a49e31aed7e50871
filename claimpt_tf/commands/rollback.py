"""Go back to the version that was stable before."""

from __future__ import annotations

import click


@click.command()
@click.argument("models_config", type=click.Path(exists=True, dir_okay=False))
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
@click.option("--reason", default="", help="Why; goes into the audit line.")
def rollback(models_config: str, name: str, reason: str) -> None:
    """Make the version stable again that was before the last `claimpt promote`.

    \b
    Example:
      claimpt rollback models.config --reason "calibration drifted"
    """
    from claimpt_tf.serving.promotion import rollback as run

    done = run(models_config, name, reason=reason)
    click.echo(f"{name}: stable is version {done.after} again; it was {done.before}")
