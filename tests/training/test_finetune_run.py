"""`claimpt finetune` from records: killed and resumed, and from new weights."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

from claimpt_tf.commands.evaluate import evaluate
from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.endpoint_metrics import judge_run
from claimpt_tf.evaluation.endpoint_networks import rival_predictions
from claimpt_tf.evaluation.endpoints.multi_label import MultiLabel
from claimpt_tf.evaluation.evaluate import MODEL
from claimpt_tf.evaluation.evaluate_endpoint import labelled_members
from claimpt_tf.evaluation.finetuned_run import read_run
from claimpt_tf.evaluation.run_networks import SCRATCH
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

    run, output = str(tmp_path / "base"), tmp_path / "evaluation"
    asked = ["--run", run, "--output", str(output), "--no-networks"]
    done = CliRunner().invoke(
        evaluate, [*asked, "--replicates", "50"], catch_exceptions=False
    )
    assert done.exit_code == 0 and "Recall at 10" in done.output
    found = Comparison.from_json((output / "metrics.json").read_text())
    assert list(found.models) == [MODEL, *MultiLabel.rivals]
    assert f"{found.models[MODEL]['recall_at_10'].value:.3f}" in done.output
    assert (output / "report.html").exists()
    # A rival from new weights is the run that was fresh.
    read = read_run(run, ["multi_label"])
    columns = [name for name in base.columns if name.startswith("probability_")]
    rivals = rival_predictions(run, read, labelled_members(read).to_numpy(), columns, 0)
    name, given = next(rivals)
    assert name == SCRATCH
    own = fresh.filter(pl.col("split") == "test").select(columns)
    assert_frame_equal(given, own, rel_tol=1e-3, abs_tol=1e-4)
    with pytest.raises(InputError, match=r"multi_label; leave out --threshold \(it is"):
        CliRunner().invoke(
            evaluate, [*asked, "--threshold", "0.1"], catch_exceptions=False
        )
