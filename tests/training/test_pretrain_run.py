"""`claimpt pretrain` from records: killed and resumed, and refused where it must be."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from claimpt_tf.errors import ArtifactError, TrainingError
from claimpt_tf.models.presets import backbone
from claimpt_tf.training.foreknowledge import WindowScores
from claimpt_tf.training.pretrain import load_backbone, pretrain
from claimpt_tf.training.pretrain_run import pretrain_run
from claimpt_tf.training.targets import Targets
from claimpt_tf.training.transfer import Base, read_vocabularies
from claimpt_tf.training.transform_graph import TransformGraph
from claimpt_tf.visits.ids import FIRST_CODE
from tests.training.conftest import CONFIG
from tests.training.killed import kill_at_checkpoint
from tests.training.transformed import members, source

CHOICES = ["--preset", "tiny", "--epochs", "2", "--batch-size", "4", "--seed", "0"]
CODES = [f"ICD10CM:{letter}{n:02d}" for letter in "JK" for n in range(20)]


@pytest.mark.slow
def test_a_run_killed_in_mid_epoch_goes_on_exactly(
    records: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copytree(whole / "transform", run / "transform")
    checkpoint = kill_at_checkpoint(
        run, "pretrain", "--data", str(records), "--output", str(run), *CHOICES,
        "--checkpoint-minutes", "0", "--resume",
    )  # fmt: skip
    with np.load(checkpoint) as loaded:
        position = json.loads(loaded["facts"].tobytes())["position"]
    assert position["epoch"] == 0 and position["step"] % 20 == 0

    with pytest.raises(ArtifactError, match="is not empty; add --resume"):
        pretrain_run(str(records), str(run), CONFIG)
    other = CONFIG.model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(
        ArtifactError, match="learning_rate was 0.002 and is 0.001. Resume with"
    ):
        pretrain_run(str(records), str(run), other, resume=True)

    pretrain_run(str(records), str(run), CONFIG, resume=True)
    one, resumed = (
        json.loads((folder / "metrics.json").read_text()) for folder in (whole, run)
    )
    for a, b in zip(one["history"], resumed["history"], strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    a, b = (load_backbone(str(folder)).get_weights() for folder in (whole, run))
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-2, atol=1e-4)
    assert not checkpoint.exists()


@pytest.mark.slow
def test_a_run_holds_what_fine_tuning_needs(records: Path, whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert names == {
        "transform", "backbone.keras", "targets.json", "window_head.npz",
        "vocabulary.txt", "config.json", "metrics.json", "logs",
    }  # fmt: skip
    graph = TransformGraph.load(str(whole / "transform"))
    network = load_backbone(str(whole), graph.codes)
    assert network.codes == len(graph.codes) + 3
    with pytest.raises(
        ArtifactError, match="another vocabulary: .* codes, not .*1 codes are new to it"
    ):
        load_backbone(str(whole), ["ICD10CM:ZZZ", *graph.codes[1:]])
    metrics = json.loads((whole / "metrics.json").read_text())
    assert set(metrics["next_visit"]["recall"]) == {
        "frequency", "last visit repeated", "own history", "network",
    }  # fmt: skip
    with pytest.raises(ArtifactError, match="holds a finished run"):
        pretrain_run(str(records), str(whole), CONFIG, resume=True)


@pytest.mark.slow
def test_a_run_goes_on_from_one_with_fewer_codes(
    records: Path, whole: Path, tmp_path: Path
) -> None:
    codes, stems = read_vocabularies(str(whole / "transform"))
    known = codes[7:]
    network = backbone("tiny", FIRST_CODE + len(known), FIRST_CODE + len(stems))
    targets = Targets.from_json((whole / "targets.json").read_text())
    base = Base(str(whole), "tiny", network, known, stems, targets)
    config = CONFIG.model_copy(update={"epochs": 1})
    metrics, _ = pretrain_run(str(records), str(tmp_path / "run"), config, base=base)
    assert metrics["base"] == {
        "run": str(whole), "known_codes": len(known), "new_codes": 7, "new_stems": 0,
        "new_targets": 0,
    }  # fmt: skip
    graph = TransformGraph.load(str(tmp_path / "run" / "transform"))
    assert graph.codes == known + codes[:7]
    grown = load_backbone(str(tmp_path / "run"), graph.codes)
    assert grown.codes == FIRST_CODE + len(codes)
    before, after = (WindowScores.load(str(one)) for one in (whole, tmp_path / "run"))
    assert before is not None and after is not None
    assert after.members == before.members + metrics["members"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["backbone.keras", "config.json", "targets.json", "window_head.npz"]
)
def test_a_damaged_file_of_a_base_is_named(
    records: Path, whole: Path, tmp_path: Path, name: str
) -> None:
    damaged = tmp_path / "base"
    shutil.copytree(whole, damaged)
    (damaged / name).write_bytes((whole / name).read_bytes()[:20])
    with pytest.raises(ArtifactError, match=rf"{re.escape(name)} is damaged .* again"):
        base = Base.load(str(damaged))
        pretrain_run(str(records), str(tmp_path / "run"), CONFIG, base=base)


def test_an_empty_split_is_named() -> None:
    with pytest.raises(ArtifactError, match="no member of the eval split has a visit"):
        pretrain(source([5, 6]), source([0, 0]), CODES, 40, CONFIG)


def test_too_few_claims_are_named() -> None:
    with pytest.raises(ArtifactError, match="no category of codes has 30 visits"):
        pretrain(source([2, 2]), source([2]), CODES, 40, CONFIG)


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_is_an_error() -> None:
    given = members([20] * 40)
    cost = given["log_cost"]
    given["log_cost"] = cost.with_flat_values(cost.flat_values * float("nan"))
    broken = tf.data.Dataset.from_tensors(given)
    with pytest.raises(
        TrainingError,
        match="loss is not a number in epoch 1 at step 10.*lower --learning-rate",
    ):
        pretrain(broken, source([9, 9]), CODES, 40, CONFIG)
