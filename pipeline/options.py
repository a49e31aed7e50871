"""The options that `claimpt run` and `claimpt compile` share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import ValidationError

from claimpt_tf.claims.readers.registry import reader_names
from claimpt_tf.claims.spans import has_spans
from claimpt_tf.errors import InputError
from claimpt_tf.tasks.choice import chosen_tasks
from claimpt_tf.visits.rules import load_rules
from pipeline.configs import RunConfig

_SHARED = (
    click.option(
        "--source",
        required=True,
        metavar="NAME",
        help=f"Input standard: {', '.join(reader_names())}.",
    ),
    click.option(
        "--task", required=True, multiple=True,
        help="A shipped task, or a YAML file; repeatable, pre-training is shared.",
    ),
    click.option(
        "--preset", default="small", show_default=True, help="Size of the network."
    ),
    click.option(
        "--epochs", default=8, show_default=True, help="Pre-training epochs, at most."
    ),
    click.option("--seed", default=7, show_default=True, help="Of everything random."),
    click.option(
        "--min-auroc", default=0.55, show_default=True,
        help="The gate: a model below is not pushed.",
    ),
    click.option(
        "--scratch/--no-scratch", default=True, show_default=True,
        help="Also train without pre-training, for the report.",
    ),
    click.option(
        "--key-file", default="", help="Key that hashes member ids (default: your own)."
    ),
    click.option(
        "--rules", "rules_file",
        help="YAML file of visit rules that differ (docs/visits.md).",
    ),
    click.option(
        "--shift-dates", is_flag=True,
        help="Move each member's dates by up to a year, intervals kept.",
    ),
    click.option(
        "--categories", multiple=True, metavar="FILE",
        help="Your own categories of codes (docs/codes.md); repeatable.",
    ),
    click.option(
        "--runner",
        help="Where Beam runs: local, processes, dataflow, flink, spark, or a runner.",
    ),
    click.option(
        "--beam-arg", "beam_args", multiple=True, metavar="ARG",
        help="Beam option, e.g. --beam-arg=--region=europe-west1; repeatable.",
    ),
    click.option(
        "--config", "config_file", type=click.Path(exists=True, dir_okay=False),
        help="YAML with any field of pipeline.configs.RunConfig; it wins.",
    ),
)  # fmt: skip


def shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the shared options to a command."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def build_config(
    input_base: str,
    source: str,
    task: str | Sequence[str],
    preset: str,
    epochs: int,
    seed: int,
    min_auroc: float,
    scratch: bool,
    key_file: str,
    beam_args: tuple[str, ...],
    config_file: str | None,
    true_risk: str = "",
    rules_file: str | None = None,
    shift_dates: bool = False,
    categories: tuple[str, ...] = (),
    runner: str | None = None,
) -> RunConfig:
    """Options to a RunConfig.

    Raises:
      TaskError: The task is wrong.
      InputError: A YAML file is wrong; the message names the field.
    """
    pattern = "*"
    if has_spans(input_base):
        input_base, name = os.path.split(input_base.rstrip("/"))
        pattern = f"{name}/*"
    fields: dict[str, Any] = {
        "source": source,
        "pattern": pattern,
        "input_base": input_base,
        "tasks": chosen_tasks([task] if isinstance(task, str) else task)[0],
        "pretrain": {
            "preset": preset,
            "epochs": epochs,
            "seed": seed,
            "categories": categories,
        },
        "finetune": {"seed": seed},
        "min_auroc": min_auroc,
        "scratch": scratch,
        "key_file": str(Path(key_file).resolve()) if key_file else "",
        "shift_dates": shift_dates,
        "true_risk": true_risk,
    }
    if rules_file:
        fields["rules"] = load_rules(rules_file).model_dump()
    fields["beam"] = {"args": beam_args, **({"runner": runner} if runner else {})}
    if config_file:
        given = yaml.safe_load(Path(config_file).read_text()) or {}
        for name, value in given.items():
            known = fields.get(name)
            if isinstance(known, dict) and isinstance(value, dict):
                value = {**known, **value}
            fields[name] = value
    try:
        return RunConfig(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        parts = [
            *first["loc"],
            *([first["ctx"]["key"]] if first["type"] == "unknown_field" else []),
        ]
        where = ".".join(str(part) for part in parts)
        raise InputError(
            f"{config_file or 'options'}: {where}: {first['msg']}"
        ) from None
