"""The whole pipeline on simulated children: run, rerun, gate, privacy."""

from __future__ import annotations

import collections
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow_model_analysis as tfma

from claimpt_tf.errors import TaskError
from claimpt_tf.serving.cpp_loader import score_with_cpp_loader
from claimpt_tf.serving.requests import to_examples
from claimpt_tf.visits.records import decode, read_records
from pipeline.local_runner import METADATA_FILE, run_pipeline
from tests.pipeline.conftest import FIRST_NAME, LAST_NAME, Run, small_config

pytestmark = pytest.mark.slow

COMPONENTS = {
    "ClaimsExampleGen", "StatisticsGen", "ImportSchemaGen", "ExampleValidator",
    "CohortGen", "Transform", "Pretrainer", "Finetuner", "ScratchTrainer",
    "LastServed", "Evaluator", "ServingValidator", "ModelReport", "ReleaseGate",
    "Pusher",
}  # fmt: skip


def executions(folder: Path) -> collections.Counter:
    """Executions that ran to their end, by component, over all runs of a folder."""
    import ml_metadata as mlmd

    from pipeline.lineage import sqlite

    store = mlmd.MetadataStore(sqlite(str(folder / METADATA_FILE)))
    return collections.Counter(
        context.name.split(".")[-1]
        for execution in store.get_executions()
        if execution.last_known_state == mlmd.proto.Execution.COMPLETE
        for context in store.get_contexts_by_execution(execution.id)
        if context.type == "node"
    )


def versions(run: Run) -> list[Path]:
    return sorted((run.folder / "serving" / "claimpt").iterdir())


def test_each_component_ran_once_and_the_model_was_pushed(run: Run) -> None:
    assert executions(run.folder) == dict.fromkeys(COMPONENTS, 1)
    assert set(run.result.executed) == COMPONENTS
    assert versions(run) == [Path(run.result.only.pushed)]
    assert (versions(run)[0] / "saved_model.pb").exists()


def test_demo_ends_with_figures_and_a_served_prediction(run: Run) -> None:
    for row in ("pre-trained", "from scratch", "logistic regression", "best possible"):
        assert re.search(rf"{row}.*0\.\d+", run.screen), row
    served = re.search(r"given as raw codes: +risk (\d+\.\d)%", run.screen)
    assert served and 0 <= float(served[1]) <= 100
    child = json.loads((run.folder / "child.json").read_text())
    (again,) = score_with_cpp_loader(run.result.only.pushed, to_examples([child]))
    assert float(served[1]) == pytest.approx(100 * again, abs=0.051)
    for place in ("Report ", "TensorBoard ", "claimpt serve ", "claimpt predict "):
        assert place in run.screen


def test_rerun_is_cached(run: Run) -> None:
    again = run_pipeline(small_config(run.claims), str(run.folder))
    assert set(again.cached) == COMPONENTS
    assert executions(run.folder) == dict.fromkeys(COMPONENTS, 1)


@pytest.fixture
def served_before(run: Run) -> Iterator[None]:
    """The pushed model as if another export of it had been served before."""
    earlier = run.folder / "serving" / "claimpt" / "1"
    shutil.copytree(run.result.only.pushed, earlier)
    (earlier / "fingerprint.pb").write_bytes(b"another")
    yield
    shutil.rmtree(earlier)


def test_model_below_the_gate_is_not_pushed_and_is_held_against_the_last_served(
    run: Run, served_before: None
) -> None:
    before = versions(run)
    config = small_config(run.claims, min_auroc=0.999)
    refused = run_pipeline(config, str(run.folder))
    assert refused.only.pushed is None
    assert set(refused.executed) == {"LastServed", "Evaluator", "ReleaseGate", "Pusher"}
    assert [
        r for r in refused.only.reasons if "below the gate's 0.999 (all test rows)" in r
    ]
    assert versions(run) == before
    first, latest = evaluations(run)
    assert differences(first) == []
    assert differences(latest) == pytest.approx([0.0], abs=1e-7)


def evaluations(run: Run) -> list[str]:
    folders = (run.folder / "artifacts" / "Evaluator" / "evaluation").iterdir()
    return [str(folder) for folder in sorted(folders, key=lambda one: int(one.name))]


