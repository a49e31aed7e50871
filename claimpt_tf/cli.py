"""`claimpt`: thin commands over functions that a notebook can call."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from importlib.metadata import entry_points
from typing import Any

import click

from claimpt_tf import __version__
from claimpt_tf.errors import ClaimPTError

PLUGINS = "claimpt.commands"  # entry points by which other packages add commands
OWN = (
    "cohort",
    "compare",
    "deploy",
    "evaluate",
    "export-meds",
    "finetune",
    "ingest",
    "predict",
    "pretrain",
    "promote",
    "rollback",
    "score",
    "serve",
    "simulate",
)  # modules of claimpt_tf.commands


class Commands(click.Group):
    """Imports only the command that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted({*OWN, *_plugins()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command itself."""
        if name in OWN:
            attribute = name.replace("-", "_")
            module = importlib.import_module(f"claimpt_tf.commands.{attribute}")
            return getattr(module, attribute)
        plugin = _plugins().get(name)
        return plugin.load() if plugin else None


def _plugins() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=PLUGINS)}


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
