"""Memory of one training step of `base`, with and without checkpointed blocks.

Each side runs in a process of its own, on the same random members (64 visits of 10
codes, 8 dates each), and reports how far the step lifts the peak of its resident memory
above what the process held before it, and its time:

    python benchmarks/memory.py
    python benchmarks/memory.py --batch-size 32 --precision mixed_bfloat16
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import click
import numpy as np

CODES, STEMS, TARGETS = 5_000, 900, 512
VISITS, PER_VISIT, DATES = 64, 10, 8


def members(count: int) -> dict[str, np.ndarray]:
    """Inputs of a backbone, without padding."""
    draw = np.random.default_rng(1)
    of_visits = (count, VISITS)
    day = np.sort(draw.integers(16_000, 18_000, of_visits), axis=1)
    given = {
        "code_ids": draw.integers(3, CODES, (*of_visits, PER_VISIT)),
        "stem_ids": draw.integers(3, STEMS, (*of_visits, PER_VISIT)),
        "visit_type": draw.integers(1, 6, of_visits),
        "visit_day": day,
        "visit_length": np.zeros(of_visits),
        "sex": draw.integers(1, 3, count),
        "birth_day": draw.integers(12_000, 16_000, count),
        "query_day": np.sort(draw.integers(16_500, 18_000, (count, DATES)), axis=1),
        "observed_to": np.full(count, 18_400),
    }
    inputs = {name: values.astype(np.int32) for name, values in given.items()}
    return {**inputs, "log_cost": draw.random(of_visits).astype(np.float32)}


def step(checkpoint: bool, count: int, precision: str) -> dict[str, float]:
    """One step of the pre-training loop."""
    import keras
    import tensorflow as tf

    from claimpt_tf.models.presets import backbone
    from claimpt_tf.training.devices import dtype_policy
    from claimpt_tf.training.loop import TrainingLoop
    from claimpt_tf.training.pretrainer import Pretrainer
    from claimpt_tf.training.rowwise import RowwiseAdamW
    from claimpt_tf.training.targets import Targets
    from claimpt_tf.training.weight_average import WeightAverage

    keras.utils.set_random_seed(1)
    targets = [-1] * 3 + [code % TARGETS for code in range(CODES - 3)]
    names = [str(number) for number in range(TARGETS)]
    with dtype_policy(precision):
        network = backbone("base", CODES, STEMS, checkpoint=checkpoint)
        model = Pretrainer(network, Targets(names, targets, [-1] * CODES))
    model.compile(RowwiseAdamW(learning_rate=1e-3, global_clipnorm=1.0))
    average = WeightAverage(model.trainable_variables, 0.99)
    loop = TrainingLoop(model, tf.distribute.get_strategy(), average, 1, 1)
    dataset = tf.data.Dataset.from_tensors(members(count)).repeat()
    begun, before = time.process_time(), _peak()
    loop._train(iter(dataset))
    first = time.process_time() - begun
    begun = time.process_time()
    loop._train(iter(dataset))
    return {
        "step": _peak() - before,
        "cpu": time.process_time() - begun,
        "tracing": first,
        "loss": float(loop._mean.result()),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@click.command(help=__doc__.split("\n")[0])
@click.option("--batch-size", default=32, show_default=True, help="Members a batch.")
@click.option("--precision", default="float32", show_default=True)
@click.option("--side", default="", hidden=True)
def main(batch_size: int, precision: str, side: str) -> None:
    """Runs both sides in turn and prints what each step took."""
    if side:
        print(json.dumps(step(side == "checkpointed", batch_size, precision)))
        return
    found: dict[str, dict[str, Any]] = {}
    for name in ("kept", "checkpointed"):
        command = [sys.executable, "-W", "ignore", __file__, "--side", name]
        command += ["--batch-size", str(batch_size), "--precision", precision]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{name:13s} {found[name]['step'] / 2**20:7,.0f} MiB above the process, "
            f"{found[name]['cpu']:5.1f} CPU seconds a step, loss "
            f"{found[name]['loss']:.4f}",
            flush=True,
        )
    memory, cpu = (
        found["checkpointed"][key] / found["kept"][key] for key in ("step", "cpu")
    )
    print(f"checkpointed / kept: {memory:.2f} of the memory, {cpu:.2f} of the CPU time")


if __name__ == "__main__":
    main()
