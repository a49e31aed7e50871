"""A task's head begins as pre-training's own score of the outcome's codes."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.presets import backbone
from claimpt_tf.tasks.spec import Task, load_task
from claimpt_tf.training.adaptation import MANY
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.finetune import finetune
from claimpt_tf.training.foreknowledge import (
    WINDOW_HEAD_FILE,
    HeadStart,
    WindowScores,
    head_start,
    save_window_head,
)
from claimpt_tf.training.objectives import HORIZONS
from claimpt_tf.training.pretrain import TARGETS_FILE
from claimpt_tf.training.pretrainer import Pretrainer
from claimpt_tf.training.targets import Targets
from claimpt_tf.visits.ids import FIRST_CODE
from tests.training.test_finetune import MEMBERS, labelled, network

CODES = [
    "ICD10CM:J4521", "ICD10CM:J4520", "ICD10CM:J4550", "ICD10CM:J4551",
    "ICD10CM:J069", "ICD9CM:49302", "HCPCS:99213",
]  # fmt: skip
OF_CODE = [0, 0, 0, 0, 1, 2, -1]  # asthma, an infection, asthma of ICD-9
NAMES = ["asthma", "cold", "old asthma", "asthma@acute", "cold@acute"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> tuple[str, Pretrainer]:
    """A folder with the window head and the targets of a network."""
    folder = tmp_path_factory.mktemp("base")
    none = [-1] * FIRST_CODE
    acute = [{0: 3, 1: 4}.get(target, -1) for target in OF_CODE]
    targets = Targets(NAMES, [*none, *OF_CODE], [*none, *acute])
    keras.utils.set_random_seed(2)
    size = FIRST_CODE + len(CODES)
    model = Pretrainer(backbone("tiny", size, size), targets, {"windows": {}})
    head = model.objectives[0].head
    draw = np.random.default_rng(0)
    head.set_weights([draw.normal(size=one.shape) for one in head.get_weights()])
    save_window_head(model, 70_000, str(folder))
    (folder / TARGETS_FILE).write_text(targets.to_json())
    return str(folder), model


def logits(model: Pretrainer, states: np.ndarray, days: int) -> np.ndarray:
    """What the window head says of each target, [N, K]."""
    return np.asarray(model.objectives[0].head(states))[:, HORIZONS.index(days)]


def states(model: Pretrainer) -> np.ndarray:
    width = model.backbone.width
    return np.random.default_rng(1).normal(size=(9, width)).astype(np.float32)


def test_the_score_is_the_window_heads_own(pretrained) -> None:
    folder, model = pretrained
    task = load_task("asthma_exacerbation")  # within 180 days, acute visits
    start = head_start(folder, task, CODES)
    assert start is not None and start.targets == ("asthma@acute",)
    assert start.members == 70_000
    given = states(model)
    kernel, bias = start.around(given)
    own = logits(model, given, 180)[:, NAMES.index("asthma@acute")]
    np.testing.assert_allclose(given @ kernel + bias, own - own.mean(), atol=1e-4)


def test_several_targets_are_their_rates_sum_to_first_order(pretrained) -> None:
    folder, model = pretrained
    codes = ["ICD10CM:J45[2-5][12]", "ICD10CM:J06", "ICD10CM:Z99"]
    start = head_start(folder, question({"codes": codes}, days=60), CODES)
    assert start is not None and start.targets == ("asthma", "cold")
    assert start.parts.tolist() == [0.5, 1.0]  # two of four codes; the only one
    middle = states(model).mean(axis=0)

    def of_any(state: np.ndarray) -> float:
        both = logits(model, state[None].astype(np.float32), 90)[0, :2]
        return float(np.log(np.exp(both.astype(float)) @ start.parts))

    kernel, bias = start.around(states(model))
    assert middle @ kernel + bias == pytest.approx(0, abs=1e-5)
    for axis in range(4):
        step = np.zeros(len(middle))
        step[axis] = 1e-2
        slope = (of_any(middle + step) - of_any(middle - step)) / 2e-2
        assert slope == pytest.approx(kernel[axis], rel=1e-2, abs=1e-3)


def question(outcome: dict, days: int = 30) -> Task:
    return Task.model_validate(
        {
            "name": "asked",
            "index": {"kind": "each_visit", "visit": {"visit_types": ["OP"]}},
            "outcome": outcome,
            "window_days": days,
        }
    )


@pytest.mark.parametrize(
    "outcome", [{"visit_types": ["IP"]}, {"codes": ["ICD10CM:F32"]}]
)
def test_nothing_is_known_of_other_outcomes(pretrained, outcome: dict) -> None:
    assert head_start(pretrained[0], question(outcome), CODES) is None


def test_windows_go_on_target_by_target(pretrained) -> None:
    """What a base knew of a target is known wherever that stands, and of no other."""
    folder, model = pretrained
    scores = WindowScores.load(folder)
    names = ["fracture", "cold", "asthma@acute"]
    nothing = [-1] * (FIRST_CODE + len(CODES))
    targets = Targets(names, nothing, nothing)
    grown = Pretrainer(model.backbone, targets, {"windows": {}})
    fresh = logits(grown, states(model), 30)
    assert scores is not None and scores.begin(grown, NAMES)
    known, now = (logits(one, states(model), 30) for one in (model, grown))
    at = [NAMES.index(name) for name in names[1:]]
    np.testing.assert_allclose(now[:, 1:], known[:, at], rtol=1e-5)
    assert not np.isclose(now[:, 0], fresh[:, 0]).any()  # by another projection
    other = Pretrainer(model.backbone, targets, {"windows": {"rank": 8}})
    assert not scores.begin(other, NAMES)


def test_a_run_without_windows_knows_nothing(pretrained, tmp_path: Path) -> None:
    _, model = pretrained
    other = Pretrainer(model.backbone, model.targets, {"next_visit": {}})
    save_window_head(other, 70_000, str(tmp_path))
    assert not list(tmp_path.iterdir())
    task = load_task("asthma_exacerbation")
    assert head_start(str(tmp_path), task, CODES) is None


@pytest.mark.parametrize("kept", [0, 20, 500])
def test_a_damaged_file_is_named(pretrained, tmp_path: Path, kept: int) -> None:
    whole = (Path(pretrained[0]) / WINDOW_HEAD_FILE).read_bytes()
    (tmp_path / WINDOW_HEAD_FILE).write_bytes(whole[:kept])
    with pytest.raises(ArtifactError, match=r"window_head\.npz is damaged .* again"):
        WindowScores.load(str(tmp_path))


@pytest.mark.parametrize("foreknown", [True, False])
@pytest.mark.parametrize("recipe", ["head", "labels", "adapt"])
def test_a_head_begins_there(recipe: str, foreknown: bool) -> None:
    """With one label of each kind the ranking is what was known before."""
    kernel = np.random.default_rng(3).normal(size=network().width).astype(np.float32)
    start = HeadStart(kernel[:, None], np.zeros(1), np.ones(1), ("asthma",), 1_000)
    few = np.zeros(2 * MEMBERS, bool)
    (rows,) = list(labelled())
    label = rows["label"].numpy()
    few[[np.argmax(label == 0), np.argmax(label == 1)]] = True
    config = FinetuneConfig(
        recipe=recipe, epochs=1, learning_rate=1e-7, foreknown=foreknown
    )
    *_, scorer = finetune(
        network(), labelled(), labelled(9), Question(30), config,
        labelled=few, start=start,
    )  # fmt: skip
    scored = scorer(labelled(5))
    alike = np.corrcoef(scored.state @ kernel, scored.logit)[0, 1]
    assert alike > 0.99 if foreknown else abs(alike) < 0.99


def test_adaptation_treads_softly_only_where_pretraining_read_many() -> None:
    """Adam's steps are as long as its rate."""
    kernel = np.full(network().width, 0.01, np.float32)
    config = FinetuneConfig(recipe="adapt", batch_size=1, patience=4)
    before = np.copy(flat(network()))
    moved = []
    for read in (0, MANY * MEMBERS - 1, MANY * MEMBERS):
        start = HeadStart(kernel[:, None], np.zeros(1), np.ones(1), ("asthma",), read)
        model = network()
        finetune(model, labelled(), labelled(9), Question(30), config, start=start)
        moved.append(np.abs(flat(model) - before).mean())
    assert moved[0] == moved[1]
    assert 0 < moved[2] < moved[0] / 2


def flat(model: keras.Model) -> np.ndarray:
    return np.concatenate([one.ravel() for one in model.get_weights()])
