"""Computing blocks again for the gradient changes memory, not numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from claimpt_tf.models.backbone import ClaimBackbone
from claimpt_tf.models.presets import backbone
from tests.models.batch import CODES, STEMS, batch


def gradients(checkpoint: bool) -> list[np.ndarray]:
    keras.utils.set_random_seed(1)
    network = ClaimBackbone(
        CODES, STEMS, width=8, layers=2, heads=2, dropout=0.3, checkpoint=checkpoint
    )
    inputs = {name: tf.constant(value) for name, value in batch().items()}

    @tf.function
    def run() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(inputs, training=True) ** 2)
        found = tape.gradient(loss, network.trainable_weights)
        return [loss, *(tf.convert_to_tensor(one) for one in found)]

    return [value.numpy() for value in run()]


def test_gradients_with_dropout_are_the_same() -> None:
    for plain, again in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("preset", "checkpointed"), [("small", False), ("base", True)])
def test_base_is_checkpointed(preset: str, checkpointed: bool) -> None:
    block = backbone(preset, CODES, STEMS).get_layer("block_0")
    assert block.checkpoint is checkpointed
