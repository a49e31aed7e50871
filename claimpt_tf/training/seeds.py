"""The seed of everything random in a run."""

from __future__ import annotations

import keras


def set_seed(seed: int) -> None:
    """Seeds Python, NumPy, Keras and TensorFlow.

    Never with 0: while TensorFlow's own seed is 0, tf.data cannot shuffle by a
    tensor's seed.

    Args:
      seed: 0 or more.
    """
    keras.utils.set_random_seed(seed + 1)
