"""TensorBoard reads back the choices and figures of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.util import tensor_util

from claimpt_tf.evaluation.bootstrap import Interval
from claimpt_tf.evaluation.hparams import hparams_of, write_finetuned, write_hparams

FACTS = {
    "task": "self_harm",
    "recipe": "adapt",
    "shots": None,
    "choices": {"recipe": "auto", "epochs": 3, "unfreeze": False, "ema": 0.5},
}


def read(folder: Path) -> tuple[dict[str, object], dict[str, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    content = events.summary_metadata[metadata.SESSION_START_INFO_TAG]
    start = plugin_data_pb2.HParamsPluginData.FromString(
        content.plugin_data.content
    ).session_start_info
    choices = {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in start.hparams.items()
    }
    figures = {
        tag: float(tensor_util.make_ndarray(events.Tensors(tag)[0].tensor_proto))
        for tag in events.Tags()["tensors"]
        if not tag.startswith("_hparams_")
    }
    return choices, figures


def test_choices_and_figures_are_read_back(tmp_path) -> None:
    write_hparams(tmp_path, hparams_of(FACTS), {"auroc": 0.75, "brier": 0.1})
    choices, figures = read(tmp_path)
    assert choices == {
        "task": "self_harm", "recipe": "adapt", "shots": "all", "epochs": 3,
        "unfreeze": False, "ema": 0.5,
    }  # fmt: skip
    assert figures == pytest.approx({"evaluation/auroc": 0.75, "evaluation/brier": 0.1})


def test_a_fine_tuned_run_tells_its_test_split(tmp_path) -> None:
    judged = {
        "eval": {"network": {"auroc": Interval(0.6)}},
        "test": {"network": {"auroc": Interval(0.7, 0.6, 0.8), "r2": Interval(None)}},
    }
    write_finetuned(tmp_path / "a", FACTS, judged)
    choices, figures = read(tmp_path / "a")
    assert choices["split"] == "test"
    assert figures == pytest.approx({"evaluation/auroc": 0.7})
    write_finetuned(tmp_path / "b", FACTS, {})
    assert not (tmp_path / "b").exists()
