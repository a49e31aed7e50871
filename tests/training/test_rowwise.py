"""Lazy rows against a plain loop, dense matrices against Keras' AdamW."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from claimpt_tf.training.rowwise import RowwiseAdamW

SETTINGS = {"learning_rate": 0.05, "weight_decay": 0.1, "global_clipnorm": 0.5}


def gradients(step: int) -> list[np.ndarray]:
    draw = np.random.default_rng(step)
    return [draw.normal(size=shape).astype("float32") for shape in ((6, 5), (5,))]


def test_dense_gradients_move_as_adamw_does() -> None:
    moved = []
    for kind in (keras.optimizers.AdamW, RowwiseAdamW):
        variables = [keras.Variable(np.ones((6, 5))), keras.Variable(np.ones(5))]
        optimizer = kind(**SETTINGS)
        optimizer.exclude_from_weight_decay(var_list=variables[1:])
        for step in range(12):
            optimizer.apply([tf.constant(g) for g in gradients(step)], variables)
        moved.append([variable.numpy() for variable in variables])
    for a, b in zip(*moved, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_rows_move_as_lazy_adam_in_a_loop() -> None:
    """Row 2 is read twice in a batch, row 5 in every other one, row 0 never."""
    optimizer = RowwiseAdamW(**SETTINGS)
    table = keras.Variable(np.full((6, 3), 2.0))
    want = np.full((6, 3), 2.0)
    m, v = np.zeros((6, 3)), np.zeros((6, 3))
    for step in range(8):
        rows = [2, 4, 2] if step % 2 else [2, 5]
        values = np.random.default_rng(step).normal(size=(len(rows), 3))
        optimizer.apply(
            [tf.IndexedSlices(tf.constant(values, tf.float32), rows, [6, 3])], [table]
        )
        total = np.zeros((6, 3))
        np.add.at(total, rows, values)
        total *= min(1, 0.5 / np.sqrt((total**2).sum()))
        t = step + 1
        for row in set(rows):
            m[row] = 0.9 * m[row] + 0.1 * total[row]
            v[row] = 0.999 * v[row] + 0.001 * total[row] ** 2
            want[row] *= 1 - 0.05 * 0.1
            unbiased = m[row] / (1 - 0.9**t), np.sqrt(v[row] / (1 - 0.999**t))
            want[row] -= 0.05 * unbiased[0] / (unbiased[1] + 1e-7)
    np.testing.assert_allclose(table.numpy(), want, rtol=1e-4)
    np.testing.assert_array_equal(table.numpy()[[0, 1, 3]], 2.0)


def test_an_embedding_gives_sparse_gradients_that_it_takes() -> None:
    layer = keras.layers.Embedding(50, 4)
    layer.build()
    before = layer.embeddings.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant([[3, 7, 3]])) ** 2)
    gradient = tape.gradient(loss, layer.trainable_variables)
    assert isinstance(gradient[0], tf.IndexedSlices)
    RowwiseAdamW(learning_rate=0.1).apply(gradient, layer.trainable_variables)
    moved = (layer.embeddings.numpy() != before).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [3, 7]


@pytest.mark.parametrize("name", ["amsgrad", "use_ema"])
def test_what_lazy_rows_cannot_honour_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        RowwiseAdamW(learning_rate=0.1, **{name: True})
