"""Random inputs of a backbone."""

from __future__ import annotations

import numpy as np

CODES, STEMS = 40, 15


def batch(
    patients: int = 4, visits: int = 6, codes: int = 5, dates: int = 3, seed: int = 0
) -> dict[str, np.ndarray]:
    """Inputs as `claimpt_tf.training.inputs` makes them, without padding."""
    draw = np.random.default_rng(seed)
    days = np.sort(draw.integers(17000, 18000, (patients, visits)), axis=1)
    inputs = {
        "code_ids": draw.integers(2, CODES, (patients, visits, codes)),
        "stem_ids": draw.integers(2, STEMS, (patients, visits, codes)),
        "visit_type": draw.integers(1, 6, (patients, visits)),
        "visit_day": days,
        "visit_length": draw.integers(0, 3, (patients, visits)),
        "log_cost": draw.random((patients, visits)).astype("float32"),
        "sex": draw.integers(0, 3, patients),
        "birth_day": draw.integers(12000, 16000, patients),
        "query_day": np.sort(draw.integers(17200, 18100, (patients, dates)), axis=1),
    }
    return {
        name: value if value.dtype == np.float32 else value.astype("int32")
        for name, value in inputs.items()
    }
