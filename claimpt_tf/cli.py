"""`claimpt`: thin commands over functions that a notebook can call."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import entry_points
from typing import Any

import click

from claimpt_tf import __version__
from claimpt_tf.errors import ClaimPTError

COMMANDS = "claimpt.commands"  # entry points by which other packages add commands


class Commands(click.Group):
    """Finds commands by entry point and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted({*super().list_commands(ctx), *_plugins()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command itself."""
        plugin = _plugins().get(name)
        return plugin.load() if plugin else super().get_command(ctx, name)


def _plugins() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=COMMANDS)}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Predict from medical claims: pre-train on everybody, fine-tune for a few.

    \b
    Start here:
      claimpt demo OUT                     the whole product on simulated children
      claimpt simulate CLAIMS              make claims tables to play with
      claimpt run --source tuva --input CLAIMS --task asthma_exacerbation --output RUN
    """


@cli.command()
@click.argument("out", type=click.Path(file_okay=False))
@click.option("--members", default=5000, show_default=True, help="Children.")
@click.option("--years", default=3, show_default=True, help="Years of claims.")
@click.option("--seed", default=7, show_default=True, help="Same seed, same claims.")
@click.option(
    "--format", "file_format", default="parquet", show_default=True,
    type=click.Choice(["parquet", "csv"]), help="File format.",
)  # fmt: skip
def simulate(out: str, members: int, years: int, seed: int, file_format: str) -> None:
    """Write a simulated pediatric Medicaid population to OUT.

    Tuva input layer tables (medical_claim, pharmacy_claim, eligibility) and, beside
    them, each child's true risks.

    \b
    Example:
      claimpt simulate claims --members 20000 --seed 1
    """
    from rich.progress import Progress

    from claimpt_tf.claims.simulator.config import SimulationConfig
    from claimpt_tf.claims.simulator.simulate import simulate as run
    from claimpt_tf.claims.simulator.simulate import write_simulation

    with Progress(transient=True) as bar:
        task = bar.add_task("simulating", total=1.0)
        simulation = run(
            SimulationConfig(members=members, years=years, seed=seed),
            progress=lambda text, done: bar.update(
                task, description=text, completed=done
            ),
        )
        write_simulation(simulation, out, file_format)
    click.echo(
        f"{out}: {members:,} simulated children, "
        f"{len(simulation.medical_claim):,} medical and "
        f"{len(simulation.pharmacy_claim):,} pharmacy claim lines"
    )


def main() -> None:
    """Entry point: errors that a person can act on come without a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    try:
        cli(standalone_mode=True)
    except ClaimPTError as error:
        click.echo(f"claimpt: {error}", err=True)
        sys.exit(error.exit_code)
