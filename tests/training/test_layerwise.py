"""The numbers that a per-layer AdamW must keep."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from claimpt_tf.training.layerwise import LayerwiseAdamW, discriminative_groups


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, "tanh", name="bottom"),
            keras.layers.Dense(1, name="top"),
        ]
    )


def train(optimizer: keras.optimizers.Optimizer, steps: int = 12) -> list[np.ndarray]:
    model = network()
    x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    model.compile(optimizer, "mse")
    model.fit(x, x[:, :1], epochs=steps, batch_size=32, verbose=0, shuffle=False)
    return model.get_weights()


SETTINGS = {"learning_rate": 0.05, "weight_decay": 0.1, "global_clipnorm": 0.5}


def test_equals_adamw_when_all_factors_are_one() -> None:
    plain = train(keras.optimizers.AdamW(**SETTINGS))
    ours = train(LayerwiseAdamW([["bottom", 1.0], ["top", 1.0]], **SETTINGS))
    for a, b in zip(plain, ours, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_factor_scales_step_and_decay() -> None:
    """One step of a group equals AdamW's at the scaled rate."""
    settings = {"weight_decay": 0.1}
    slow = train(keras.optimizers.AdamW(learning_rate=0.01, **settings), steps=1)
    fast = train(keras.optimizers.AdamW(learning_rate=0.05, **settings), steps=1)
    groups = [["bottom", 0.2], ["top", 1.0]]
    ours = train(LayerwiseAdamW(groups, learning_rate=0.05, **settings), steps=1)
    for got, want in zip(ours, slow[:2] + fast[2:], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_factor_zero_freezes() -> None:
    before = network().get_weights()
    after = train(LayerwiseAdamW([["bottom", 0.0], ["", 1.0]], **SETTINGS))
    np.testing.assert_array_equal(before[0], after[0])
    assert np.abs(before[2] - after[2]).max() > 1e-3


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["bottom", 1.0]], "variable .*top.* matches no group"),
        ([["middle", 1.0], ["", 1.0]], r"no variable matches \['middle'\]"),
    ],
)
def test_unmatched_is_an_error(groups: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayerwiseAdamW(groups).build(network().trainable_variables)


def test_survives_serialisation() -> None:
    ours = LayerwiseAdamW([["bottom", 0.5], ["", 1.0]], **SETTINGS)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(ours))
    assert again.groups == ours.groups


def test_discriminative_rates_fall_from_the_head_down() -> None:
    factors = dict(discriminative_groups(2, 0.5))
    assert factors[""] == 1.0
    assert factors["(^|/)block_1/"] == 0.5
    assert factors["(^|/)block_0/"] == 0.25
    assert factors["(^|/)(visit_embedding|index_token)/"] == 0.125