def differences(evaluation: str) -> list[float]:
    """Of the AUROC of all test rows, to the baseline where there is one."""
    return [
        one.value.double_value.value
        for found in tfma.load_metrics(evaluation)
        if not found.slice_key.single_slice_keys
        for one in found.metric_keys_and_values
        if one.key.name == "auroc" and one.key.is_diff
    ]


def test_task_that_matches_nobody_fails_before_training(run: Run) -> None:
    config = small_config(run.claims)
    (task,) = config.tasks
    population = task.population.model_copy(update={"institutions": ("moon",)})
    task = task.model_copy(update={"population": population, "name": "nobody"})
    with pytest.raises(TaskError, match="nobody"):
        run_pipeline(config.model_copy(update={"tasks": (task,)}), str(run.folder))
    assert executions(run.folder)["Pretrainer"] == 1


def test_report_and_served_scores_agree(run: Run) -> None:
    report = Path(run.result.only.report)
    assert "asthma" in (report / "report.html").read_text().lower()
    models = json.loads((report / "metrics.json").read_text())["models"]
    assert set(models) == {
        "pre-trained", "from scratch", "prevalence", "logistic regression on counts",
        "LightGBM on counts", "LightGBM on counts and past windows", "best possible",
    }  # fmt: skip
    card = (report / "model_card.md").read_text()
    for told in (
        r"\*\*Data span\*\*: 20\d\d-\d\d to 20\d\d-\d\d",
        r"\*\*Input fingerprint\*\*: .*num_files",
        r"\*\*Parameters: pre-training\*\*: .*preset tiny",
        r"\*\*Artifact: model\*\*: Model, id \d+, Finetuner/model/\d+",
        r"\*\*Artifact: base_model\*\*: Model, id \d+, Pretrainer/model/\d+",
    ):
        assert re.search(told, card), told
    assert str(run.folder) not in card
    assert "not recalibrated: fewer than 20 validation rows of a class" in card
    files = sorted(run.folder.glob("artifacts/CohortGen/cohort/*/Split-test/*"))
    records = list(read_records(files))
    rows = decode(records).select(
        "patient_id", index_date=pl.col("index_day").cast(pl.Int32).cast(pl.Date)
    )
    served = score_with_cpp_loader(run.result.only.pushed, records)
    written = rows.join(
        pl.read_parquet(report / "predictions.parquet"),
        on=["patient_id", "index_date"],
        maintain_order="left",
    )
    np.testing.assert_allclose(written["probability"], served, atol=1e-5)
    evaluation = evaluations(run)[0]
    gate = next(
        one.value.double_value.value
        for found in tfma.load_metrics(evaluation)
        if not found.slice_key.single_slice_keys
        for one in found.metric_keys_and_values
        if one.key.name == "auroc"
    )
    assert gate == pytest.approx(models["pre-trained"]["auroc"]["value"], abs=5e-5)


def test_tensorboard_reads_both_trainers(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for trainer in ("Pretrainer", "Finetuner"):
        (folder,) = run.folder.glob(f"artifacts/{trainer}/model_run/*/validation")
        events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
        assert any("loss" in tag for tag in events.Tags()["tensors"])


def test_no_id_name_or_birth_date_anywhere_in_the_run(run: Run) -> None:
    people = pl.read_parquet(run.claims / "eligibility.parquet")
    assert {FIRST_NAME, LAST_NAME} <= set(people.row(0))
    ids = people["person_id"].unique().sort().head(200).to_list()
    born = people["birth_date"].cast(pl.Date)
    # Firsts of months are dates of the run's own: index dates, months of the report.
    births = born.filter(born.dt.day() > 1).unique().sort().head(200)
    planted = [FIRST_NAME, LAST_NAME, *ids]
    for spelling in ("%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d"):
        planted += births.dt.strftime(spelling).to_list()
    for path in run.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            if path.suffix == ".parquet":
                content += pl.read_parquet(path).write_csv().encode()
            found = [text for text in planted if text.encode() in content]
            assert not found, f"{path} holds {found[:3]}"
