"""`claimpt finetune` from records: killed and resumed, and from new weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
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
from claimpt_tf.evaluation.endpoints.regression import Regression
from claimpt_tf.evaluation.evaluate import MODEL, RECALIBRATION_FILE
from claimpt_tf.evaluation.evaluate_endpoint import RECALIBRATED, labelled_members
from claimpt_tf.evaluation.finetuned_run import read_run
from claimpt_tf.evaluation.run_networks import SCRATCH
from claimpt_tf.evaluation.run_study import SUMMARY_FILE
from claimpt_tf.tasks.spec import Task, load_task
from claimpt_tf.training.choices import FinetuneConfig
from claimpt_tf.training.finetune_run import finetune_run
from tests.training.killed import kill_at_checkpoint

pytestmark = pytest.mark.slow
RIVALS = list(MultiLabel.rivals)
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
    assert list(found.models) == [MODEL, *RIVALS]
    assert f"{found.models[MODEL]['recall_at_10'].value:.3f}" in done.output
    assert (output / "report.html").exists()
    there = tmp_path / "elsewhere"
    asked = ["--run", run, "--data", str(records), "--output", str(there)]
    done = CliRunner().invoke(
        evaluate, [*asked, "--replicates", "50"], catch_exceptions=False
    )
    assert done.exit_code == 0
    other = Comparison.from_json((there / "metrics.json").read_text())
    assert other.models[MODEL] == found.models[MODEL]  # its own test split again
    names = [f"{name}, trained {at}" for at in ("at home", "here") for name in RIVALS]
    assert list(other.models) == [MODEL, *names]
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


def test_charts_of_another_place_judge_the_run(
    records: Path, whole: Path, tmp_path: Path
) -> None:
    """Numbers from a table: recalibrated, and judged with another table."""
    claims = pl.read_parquet(records.parent / "claims" / "eligibility.parquet")
    people = claims["person_id"].unique().sort()
    costs = np.random.default_rng(0).gamma(2.0, 100.0, len(people)).round(2)

    def table(name: str, factor: float) -> str:
        rows = {"member_id": people, "label": factor * costs}
        path = tmp_path / f"{name}.csv"
        pl.DataFrame(rows).with_columns(index_date=pl.date(2022, 6, 1)).write_csv(path)
        return str(path)

    task = Task.model_validate(
        {"name": "costs", "labels": {"file": table("home", 1.0), "kind": "regression"}}
    )
    run = str(tmp_path / "run")
    config = FinetuneConfig(recipe="head", seed=0)
    finetune_run(str(records), str(whole), task, run, config)
    asked = ["--run", run, "--replicates", "20", "--no-networks"]

    def judged(name: str, *more: str) -> Comparison:
        output = tmp_path / name
        words = [*asked, "--output", str(output), *more]
        CliRunner().invoke(evaluate, words, catch_exceptions=False)
        return Comparison.from_json((output / "metrics.json").read_text())

    home = judged("evaluation", "--learning-curve", "--shots", "30", "--draws", "1")
    curve = pl.read_parquet(tmp_path / "evaluation" / SUMMARY_FILE)
    own_curve = curve.filter(pl.col("model") == MODEL, pl.col("metric") == "r2")
    few, every = own_curve.sort("rows")["value"]
    assert every == pytest.approx(home.models[MODEL]["r2"].value, abs=1e-4)
    assert few != every and set(curve["model"]) == {MODEL, *Regression.rivals}
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "With fewer labels" in page and "--learning-curve --draws 1" in page
    assert page.count("adds to the prediction") == 3
    own = home.models[f"{MODEL}, {RECALIBRATED}"]
    line = json.loads((tmp_path / "evaluation" / RECALIBRATION_FILE).read_text())[MODEL]
    slope = home.models[MODEL]["calibration_slope"].value
    assert own["calibration_slope"].value == pytest.approx(slope / line["slope"])
    with pytest.raises(InputError, match="give that of the other records with --lab"):
        judged("none", "--data", str(records))
    dear = judged("there", "--data", str(records), "--labels", table("there", 3.0))
    dearer = 3 * costs.mean() - costs.mean()
    gap = dear.models[MODEL]["mean_error"].value
    gap -= home.models[MODEL]["mean_error"].value
    assert gap == pytest.approx(-dearer, rel=0.5)
    mended = dear.models[f"{MODEL}, {RECALIBRATED}"]["mean_error"].value
    assert abs(mended) < abs(dear.models[MODEL]["mean_error"].value) / 2
