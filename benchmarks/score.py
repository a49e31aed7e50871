"""Members a second of `claimpt score`, from TFRecords to Parquet.

    .venv/bin/python benchmarks/score.py RUN/serving/claimpt --members 40000

Members have 30 visits. Start-up is told apart: a run with one file a worker and few
members is taken off.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from claimpt_tf.serving.requests import to_examples
from claimpt_tf.serving.score import score_records
from claimpt_tf.serving.warmup import invented_members
from claimpt_tf.visits.records import write_records

VISITS = 30


def write(folder: Path, members: int, files: int) -> None:
    """Files of members with VISITS visits."""
    (member,) = [m for m in invented_members() if len(m["visits"]) == VISITS]
    (record,) = to_examples([member])
    for at in range(files):
        write_records([record] * (members // files), folder / f"tfrecord-{at:05}.gz")


def main() -> None:
    """Measures once."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model_base")
    parser.add_argument("--members", type=int, default=40_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--reasons", type=int, default=0)
    chosen = parser.parse_args()
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="claimpt-score-") as scratch:
        took = []
        for name, members in (("few", workers * 8), ("many", chosen.members)):
            write(Path(scratch) / name, members, workers * (1 if name == "few" else 4))
            begun = time.perf_counter()
            score_records(
                [str(Path(scratch) / name)],
                chosen.model_base,
                Path(scratch) / f"{name}-scores",
                batch_size=chosen.batch_size,
                reasons=chosen.reasons,
            )
            took.append(time.perf_counter() - begun)
    scoring = took[1] - took[0]
    paced = (chosen.members - workers * 8) / scoring if scoring > 1 else None
    print(json.dumps({
        "members": chosen.members, "visits": VISITS, "batch": chosen.batch_size,
        "reasons": chosen.reasons, "seconds": round(took[1], 1),
        "start_up_seconds": round(took[0], 1),
        "members_per_s": round(chosen.members / took[1]),
        # Not told where start-up drowns it: take more members.
        "members_per_s_without_start_up": paced and round(paced),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
