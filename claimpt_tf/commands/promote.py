"""Give a version of a model a label."""

from __future__ import annotations

import click


@click.command()
@click.argument("models_config", type=click.Path(exists=True, dir_okay=False))
@click.argument("version", type=int)
@click.option("--name", default="claimpt", show_default=True, help="Model name.")
@click.option(
    "--label", default="stable", show_default=True, help="stable, canary or another."
)
@click.option("--folder", help="Where the versions are, if not at base_path.")
@click.option("--reason", default="", help="Why; goes into the audit line.")
def promote(
    models_config: str,
    version: int,
    name: str,
    label: str,
    folder: str | None,
    reason: str,
) -> None:
    """Give VERSION a label in MODELS_CONFIG; servers that read it follow.

    Each change adds a line to audit.jsonl beside the file.

    \b
    Examples:
      claimpt promote models.config 1732000001 --label canary
      claimpt promote models.config 1732000001 --reason "a week without alarms"
    """
    from claimpt_tf.serving.promotion import promote as run

    done = run(models_config, name, version, label, reason=reason, folder=folder)
    before = "nothing" if done.before is None else f"version {done.before}"
    click.echo(f"{name}: {label} is version {done.after}; it was {before}")
