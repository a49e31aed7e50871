"""Transformed members of any number of visits, without records."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

FIRST_DAY = 17000


def members(lengths: list[int], seed: int = 0, codes: int = 40) -> dict:
    """`preprocessing_fn`'s output for members with so many visits each."""
    draw = np.random.default_rng(seed)
    days = [FIRST_DAY + np.cumsum(draw.integers(1, 30, n)) for n in lengths]
    flat = np.concatenate(days) if days else np.zeros(0)
    visits = len(flat)
    each = tf.constant(lengths, tf.int64)

    def ragged(values: np.ndarray) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_row_lengths(values, each)

    counts = draw.integers(1, 4, visits)
    ids = tf.RaggedTensor.from_row_lengths(
        tf.RaggedTensor.from_row_lengths(
            draw.integers(3, 3 + codes, counts.sum()), counts
        ),
        each,
    )
    last = np.array([row[-1] if len(row) else FIRST_DAY for row in days]) + 400
    return {
        "visit_day": ragged(flat.astype(np.int64)),
        "visit_length": ragged(np.zeros(visits, np.int64)),
        "visit_type": ragged(draw.integers(1, 6, visits)),
        "log_cost": ragged(draw.random(visits).astype(np.float32)),
        "code_ids": ids,
        "stem_ids": ids,
        "enrolled_to": tf.RaggedTensor.from_row_lengths(
            last, np.ones(len(lengths), np.int64)
        ),
        "sex": tf.constant(draw.integers(0, 3, len(lengths))),
        "birth_day": tf.constant(draw.integers(12000, 16000, len(lengths))),
    }


def source(lengths: list[int], seed: int = 0) -> tf.data.Dataset:
    """Those members as one read batch."""
    return tf.data.Dataset.from_tensors(members(lengths, seed))
