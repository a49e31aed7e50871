"""Beam's options, for the commands that run on it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

_BEAM_OPTIONS = (
    click.option(
        "--runner",
        help="Where Beam runs: local, processes, dataflow, flink, spark, or a runner.",
    ),
    click.option(
        "--beam-config", "beam_file",
        help="YAML file with runner and options (docs/scale.md).",
    ),
    click.option(
        "--beam-arg", "beam_args", multiple=True, metavar="ARG",
        help="Beam option, e.g. --beam-arg=--direct_num_workers=2; repeatable.",
    ),
)  # fmt: skip


def on_beam(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command Beam's options, of which it gets `beam_args`."""

    @functools.wraps(command)
    def run(
        runner: str | None,
        beam_file: str | None,
        beam_args: tuple[str, ...],
        **rest: Any,
    ) -> None:
        from claimpt_tf.beam_options import beam_config, load_beam

        config = (
            load_beam(beam_file, runner, beam_args)
            if beam_file
            else beam_config(runner, beam_args)
        )
        # Where no runner is named, each command has one of its own.
        chosen = config.to_args() if runner or beam_file else config.args
        command(beam_args=chosen, **rest)

    for option in reversed(_BEAM_OPTIONS):
        run = option(run)
    return run
