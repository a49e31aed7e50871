"""Choices and figures of a run for TensorBoard's HParams page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from claimpt_tf.evaluation.bootstrap import Interval

_SECTION = "evaluation"


def write_hparams(
    folder: str | os.PathLike[str],
    choices: Mapping[str, bool | float | str],
    figures: Mapping[str, float],
) -> None:
    """Writes one run's choices with the figures that they led to.

    TensorBoard compares all runs below its --logdir.

    Args:
        folder: gets an events file.
        choices: name -> value.
        figures: name -> value; those that are not estimable left out.
    """
    import tensorflow as tf
    from tensorboard.plugins.hparams import api as hp

    writer = tf.summary.create_file_writer(os.fspath(folder))
    with writer.as_default():
        hp.hparams_config(
            hparams=[hp.HParam(name) for name in choices],
            metrics=[
                hp.Metric(f"{_SECTION}/{name}", display_name=name) for name in figures
            ],
        )
        hp.hparams(dict(choices))
        for name, value in figures.items():
            tf.summary.scalar(f"{_SECTION}/{name}", value, step=0)
    writer.close()


def hparams_of(facts: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """What TensorBoard lists of a run, from its `config.json`."""
    told: dict[str, Any] = {
        "task": facts.get("task"),
        "recipe": facts.get("recipe"),
        "shots": facts.get("shots") or "all",
        **{
            name: value
            for name, value in facts.get("choices", {}).items()
            if name != "recipe"
        },
    }
    return {
        name: value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in told.items()
        if value is not None
    }


def write_finetuned(
    folder: str | os.PathLike[str],
    facts: Mapping[str, Any],
    judged: Mapping[str, Mapping[str, Mapping[str, Interval]]],
) -> None:
    """Writes what `judge_run` found of a run: of its test split, else of eval."""
    for split in ("test", "eval"):
        if split in judged:
            figures = judged[split]["network"]
            points = {
                k: one.value for k, one in figures.items() if one.value is not None
            }
            write_hparams(folder, {**hparams_of(facts), "split": split}, points)
            return
