"""How to get an evaluation again, as its page tells."""

from __future__ import annotations

from pathlib import Path

from claimpt_tf.commands.evaluate import evaluate
from claimpt_tf.commands.finetune import finetune
from claimpt_tf.commands.pretrain import pretrain
from claimpt_tf.evaluation.evaluate import Choices
from claimpt_tf.evaluation.reproduce import command_of, training_commands
from claimpt_tf.tasks.spec import load_task
from claimpt_tf.training.choices import FinetuneConfig


def options_of(command: str) -> dict[str, object]:
    """What the command line makes of it."""
    _, name, *words = command.split()
    parser = {"pretrain": pretrain, "finetune": finetune, "evaluate": evaluate}[name]
    return parser.make_context(name, words).params


def test_commands_are_understood_and_tell_what_was_chosen(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text('{"choices": {"preset": "small", "epochs": 6}}')
    choices = FinetuneConfig(
        learning_rate=2e-3, unfreeze=True, bags=3, seed=4
    ).model_dump()
    facts = {"base": str(base), "choices": choices, "shots": 4, "fresh": True}
    task = load_task("self_harm")
    trained, tuned = training_commands(str(tmp_path / "r2"), facts, task)
    judged = command_of(
        str(tmp_path / "r2"), Choices(capacity=200, threshold=0.15, past_windows=False),
        "--no-networks", truth=str(tmp_path / "true.parquet"), source="tuva",
        simulated=True,
    )  # fmt: skip
    assert str(tmp_path) not in f"{trained} {tuned} {judged}"
    told = options_of(trained)
    assert (told["preset"], told["epochs"], told["output"]) == ("small", 6, "base")
    told = options_of(tuned)
    assert told["learning_rate"] == 2e-3 and told["unfreeze"]
    assert told["bags"] == 3 and told["seed"] == 4
    assert told["shots"] == 4 and told["fresh"] and told["task"] == "self_harm"
    assert told["layer_decay"] is None and told["recipe"] is None
    told = options_of(judged)
    assert (told["capacity"], told["threshold"]) == (200, 0.15)
    assert told["simulated"] and told["true_risk"] == "true.parquet"
    assert not told["networks"] and not told["past_windows"]


def test_a_task_of_ones_own_stands_as_a_file() -> None:
    task = load_task("self_harm").model_copy(update={"window_days": 90})
    (tuned,) = training_commands("r2", {"base": "gone"}, task)
    assert "--task self_harm.yaml" in tuned
