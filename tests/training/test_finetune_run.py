"""`claimpt finetune` from records: killed and resumed, and from new weights."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.endpoint_metrics import judge_run
from claimpt_tf.tasks.spec import load_task
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune_run import finetune_run
from tests.training.killed import kill_at_checkpoint

pytestmark = pytest.mark.slow
TASK = load_task("next_visit_diagnosis")
CONFIG = FinetuneConfig(recipe="labels", epochs=2, seed=0)


def tuned(records: Path, whole: Path, output: Path, **changes: object) -> pl.DataFrame:
    config = CONFIG.model_copy(update=changes)
    finetune_run(str(records), str(whole), TASK, str(output), config, resume=True)
    return pl.read_parquet(output / "predictions.parquet")


def test_a_killed_run_goes_on_exactly(
    records: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    checkpoint = kill_at_checkpoint(
        run, "finetune", "--data", str(records), "--base", str(whole),
        "--task", TASK.name, "--output", str(run),
        "--recipe", "labels", "--epochs", "2", "--seed", "0",
    )  # fmt: skip
    with pytest.raises(ArtifactError, match="learning_rate was 0.001 and is 0.01"):
        tuned(records, whole, run, learning_rate=0.01)
    resumed = tuned(records, whole, run)
    assert not checkpoint.exists()
    uninterrupted = tuned(records, whole, tmp_path / "whole")
    assert_frame_equal(resumed, uninterrupted, rel_tol=1e-3, abs_tol=1e-4)
    figures = judge_run(run, replicates=50)["test"]
    assert set(figures) == {"network", "frequent", "repeated"}
    assert figures["network"]["recall_at_30"].value > 0


def test_new_weights_are_those_of_no_pre_training(
    records: Path, whole: Path, tmp_path: Path
) -> None:
    config = FinetuneConfig(recipe="head", seed=0)
    for name in ("base", "fresh"):
        finetune_run(
            str(records), str(whole), TASK, str(tmp_path / name), config,
            fresh=name == "fresh",
        )  # fmt: skip
    facts = json.loads((tmp_path / "fresh" / "config.json").read_text())
    assert facts["fresh"] is True
    base, fresh = (
        pl.read_parquet(tmp_path / name / "predictions.parquet")
        for name in ("base", "fresh")
    )
    assert base["label"].equals(fresh["label"])
    assert not base.drop("label").equals(fresh.drop("label"))
