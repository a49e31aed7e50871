"""Evaluations side by side: paired on the same rows, refused for different tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from claimpt_tf.commands.compare import compare as command
from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.comparison import write_metrics
from claimpt_tf.evaluation.predictions import write_predictions
from claimpt_tf.evaluation.runs import compare_runs, write_compared


@pytest.fixture(scope="module")
def frame(make_labelled):
    return make_labelled(300, seed=5)


@pytest.fixture(scope="module")
def place(frame, tmp_path_factory) -> Path:
    """Evaluations: two of the same rows, one of half of them, one of another task."""
    folder = tmp_path_factory.mktemp("runs")
    risk = frame["risk"].to_numpy()
    noise = np.random.default_rng(0).random(len(risk))

    def write(name: str, scores: dict[str, np.ndarray], rows, task="self_harm") -> None:
        found = compare(scores, rows, 20, subgroups=())
        found = replace(found, task=task, simulated=True)
        write_metrics(found, folder / name / "metrics.json")
        write_predictions(folder / name / "predictions.parquet", scores, rows, "test")

    write("good/evaluation", {"net": risk, "noise": noise}, frame)
    write("poor/evaluation", {"net": (risk + noise) / 2, "noise": noise}, frame)
    write("half", {"net": risk[:150]}, frame[:150])
    write("other", {"net": risk}, frame, "readmission_30d")
    return folder


def test_the_same_rows_are_paired(place, frame, tmp_path) -> None:
    found = compare_runs([str(place / "good"), str(place / "poor")], replicates=200)
    labels, risk = frame["label"], frame["risk"].to_numpy()
    good = found.found.models["good"]["auroc"]
    assert found.paired and good.value == pytest.approx(roc_auc_score(labels, risk))
    assert good.low < good.value < good.high
    gap = found.found.differences["poor"]["auroc"]
    assert gap.value == pytest.approx(
        found.found.models["poor"]["auroc"].value - good.value
    )
    assert gap.high < 0 and gap.p < 0.05
    write_compared(found, str(tmp_path / "x.json"), "claimpt compare")
    told = json.loads((tmp_path / "x.json").read_text())
    assert told["simulated"] and told["runs"]["good"]["auroc"]["value"] == good.value
    write_compared(found, str(tmp_path / "x.html"), "claimpt compare good poor")
    page = (tmp_path / "x.html").read_text()
    assert "Synthetic data." in page and f"{good.value:.3f}" in page
    assert page.count("<figure>") == 3
    assert not any(one in page for one in frame["patient_id"])


def test_other_rows_stand_side_by_side_untested(place) -> None:
    found = compare_runs([str(place / "good"), str(place / "half")], replicates=20)
    assert not found.paired
    assert found.notes[0].startswith("The runs were not judged on the same rows")
    kept = json.loads((place / "half" / "metrics.json").read_text())
    value = found.found.models["half"]["auroc"].value
    assert value == kept["models"]["net"]["auroc"]["value"]
    assert "figure>" not in found.to_html("claimpt compare")


def test_another_model_can_be_compared(place) -> None:
    folders = [str(place / "good"), str(place / "poor")]
    found = compare_runs(folders, "noise", replicates=20)
    assert found.found.differences["poor"]["auroc"].value == 0
    assert found.notes[1] == "Models: good: noise; poor: noise."
    with pytest.raises(ArtifactError, match="has no model 'x'; it has net, noise"):
        compare_runs(folders, "x")


def test_what_cannot_be_compared_is_refused(place, tmp_path) -> None:
    good = str(place / "good")
    with pytest.raises(ArtifactError, match="good: self_harm, other: readmission_30d"):
        compare_runs([good, str(place / "other")])
    with pytest.raises(InputError, match="two evaluations or more"):
        compare_runs([good, f"{good}/"])
    with pytest.raises(ArtifactError, match="holds no evaluation"):
        compare_runs([good, str(tmp_path)])
    (tmp_path / "metrics.json").write_text('{"test": {}}')
    with pytest.raises(ArtifactError, match="not the metrics of a comparison"):
        compare_runs([good, str(tmp_path)])
    with pytest.raises(InputError, match=r"must end in \.html or \.json"):
        write_compared(None, "x.txt", "")  # type: ignore[arg-type]


def test_the_command_shows_a_table(place) -> None:
    done = CliRunner().invoke(
        command, [str(place / "good"), str(place / "poor"), "--replicates", "20"]
    )
    assert done.exit_code == 0, done.output
    assert "Task self_harm" in done.output and "differences are paired" in done.output
