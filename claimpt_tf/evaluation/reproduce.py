"""What to type to get an evaluation again, without a path of anybody's machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from claimpt_tf.errors import ClaimPTError
from claimpt_tf.evaluation.evaluate import Choices
from claimpt_tf.tasks.spec import Task, load_task
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune_run import CONFIG_FILE

_CHOSEN: Final = ("capacity", "threshold", "replicates", "seed")
_TUNED: Final = (
    "recipe", "epochs", "batch_size", "learning_rate", "layer_decay", "schedule",
    "train", "unfreeze", "bags", "seed",
)  # fmt: skip


def command_of(
    run: str,
    choices: Choices,
    *more: str,
    truth: str = "",
    source: str = "",
    simulated: bool = False,
) -> str:
    """The command of an evaluation; folders lose where they lie.

    Args:
        run: folder of the run.
        choices: those that are not the default are told.
        more: options besides.
        truth: the simulator's table of true risks.
        source: the input standard.
        simulated: as given.

    >>> command_of("runs/r2", Choices(capacity=200), "--data RECORDS")
    'claimpt evaluate --run r2 --output EVALUATION --data RECORDS --capacity 200'
    >>> command_of("r2", Choices(), truth="claims/true_risk.parquet")
    'claimpt evaluate --run r2 --output EVALUATION --true-risk true_risk.parquet'
    """
    words = [f"claimpt evaluate --run {Path(run).name} --output EVALUATION", *more]
    words += _changed(
        {name: getattr(choices, name) for name in _CHOSEN},
        {name: getattr(Choices(), name) for name in _CHOSEN},
    )
    if not choices.past_windows:
        words.append("--no-past-windows")
    if source:
        words.append(f"--source {source}")
    if truth:
        words.append(f"--true-risk {Path(truth).name}")
    if simulated:
        words.append("--simulated")
    return " ".join(words)


def training_commands(
    run: str, facts: Mapping[str, Any], task: Task
) -> tuple[str, ...]:
    """The commands that made a run, as far as it tells: pre-training, fine-tuning.

    Args:
        run: folder of the run.
        facts: its `config.json`.
        task: its question; one that is no shipped task stands as a file.
    """
    base = str(facts.get("base", "BASE"))
    words = [f"claimpt finetune --data RECORDS --base {Path(base).name}"]
    words.append(f"--task {task.name if _is_shipped(task) else f'{task.name}.yaml'}")
    if task.labels is not None:
        words.append("--labels TABLE")
    if facts.get("shots"):
        words.append(f"--shots {facts['shots']}")
    if facts.get("fresh"):
        words.append("--fresh")
    usual = FinetuneConfig().model_dump()
    choices = facts.get("choices", {})
    words += _changed({name: choices.get(name) for name in _TUNED}, usual)
    finetune = " ".join([*words, f"--output {Path(run).name}"])
    try:
        trained = json.loads((Path(base) / CONFIG_FILE).read_text())["choices"]
        pretrain = (
            f"claimpt pretrain --data RECORDS --preset {trained['preset']} "
            f"--epochs {trained['epochs']} --output {Path(base).name}"
        )
    except (OSError, ValueError, KeyError):
        return (finetune,)
    return pretrain, finetune


def _is_shipped(task: Task) -> bool:
    try:
        return load_task(task.name) == task
    except ClaimPTError:
        return False


def _changed(values: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """Options whose value is another than usual."""
    words = []
    for name, value in values.items():
        if value is None or value == usual[name]:
            continue
        option = f"--{name.replace('_', '-')}"
        told = f"{value:g}" if isinstance(value, float) else value
        words.append(option if value is True else f"{option} {told}")
    return words
