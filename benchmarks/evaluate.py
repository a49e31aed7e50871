"""Seconds of a full evaluation, and of the count features that its rivals need.

    .venv/bin/python benchmarks/evaluate.py --rows 20000

Eight models are judged on invented rows with 1,000 bootstrap replicates: every figure,
difference and subgroup, two recalibrations, page, model card and predictions. The
features are counted for as many members of some 30 visits and three codes a visit.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import polars as pl
import pyarrow as pa

from claimpt_tf.claims.events import SETTINGS
from claimpt_tf.evaluation.counts import CountFeatures
from claimpt_tf.evaluation.evaluate import Choices, write_evaluation
from claimpt_tf.evaluation.story import Story
from claimpt_tf.tasks.spec import load_task

VISITS, CODES, DISTINCT = 30, 3, 8_000
INDEX_DAY = 19_000
# Standard deviation of what each model's log odds miss of the true ones.
MODELS = {
    "pre-trained": 0.4, "logistic regression on counts": 0.9,
    "LightGBM on counts": 0.8, "LightGBM on counts and past windows": 0.6,
    "best possible": 0.0,
}  # fmt: skip


def invented_rows(rows: int, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Labelled examples of as many members, and their true log odds."""
    generator = np.random.default_rng(seed)
    index = INDEX_DAY + generator.integers(0, 1500, rows)
    visits = generator.poisson(VISITS, rows)
    total = int(visits.sum())
    codes = generator.poisson(CODES, total)
    names = pa.array(
        [
            f"{system}:{chr(65 + one % 26)}{one % 90 + 10}{one // 90}"
            for one in range(DISTINCT // 2)
            for system in ("ICD10CM", "HCPCS")
        ]
    )
    picked = np.minimum(generator.zipf(1.3, int(codes.sum())), DISTINCT) - 1
    ago = generator.integers(0, 1500, total)
    logit = -2.2 + generator.normal(size=rows)

    def by_member(values: object) -> pa.Array:
        return _lists(visits, values)

    frame = pl.from_arrow(
        pa.table(
            {
                "patient_id": [f"{one:032x}" for one in range(rows)],
                "sex": generator.choice(["F", "M"], rows),
                "birth_days": index - generator.integers(200, 30_000, rows),
                "institution": generator.choice(list("ABCDEFGH"), rows),
                "enrolled_from": _lists(np.ones(rows, int), index - 1500),
                "enrolled_to": _lists(np.ones(rows, int), index + 200),
                "visit_days": by_member(np.repeat(index, visits) - ago),
                "visit_types": by_member(generator.choice(SETTINGS, total)),
                "visit_length": by_member(np.zeros(total, int)),
                "codes": by_member(_lists(codes, names.take(pa.array(picked)))),
                "cost": by_member(generator.gamma(2, 100, total).astype(np.float32)),
                "index_day": index,
                "label": (generator.random(rows) < _risk(logit)).astype(int),
            }
        )
    )
    assert isinstance(frame, pl.DataFrame)
    return frame, logit


def _lists(sizes: np.ndarray, values: object) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    flat = values if isinstance(values, pa.Array) else pa.array(values)
    return pa.LargeListArray.from_arrays(pa.array(offsets), flat)


def _risk(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def main() -> None:
    """Measures once."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--replicates", type=int, default=1_000)
    parser.add_argument("--profile", action="store_true", help="Where time goes.")
    chosen = parser.parse_args()
    frame, logit = invented_rows(chosen.rows)
    generator = np.random.default_rng(1)
    scores = {
        name: _risk(logit + noise * generator.normal(size=chosen.rows))
        for name, noise in MODELS.items()
    }
    scores["prevalence"] = np.full(chosen.rows, frame["label"].mean())
    other, other_logit = invented_rows(chosen.rows // 5, seed=2)
    valid = (other["label"].to_numpy(), _risk(1.2 * other_logit))
    profiler = cProfile.Profile()
    if chosen.profile:
        profiler.enable()
    begun, worked = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="claimpt-evaluate-") as folder:
        found = write_evaluation(
            folder, scores, frame,
            Story(load_task("asthma_exacerbation"), source="tuva", simulated=True),
            Choices(replicates=chosen.replicates), valid,
        )  # fmt: skip
    judged, worked = time.perf_counter() - begun, time.process_time() - worked
    profiler.disable()
    begun = time.perf_counter()
    features = CountFeatures().fit(frame)
    fitted = time.perf_counter() - begun
    table = features.transform(frame)
    counted = time.perf_counter() - begun
    print(json.dumps({
        "rows": chosen.rows, "replicates": chosen.replicates,
        "models": len(found.models), "groups": len(found.subgroups),
        "figures": len(found.titles), "evaluation_seconds": round(judged, 1),
        "evaluation_cpu_seconds": round(worked, 1),
        "codes_counted": int(frame["codes"].explode().list.len().sum()),
        "features": len(features.names), "stored_values": int(table.nnz),
        "fit_seconds": round(fitted, 1), "count_seconds": round(counted, 1),
    }))  # fmt: skip
    if chosen.profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
