"""Each objective's loss against plain loops over dense labels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
import numpy as np
import pytest
from keras import ops

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.backbone import ClaimBackbone
from claimpt_tf.models.presets import backbone
from claimpt_tf.training.objectives import (
    OBJECTIVES,
    Objective,
    View,
    make_objectives,
)
from claimpt_tf.training.occurrences import NEVER, occurrences
from claimpt_tf.training.outcome_windows import days_until_targets
from claimpt_tf.training.outcome_windows import hazard_loss as hazard_loss_of_one
from claimpt_tf.training.pretrainer import Pretrainer
from claimpt_tf.training.recall import RecallAt
from claimpt_tf.training.targets import Targets
from tests.models.batch import CODES, STEMS, batch

B, V, C, Q, WIDTH = 5, 7, 4, 3, 8
HIDDEN_SHARE = 0.3


@pytest.fixture(scope="module")
def targets() -> Targets:
    """Six categories, two of them in acute care too; some codes count for nothing."""
    draw = np.random.default_rng(3)
    anywhere = np.where(np.arange(CODES) < 3, -1, draw.integers(-1, 6, CODES))
    anywhere[-6:] = np.arange(6)
    acute = np.where((anywhere >= 0) & (anywhere < 2), anywhere + 6, -1)
    names = [f"C{n}" for n in range(6)] + ["C0@acute", "C1@acute"]
    return Targets(names, anywhere.tolist(), acute.tolist())


@pytest.fixture(scope="module")
def network() -> ClaimBackbone:
    return ClaimBackbone(CODES, STEMS, width=WIDTH, layers=1, heads=2)


@pytest.fixture(scope="module")
def view(targets: Targets) -> View:
    """Random states of random timelines: several visits a day, padding, censoring."""
    draw = np.random.default_rng(5)
    inputs = batch(B, V, C, Q, seed=7)
    # Few distinct days, so that visits share them.
    inputs["visit_day"] = np.sort(draw.integers(0, 40, (B, V)) * 10, 1).astype("int32")
    inputs["query_day"] = np.sort(draw.integers(0, 420, (B, Q)), 1).astype("int32")
    inputs["observed_to"] = draw.integers(200, 600, B).astype("int32")
    inputs["code_ids"][draw.random((B, V, C)) < 0.2] = 0
    inputs["visit_type"][0, 4:] = inputs["visit_type"][1, 6:] = 0
    categories = np.asarray(targets.anywhere, np.int32)[inputs["code_ids"]]
    acute = np.asarray(targets.acute, np.int32)[inputs["code_ids"]]
    acute = np.where(np.isin(inputs["visit_type"], (1, 2))[..., None], acute, -1)
    place = np.where(inputs["visit_type"] > 0, np.arange(V, dtype="int32"), -1)
    return View(
        inputs,
        ops.convert_to_tensor(draw.normal(size=(B, Q, WIDTH)).astype("float32")),
        ops.convert_to_tensor(draw.normal(size=(B, V, WIDTH)).astype("float32")),
        ops.convert_to_tensor(place),
        occurrences(
            ops.convert_to_tensor(inputs["visit_day"]),
            ops.convert_to_tensor(inputs["visit_type"]),
            ops.convert_to_tensor(np.concatenate([categories, acute], 2)),
        ),
        ops.convert_to_tensor(categories),
        ops.convert_to_tensor(
            (draw.random((B, V, C)) < HIDDEN_SHARE) & (inputs["code_ids"] != 0)
        ),
    )


def ready(name: str, targets: Targets, network: ClaimBackbone, **options) -> Objective:
    keras.utils.set_random_seed(11)
    (objective,) = make_objectives({name: options}, targets)
    objective.prepare(network)
    for weight in objective.head.weights:
        if "bias" in weight.path:
            weight.assign(keras.random.normal(weight.shape, stddev=0.5))
    return objective


def as_numpy(value) -> np.ndarray:
    return ops.convert_to_numpy(value)


def entropy(logit: float, came: bool) -> float:
    p = 1 / (1 + np.exp(-float(logit)))
    return -np.log(p if came else 1 - p)


def coded(view: View, targets: Targets) -> Iterator[tuple[int, int, int]]:
    """(patient, day, target) of each code of each real visit, acute ones too."""
    inputs = view.inputs
    for b, v, c in np.ndindex(B, V, C):
        if inputs["visit_type"][b, v] == 0:
            continue
        code, day = inputs["code_ids"][b, v, c], inputs["visit_day"][b, v]
        yield b, day, targets.anywhere[code]
        if inputs["visit_type"][b, v] in (1, 2):
            yield b, day, targets.acute[code]


def test_windows_against_a_loop(view, targets, network) -> None:
    objective = ready("windows", targets, network, horizons=(30, 90, 180))
    logits = as_numpy(objective.head(view.state))
    total = rows = 0.0
    for b, q, (h, length) in (
        (b, q, window)
        for b, q in np.ndindex(B, Q)
        for window in enumerate((30, 90, 180))
    ):
        asked = view.inputs["query_day"][b, q]
        if view.inputs["observed_to"][b] - asked < length:
            continue
        came = {
            target
            for patient, day, target in coded(view, targets)
            if patient == b and asked < day <= asked + length
        }
        rows += 1
        total += sum(entropy(logits[b, q, h, k], k in came) for k in range(8))
    assert 0 < rows < B * Q * 3
    got = float(objective.loss(view, evaluating=False))
    np.testing.assert_allclose(got, total / rows / 8, rtol=1e-5)


@pytest.mark.parametrize("positions", ["last", "every"])
def test_next_visit_against_a_loop(view, targets, network, positions) -> None:
    objective = ready("next_visit", targets, network, positions=positions)
    inputs = view.inputs
    asked = [
        (b, inputs["query_day"][b, q], view.state[b, q]) for b, q in np.ndindex(B, Q)
    ]
    if positions == "every":
        asked += [
            (
                b,
                inputs["visit_day"][b, v] + inputs["visit_length"][b, v],
                view.visits[b, v],
            )
            for b, v in np.ndindex(B, V)
            if inputs["visit_type"][b, v]
        ]
    total = rows = 0.0
    for b, day, state in asked:
        real = inputs["visit_type"][b] > 0
        later = [d for d in inputs["visit_day"][b][real] if d > day]
        if not later:
            continue
        came = {t for p, d, t in coded(view, targets) if p == b and d == min(later)}
        logits = as_numpy(objective.head(state[None]))[0]
        rows += 1
        total += sum(entropy(logits[k], k in came) for k in range(6))
    assert 0 < rows < len(asked)
    got = float(objective.loss(view, evaluating=False))
    np.testing.assert_allclose(got, total / rows / 6, rtol=1e-5)


@pytest.mark.parametrize("masked", [0.0, HIDDEN_SHARE])
def test_category_of_visit_against_a_loop(view, targets, network, masked) -> None:
    objective = ready("category", targets, network, masked=masked)
    logits, hidden = as_numpy(objective.head(view.visits)), as_numpy(view.hidden)
    categories = as_numpy(view.categories)
    total = rows = 0.0
    for b, v in np.ndindex(B, V):
        if view.inputs["visit_type"][b, v] == 0:
            continue
        if masked:
            told = set(categories[b, v][hidden[b, v]]) - {-1}
            shown = set(categories[b, v][~hidden[b, v]]) - {-1}
            if not told:
                continue
        else:
            told, shown = set(categories[b, v]) - {-1}, set()
        rows += 1
        total += sum(
            entropy(logits[b, v, k], k in told) for k in range(6) if k not in shown
        )
    assert 0 < rows < B * V
    got = float(objective.loss(view, evaluating=False))
    np.testing.assert_allclose(got, total / rows / 6, rtol=1e-5)


def test_time_to_event_against_a_loop(view, targets, network) -> None:
    pieces, year = (0, 20, 100), 365.25
    objective = ready("time_to_event", targets, network, pieces=pieces, most=5)
    logits = as_numpy(objective.head(view.state)).astype(float)
    total = rows = events = 0.0
    for b, q in np.ndindex(B, Q):
        asked = view.inputs["query_day"][b, q]
        followed = view.inputs["observed_to"][b] - asked
        if followed <= 0:
            continue
        rows += 1
        for k in range(5):
            ahead = [
                d - asked
                for p, d, t in coded(view, targets)
                if p == b and t == k and d > asked
            ]
            time = min([followed, *ahead])
            for n, start in enumerate(pieces):
                end = (*pieces, np.inf)[n + 1]
                at_risk = np.clip(time - start, 0, end - start)
                total += np.exp(logits[b, q, n, k]) * at_risk / year
                if ahead and min(ahead) <= followed and start < min(ahead) <= end:
                    total -= logits[b, q, n, k]
                    events += 1
    assert events > 5
    got = float(objective.loss(view, evaluating=False))
    np.testing.assert_allclose(got, total / rows / 5, rtol=1e-5)


def test_constant_hazard_is_events_over_exposure(targets, network) -> None:
    """The closed form: the loss is flat at the maximum-likelihood rate."""
    objective = ready("time_to_event", targets, network, pieces=(0,), most=1)
    events, exposure = 3, (40 + 70 + 10 + 100) / 365.25
    for weight in objective.head.project.weights:
        weight.assign(ops.zeros_like(weight))
    objective.head.bias.assign([[np.log(events / exposure)]])
    code = targets.anywhere.index(0)
    day = np.array([[40], [70], [10], [900]], "int32")
    inputs = {
        "visit_day": day,
        "visit_type": np.full((4, 1), 3, "int32"),
        "query_day": np.zeros((4, 1), "int32"),
        "observed_to": np.full(4, 100, "int32"),
    }
    categories = np.full((4, 1, 1), targets.anywhere[code], "int32")
    known = occurrences(
        *(ops.convert_to_tensor(x) for x in (day, inputs["visit_type"], categories))
    )
    state = ops.ones((4, 1, WIDTH))
    view = View(inputs, state, state, np.zeros((4, 1), "int32"), known, categories)

    def loss(log_rate: float) -> float:
        objective.head.bias.assign([[log_rate]])
        return float(objective.loss(view, evaluating=False))

    best = np.log(events / exposure)
    np.testing.assert_allclose(4 * loss(best), events * (1 - best), rtol=1e-5)
    assert loss(best) < min(loss(best - 0.1), loss(best + 0.1))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_those_of_finite_differences(
    name, view, targets, network
) -> None:
    """The losses bring their own derivatives, so those are measured."""
    objective = ready(name, targets, network)
    rng = np.random.default_rng(0)
    for weight in objective.head.trainable_weights:
        value = as_numpy(weight)
        direction = rng.normal(size=value.shape)
        direction /= np.linalg.norm(direction)

        def at(step: float, weight=weight, value=value, way=direction) -> float:
            weight.assign(value + step * way)
            return float(objective.loss(view, evaluating=False))

        measured = (at(2e-2) - at(-2e-2)) / 4e-2
        weight.assign(value)
        slope = gradient_of(objective, view, weight)
        np.testing.assert_allclose(
            np.sum(slope * direction), measured, rtol=0.02, atol=2e-4
        )


def gradient_of(objective: Objective, view: View, weight) -> np.ndarray:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = objective.loss(view, evaluating=False)
    return tape.gradient(loss, weight.value).numpy()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_nothing_to_judge_costs_nothing(name, view, targets, network) -> None:
    inputs = {**view.inputs, "visit_type": np.zeros((B, V), "int32")}
    inputs["observed_to"] = np.zeros(B, "int32")
    nothing = ops.full_like(view.occurrences.target, -1)
    known = type(view.occurrences)(nothing, view.occurrences.day, nothing)
    empty = View(
        inputs, view.state, view.visits, ops.full_like(view.visit_place, -1), known,
        view.categories, view.hidden,
    )  # fmt: skip
    assert float(ready(name, targets, network).loss(empty, evaluating=True)) == 0.0


def test_recall_counts_at_most_k_a_row() -> None:
    logits = np.array([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]], "float32")
    recall = RecallAt((1, 2), prefix="")
    row, column = np.array([0, 0, 1], "int32"), np.array([0, 2, 0], "int32")
    recall.update(
        logits, np.eye(4, dtype="float32"), np.zeros(4, "float32"), row, column
    )
    assert [float(m.result()) for m in recall.metrics] == [0.5, pytest.approx(1 / 3)]


def test_days_until_targets_against_a_loop() -> None:
    draw = np.random.default_rng(0)
    patients, visits, codes, dates, kinds = 5, 7, 3, 4, 6
    day = np.sort(draw.integers(0, 100, (patients, visits)), axis=1)
    kind = draw.integers(0, 3, (patients, visits))
    of_code = draw.integers(-1, kinds, (patients, visits, codes))
    asked = draw.integers(0, 100, (patients, dates))
    got = np.asarray(
        days_until_targets(
            *(a.astype("int32") for a in (day, kind, of_code, asked)), kinds
        )
    )
    want = np.full((patients, dates, kinds), NEVER)
    for b in range(patients):
        for q in range(dates):
            for v in range(visits):
                ahead = day[b, v] - asked[b, q]
                for target in of_code[b, v]:
                    if kind[b, v] and ahead > 0 and target >= 0:
                        want[b, q, target] = min(want[b, q, target], ahead)
    np.testing.assert_array_equal(got, want)


def test_hazard_of_an_outcome_against_a_loop() -> None:
    draw = np.random.default_rng(1)
    edges = (0, 30, 90, 150)
    log_rate = draw.normal(size=(4, 6, 3)).astype("float32")
    days = draw.integers(1, 300, (4, 6)).astype("int32")
    observed = draw.integers(-20, 250, (4, 6)).astype("int32")
    total = count = 0.0
    for b in range(4):
        for q in range(6):
            count += observed[b, q] > 0
            for day in range(1, max(observed[b, q], 0) + 1):
                piece = next((n for n in range(3) if day <= edges[n + 1]), None)
                if piece is None or day > days[b, q]:
                    break
                total += math.exp(log_rate[b, q, piece]) / 365.25
                total -= log_rate[b, q, piece] * (day == days[b, q])
    got = float(hazard_loss_of_one(log_rate, days, observed, edges))
    np.testing.assert_allclose(got, total / count, rtol=1e-5)


def test_hazard_without_a_watched_date_is_zero() -> None:
    nothing = np.zeros((1, 1), "int32")
    rate = np.ones((1, 1, 1), "float32")
    assert float(hazard_loss_of_one(rate, nothing + 1, nothing, (0, 30))) == 0.0


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"windoes": 1.0}, "no objective 'windoes'; choose of windows, next_visit, "),
        ({"category": {"mask": 0.1}}, "objective category cannot be made of .*mask"),
        ({"category": {"masked": 1.0}}, r"masked must be in \[0, 1\), not 1.0"),
        ({"next_visit": {"positions": "all"}}, "last or every, not 'all'"),
        ({"time_to_event": {"pieces": [30, 90]}}, r"ascend from day 0, not \[30, 90\]"),
    ],
)
def test_a_wrong_mix_is_named(mix, message, targets) -> None:
    with pytest.raises(ArtifactError, match=message):
        make_objectives(mix, targets)


def test_every_position_needs_a_causal_backbone(targets) -> None:
    with pytest.raises(ArtifactError, match="PaperBackbone reads later visits"):
        Pretrainer(backbone("paper", CODES, STEMS), targets, {"next_visit": 1.0})


MIX = {
    "windows": {"weight": 0.5, "rank": 8},
    "next_visit": {"rank": 8},
    "category": {"rank": 8},
    "time_to_event": {"weight": 2.0, "rank": 8},
}


@pytest.fixture(scope="module")
def mixed(targets, network) -> Pretrainer:
    keras.utils.set_random_seed(2)
    model = Pretrainer(network, targets, MIX)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    return model


def mixed_batch(view: View) -> dict[str, np.ndarray]:
    return dict(view.inputs)


@pytest.mark.slow
def test_a_mix_trains_and_logs_each_objective(mixed, view) -> None:
    history = mixed.fit(
        mixed_batch(view), batch_size=B, epochs=12, verbose=0, shuffle=False
    ).history
    assert set(history) == {"loss", *(f"{name}_loss" for name in MIX)}
    assert history["loss"][-1] < history["loss"][0]
    logs = mixed.evaluate(mixed_batch(view), batch_size=B, verbose=0, return_dict=True)
    weights = {"windows": 0.5, "next_visit": 1, "category": 1, "time_to_event": 2}
    whole = sum(weight * logs[f"{name}_loss"] for name, weight in weights.items())
    np.testing.assert_allclose(logs["loss"], whole, rtol=1e-5)
    assert {"recall_at_10", *(f"next_visit_recall_at_{k}" for k in (5, 10, 30))} < set(
        logs
    )
    again = mixed.evaluate(mixed_batch(view), batch_size=B, verbose=0, return_dict=True)
    assert logs == again


def test_pretrainer_survives_saving(mixed, view, tmp_path) -> None:
    mixed.save(tmp_path / "pretrainer.keras")
    again = keras.saving.load_model(tmp_path / "pretrainer.keras")
    for name, value in mixed(mixed_batch(view)).items():
        np.testing.assert_array_equal(
            as_numpy(again(mixed_batch(view))[name]), as_numpy(value), err_msg=name
        )
    heads = [
        [as_numpy(o.head.vectors) for o in model.objectives] for model in (mixed, again)
    ]
    for before, after in zip(*heads, strict=True):
        np.testing.assert_array_equal(before, after)
    assert again.get_config() == mixed.get_config()
