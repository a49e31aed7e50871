"""Decayed counts against a loop that says what they are."""

from __future__ import annotations

import math

import numpy as np

from claimpt_tf.models.decayed_counts import COUNTED, OF_PERSON, SCALES
from claimpt_tf.models.time import YEAR
from tests.models.batch import batch
from tests.models.cases import decayed_counts

COLUMNS, TYPES = 9, 5


def naive(inputs: dict[str, np.ndarray], table: np.ndarray) -> np.ndarray:
    patients, dates = inputs["query_day"].shape
    width = COLUMNS + TYPES
    out = np.zeros((patients, dates, OF_PERSON + (len(SCALES) + 1) * width))
    for b in range(patients):
        for q in range(dates):
            day = int(inputs["query_day"][b, q])
            counts = np.zeros((len(SCALES) + 1, width))
            first = day
            for v, kind in enumerate(inputs["visit_type"][b]):
                began = int(inputs["visit_day"][b, v])
                ago = day - began - int(inputs["visit_length"][b, v])
                if kind == 0 or ago < 0:
                    continue
                first = min(first, began)
                columns = {COLUMNS + kind - 1}
                for code in inputs["code_ids"][b, v]:
                    columns |= {table[code, 0], table[code, 1]}
                    if kind in (1, 2):
                        columns.add(table[code, 2])
                for column in columns - {-1}:
                    for s, scale in enumerate(SCALES):
                        counts[s, column] += math.exp(-ago / scale)
                    counts[-1, column] = max(counts[-1, column], 30 / (30 + ago))
            season = 2 * math.pi * day / YEAR
            person = [
                (day - int(inputs["birth_day"][b])) / YEAR,
                inputs["sex"][b] == 1,
                inputs["sex"][b] == 2,
                math.sin(season),
                math.cos(season),
                (day - first) / YEAR,
            ]
            out[b, q] = [*person, *counts.ravel()]
    return out


def test_against_a_loop() -> None:
    inputs = batch(patients=5, visits=7)
    layer = decayed_counts("float32")
    got = layer(*(inputs[name] for name in COUNTED)).numpy()
    assert got.shape[-1] == layer.features
    wanted = naive(inputs, layer.column_of.numpy())
    np.testing.assert_allclose(got, wanted, atol=2e-3)  # the season of a float32 day
    np.testing.assert_allclose(got[..., 5:], wanted[..., 5:], rtol=2e-5, atol=1e-6)
