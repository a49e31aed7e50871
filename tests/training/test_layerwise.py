"""The numbers that a per-layer AdamW must keep."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from claimpt_tf.training.layerwise import (
    Group,
    GroupRates,
    LayerwiseAdamW,
    discriminative_groups,
)
from claimpt_tf.training.schedules import SlantedTriangle

LAYERS = ("bottom", "middle", "top")
SETTINGS = {"learning_rate": 0.05, "weight_decay": 0.1}
EQUAL = [Group(name) for name in LAYERS]


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    inner = [keras.layers.Dense(4, "tanh", name=name) for name in LAYERS[:2]]
    return keras.Sequential(
        [keras.Input((6,)), *inner, keras.layers.Dense(1, name=LAYERS[2])]
    )


def gradients(steps: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    shapes = [tuple(v.shape) for v in network().trainable_variables]
    return [
        [rng.normal(size=s).astype("float32") for s in shapes] for _ in range(steps)
    ]


def walk(
    optimizer: Any,
    steps: Sequence[list[np.ndarray]] = tuple(gradients(6)),
    model: keras.Model | None = None,
    scale: float = 1.0,
) -> list[np.ndarray]:
    """Weights after gradients that do not depend on them."""
    model = model or network()
    variables = model.trainable_variables
    for grads in steps:
        optimizer.apply([tf.constant(g * scale) for g in grads], variables)
    optimizer.finalize_variable_values(variables)
    return [v.numpy() for v in variables]


def assert_close(got: Sequence[Any], want: Sequence[Any]) -> None:
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "more",
    [
        {"global_clipnorm": 0.5},
        {"gradient_accumulation_steps": 2, "clipnorm": 0.5, "use_ema": True},
        {
            "learning_rate": SlantedTriangle(0.05, 6),
            "loss_scale_factor": 4.0,
            "amsgrad": True,
            "use_ema": True,
            "ema_overwrite_frequency": 3,
        },
    ],
    ids=lambda more: "+".join(more),
)
def test_equals_adamw_when_all_factors_are_one(more: dict[str, Any]) -> None:
    plain = walk(keras.optimizers.AdamW(**{**SETTINGS, **more}))
    ours = walk(LayerwiseAdamW(EQUAL, **{**SETTINGS, **more}))
    assert_close(ours, plain)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_equals_separate_optimizers(accumulated: int) -> None:
    """Factor, own schedule, own decay, a later start; clipped by what is trained."""
    steps, begin, clip = gradients(8), 4, 1.5
    schedule = SlantedTriangle(0.3, 4)
    groups = [
        Group("bottom", learning_rate=schedule, weight_decay=0.0, start=begin),
        Group("middle", factor=0.2),
        Group("top", learning_rate=0.01, weight_decay=0.5),
    ]
    more = {"gradient_accumulation_steps": accumulated} if accumulated > 1 else {}
    ours = walk(LayerwiseAdamW(groups, global_clipnorm=clip, **SETTINGS, **more), steps)
    # Adam's schedules see the last batch of each accumulated update.
    late = [float(schedule(n)) for n in range(accumulated - 1, 4, accumulated)]
    bottom = keras.optimizers.AdamW(0.0, weight_decay=0.0)
    middle = keras.optimizers.AdamW(0.05 * 0.2, weight_decay=0.1)
    top = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    model = network()
    parts = [model.get_layer(name).trainable_variables for name in LAYERS]
    for update in range(8 // accumulated):
        window = steps[update * accumulated : (update + 1) * accumulated]
        mean = [np.mean(grads, axis=0) for grads in zip(*window, strict=True)]
        first = 0 if update * accumulated >= begin else 2
        norm = np.sqrt(sum((g**2).sum() for g in mean[first:]))
        assert norm > clip
        mean = [g * clip / norm for g in mean]
        if first == 0:
            bottom.learning_rate = late.pop(0)
            bottom.apply(mean[:2], parts[0])
        middle.apply(mean[2:4], parts[1])
        top.apply(mean[4:], parts[2])
    assert not late
    assert_close(ours, [v.numpy() for v in model.trainable_variables])


def test_a_frozen_group_is_as_if_it_were_not_there() -> None:
    """Its gradient, even one that is not finite, moves nothing and clips nothing."""
    steps = gradients(6)
    for grads in steps:
        grads[0][:] = np.nan
    more = {**SETTINGS, "global_clipnorm": 0.5, "use_ema": True}
    groups = [Group("bottom", factor=0.0), Group("")]
    ours = walk(LayerwiseAdamW(groups, **more), steps)
    model = network()
    model.get_layer("bottom").trainable = False
    plain = walk(keras.optimizers.AdamW(**more), [g[2:] for g in steps], model)
    np.testing.assert_array_equal(ours[0], network().get_weights()[0])
    assert_close(ours[2:], plain)
    later = [Group("bottom", start=6), Group("")]
    assert_close(walk(LayerwiseAdamW(later, **more), steps), ours)


def test_loss_scaling_changes_nothing_and_leaves_out_what_overflows() -> None:
    groups = [Group("bottom", factor=0.5, start=3), Group("", weight_decay=0.2)]
    more = {**SETTINGS, "global_clipnorm": 0.5}
    steps = gradients(6)
    want = walk(LayerwiseAdamW(groups, **more), steps)
    scaled = keras.optimizers.LossScaleOptimizer(
        LayerwiseAdamW(groups, **more), initial_scale=64.0
    )
    model = network()
    walk(scaled, steps[:3], model, scale=64.0)
    broken = [np.full_like(g, np.inf) for g in steps[0]]
    walk(scaled, [broken], model)
    assert int(scaled.iterations) == 3
    assert_close(walk(scaled, steps[3:], model, scale=32.0), want)


def test_repeated_rows_of_a_sparse_gradient_are_added_up() -> None:
    values, rows = np.float32([[1, 2], [3, 4], [5, 6]]), [1, 0, 1]
    dense = np.float32([[3, 4], [6, 8], [0, 0]])
    results = []
    for gradient in (tf.IndexedSlices(values, rows, [3, 2]), tf.constant(dense)):
        table = keras.layers.Embedding(3, 2, embeddings_initializer="ones")
        table.build((None,))
        optimizer = LayerwiseAdamW([["", 1.0]], global_clipnorm=2.0, **SETTINGS)
        for _ in range(3):
            optimizer.apply([gradient], table.trainable_variables)
        results.append([v.numpy() for v in optimizer.variables[2:]])
    assert_close(*results)


GRADUAL = [
    Group("bottom", factor=0.25, start=6, learning_rate=SlantedTriangle(0.1, 6)),
    Group("middle", factor=0.5, start=3, weight_decay=0.3),
    Group("top"),
]


def gradual() -> LayerwiseAdamW:
    return LayerwiseAdamW(
        GRADUAL, learning_rate=SlantedTriangle(0.05, 12), global_clipnorm=0.5,
        weight_decay=0.1, use_ema=True,
    )  # fmt: skip


def test_a_saved_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """In graphs too: gradual unfreezing is looked up at each step."""
    x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    y = x[:, :1]

    def train(model: keras.Model, steps: int) -> list[list[np.ndarray]]:
        seen = []
        for _ in range(steps):
            model.train_on_batch(x, y)
            seen.append(model.get_weights())
        return seen

    whole = network()
    whole.compile(gradual(), "mse", jit_compile=False)
    first, path = whole.get_weights(), str(tmp_path / "model.keras")
    before = train(whole, 4)
    whole.save(path)
    want = train(whole, 4)
    moved = [
        [not np.array_equal(a[n], b[n]) for n in (0, 2, 4)]
        for a, b in zip([first, *before, *want], [*before, *want], strict=False)
    ]
    assert moved == [[False, False, True]] * 3 + [[False, True, True]] * 3 + (
        [[True, True, True]] * 2
    )
    again = keras.saving.load_model(path)
    assert again.optimizer.groups[1:] == whole.optimizer.groups[1:]
    for a, b in zip(train(again, 4), want, strict=True):
        assert_close(a, b)


def test_restored_variables_give_the_same_path() -> None:
    steps, model, optimizer = gradients(9), network(), gradual()
    want = walk(gradual(), steps)
    for grads in steps[:5]:
        optimizer.apply(grads, model.trainable_variables)
    twin, resumed = network(), gradual()
    twin.set_weights(model.get_weights())
    resumed.build(twin.trainable_variables)
    for new, old in zip(resumed.variables, optimizer.variables, strict=True):
        new.assign(old)
    assert_close(walk(resumed, steps[5:], twin), want)


def test_survives_serialisation() -> None:
    for ours in (gradual(), keras.optimizers.LossScaleOptimizer(gradual())):
        again = keras.optimizers.deserialize(keras.optimizers.serialize(ours))
        assert keras.optimizers.serialize(again) == keras.optimizers.serialize(ours)
    assert again.inner_optimizer.groups[0].learning_rate.peak == 0.1


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["bottom", 1.0], ["middle", 1.0]], "variable .*top.* matches no group"),
        ([["side", 1.0], ["", 1.0]], r"no variable matches \['side'\]"),
        ([["", 1.0], ["top", 1.0]], "an earlier group took all"),
        ([["", 0.0]], "nothing to train"),
        ([["top", 1.0], ["top", 0.5]], "more than one group is named top"),
        ([["to(p", 1.0]], "no pattern"),
        ([["top", -1.0]], "numbers from 0"),
        ([{"pattern": "top", "learning_rate": "fast"}], "numbers from 0"),
    ],
)
def test_groups_that_cannot_be_are_an_error(groups: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayerwiseAdamW(groups).build(network().trainable_variables)


def test_slanted_triangle_is_equation_3() -> None:
    steps, peak, rise, ratio = 200, 0.01, 0.1, 32
    cut = int(steps * rise)

    def published(t: int) -> float:
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / rise - 1))
        return peak * (1 + p * (ratio - 1)) / ratio

    schedule = SlantedTriangle(peak, steps)
    got = [float(schedule(t)) for t in range(steps + 1)]
    np.testing.assert_allclose(got, [published(t) for t in range(steps + 1)], rtol=1e-5)
    short = [float(SlantedTriangle(peak, 19)(t)) for t in range(40)]
    assert min(short) >= peak / ratio * 0.999
    with pytest.raises(ValueError, match="rise"):
        SlantedTriangle(peak, 10, rise=1.0)


@pytest.mark.parametrize("preset", ["tiny", "paper"])
def test_every_backbone_falls_into_layers(preset: str) -> None:
    # Not at the top: the process with two replicas would wait for keras-hub.
    from claimpt_tf.models.presets import PRESETS
    from claimpt_tf.models.risk_model import risk_model

    sizes = {"codes": 9, "width": 8, "layers": 2, "heads": 2}
    kind = PRESETS[preset]
    backbone = kind(**sizes, **({} if preset == "paper" else {"stems": 5}))
    variables = risk_model(backbone).trainable_variables

    def factors(groups: list[Group]) -> dict[str, float]:
        optimizer = LayerwiseAdamW(groups)
        optimizer.build(variables)
        return {v.path: optimizer.group_of(v).factor for v in variables}

    ulmfit = factors(discriminative_groups(backbone))
    assert ulmfit == factors(discriminative_groups(backbone.layer_count))
    rungs = {"block_1": 1, "block_0": 2, "visit_embedding": 3, "risk_head": 0}
    for name, depth in rungs.items():
        found = {f for path, f in ulmfit.items() if f"{name}/" in path}
        assert list(found) == [pytest.approx(2.6**-depth)]
    probe = factors(discriminative_groups(backbone, 1.0, "probe"))
    assert {path for path, f in probe.items() if f} == {
        path for path in probe if "risk_head/" in path
    }
    freeze = factors(discriminative_groups(backbone, 1.0, "freeze"))
    kept = {path for path, f in freeze.items() if f == 0}
    assert any("visit_embedding/" in path for path in kept)
    assert not any("block_" in path or "risk_head" in path for path in kept)
    starts = {
        g.name: g.start for g in discriminative_groups(backbone, unfreeze_every=7)
    }
    assert starts == {"head": 0, "block_1": 7, "block_0": 14, "embeddings": 21}


def test_rates_of_groups_reach_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = network()
    model.compile(
        LayerwiseAdamW(
            [Group("bottom", factor=0.5, start=4), Group("", name="rest")],
            learning_rate=0.25,
        ),
        "mse",
        run_eagerly=True,
    )
    x = np.zeros((6, 6), "float32")
    model.fit(
        x, x[:, :1], batch_size=2, epochs=2, verbose=0,
        callbacks=[GroupRates(str(tmp_path), every=2)],
    )  # fmt: skip
    events = EventAccumulator(str(tmp_path / "train"), {"tensors": 0}).Reload()
    rates = {
        name: [
            (e.step, float(tf.make_ndarray(e.tensor_proto)))
            for e in events.Tensors(f"learning_rate/{name}")
        ]
        for name in ("bottom", "rest")
    }
    assert rates["bottom"] == [
        (1, 0.0), (3, 0.0), (3, 0.0), (4, 0.125), (6, 0.125), (6, 0.125)
    ]  # fmt: skip
    assert {rate for _, rate in rates["rest"]} == {0.25}


REPLICAS = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from tests.training import test_layerwise as here
strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
steps = here.gradients(7)
half = [[g * 0.5 for g in grads] for grads in steps]
want = here.walk(here.gradual(), steps)
for wrap in (lambda inner: inner, keras.optimizers.LossScaleOptimizer):
    with strategy.scope():
        model, optimizer = here.network(), wrap(here.gradual())
        optimizer.build(model.trainable_variables)
        scale = float(optimizer.scale_loss(tf.constant(1.0)))

    @tf.function
    def step(grads):
        def of_replica(*grads):
            # Replicas differ, and add up to the gradient.
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            share = tf.where(number == 0, 3.0, -1.0) * scale
            optimizer.apply([g * share for g in grads], model.trainable_variables)

        strategy.run(of_replica, args=grads)

    for grads in half:
        step(tuple(map(tf.constant, grads)))
    with strategy.scope():
        optimizer.finalize_variable_values(model.trainable_variables)
    for variable, value in zip(model.trainable_variables, want):
        for replica in strategy.experimental_local_results(variable.value):
            np.testing.assert_allclose(replica, value, rtol=2e-5, atol=2e-6)
with strategy.scope():
    many = here.LayerwiseAdamW([["", 1.0]], gradient_accumulation_steps=2)
    try:
        many.build(model.trainable_variables)
    except ValueError as error:
        assert "2 replicas" in str(error)
        print("replicas agree")
"""


@pytest.mark.slow
def test_two_replicas_do_what_one_does() -> None:
    """In a process of its own: devices are split before TensorFlow starts."""
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "replicas agree" in done.stdout, done.stderr[-3000:]
