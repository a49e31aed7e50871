"""Training steps of the presets on whatever Keras' JAX backend finds: GPU, TPU or CPU.

The networks know no TensorFlow, so that JAX trains them too. A step is a window head's
loss, its gradient and AdamW, on invented members of 64 visits with 10 codes, asked on 8
dates. Needs jax, keras and keras-hub alone, no TensorFlow. Prints one JSON line each.

    KERAS_BACKEND=jax python benchmarks/accelerator.py --preset base --batch 512
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # memory is measured
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
import jax.numpy as jnp
import keras
import numpy as np

from claimpt_tf.models.presets import backbone
from claimpt_tf.models.window_head import WindowHead

CODES, STEMS, TARGETS, HORIZONS = 20_000, 5_000, 400, 4
VISITS, CODES_A_VISIT, DATES = 64, 10, 8


def members(count: int, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Those inputs of a backbone that it takes, for invented members."""
    draw = np.random.default_rng(0)
    days = np.sort(draw.integers(17_000, 18_000, (count, VISITS)), axis=1)
    codes = (count, VISITS, CODES_A_VISIT)
    inputs = {
        "code_ids": draw.integers(2, CODES, codes),
        "stem_ids": draw.integers(2, STEMS, codes),
        "visit_type": draw.integers(1, 6, (count, VISITS)),
        "visit_day": days,
        "visit_length": draw.integers(0, 3, (count, VISITS)),
        "log_cost": draw.random((count, VISITS)),
        "sex": draw.integers(0, 3, count),
        "birth_day": draw.integers(12_000, 16_000, count),
        "query_day": np.sort(draw.integers(17_200, 18_100, (count, DATES)), axis=1),
    }
    wanted = {name: "float32" if name == "log_cost" else "int32" for name in inputs}
    return {name: inputs[name].astype(wanted[name]) for name in names}


def made(preset: str, precision: str) -> keras.Model:
    """A backbone with a window head."""
    keras.utils.set_random_seed(0)
    network = backbone(preset, CODES, STEMS, dtype=precision)
    head = WindowHead(TARGETS, HORIZONS, bias=-4.0, dtype=precision)
    return keras.Model(network.input, head(network.output))


def measure(preset: str, precision: str, batch: int, steps: int) -> dict[str, Any]:
    """Steps a second, after two that compile."""
    model = made(preset, precision)
    optimizer = keras.optimizers.AdamW(1e-3)
    optimizer.build(model.trainable_variables)
    inputs = {
        name: jnp.asarray(value) for name, value in members(batch, model.input).items()
    }
    came = jnp.asarray(
        np.random.default_rng(1).random((batch, DATES, HORIZONS, TARGETS)) < 0.02,
        jnp.float32,
    )

    def loss(trained: Any, fixed: Any) -> Any:
        logits, fixed = model.stateless_call(trained, fixed, inputs, training=True)
        logits = logits.astype(jnp.float32)
        nats = jnp.logaddexp(0.0, logits) - came * logits
        return nats.mean(), fixed

    @jax.jit
    def step(trained: Any, fixed: Any, moments: Any) -> Any:
        (value, fixed), slopes = jax.value_and_grad(loss, has_aux=True)(trained, fixed)
        trained, moments = optimizer.stateless_apply(moments, slopes, trained)
        return value, trained, fixed, moments

    state = [
        [v.value for v in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
        )
    ]
    began = time.perf_counter()
    values = []
    for _ in range(2):
        value, *state = step(*state)
        values.append(float(value))
    compiled = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(steps):
        value, *state = step(*state)
    value.block_until_ready()
    seconds = (time.perf_counter() - began) / steps
    device = jax.devices()[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use", 0)
    return {
        "preset": preset, "precision": precision, "batch": batch,
        "parameters": model.count_params(), "device": device.device_kind,
        "ms_a_step": round(1000 * seconds, 2), "members_per_s": round(batch / seconds),
        "compile_s": round(compiled, 1), "peak_gib": round(peak / 2**30, 2),
        "loss": [round(values[0], 5), round(float(value), 5)],
    }  # fmt: skip


def largest_difference(preset: str) -> float:
    """Between this device's float32 logits and the CPU's, of the same weights."""
    model = made(preset, "float32")
    inputs = members(8, model.input)
    here = np.asarray(model(inputs))
    with (
        jax.default_device(jax.devices("cpu")[0]),
        jax.default_matmul_precision("highest"),
    ):
        cpu = [
            jax.device_put(v.value, jax.devices("cpu")[0])
            for v in (*model.trainable_variables, *model.non_trainable_variables)
        ]
        split = len(model.trainable_variables)
        there, _ = model.stateless_call(cpu[:split], cpu[split:], inputs)
    return float(np.abs(here - np.asarray(there)).max())


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", nargs="+", default=["paper", "small", "base"])
    parser.add_argument("--batch", nargs="+", type=int, default=[64, 512])
    parser.add_argument("--precision", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--steps", type=int, default=30)
    chosen = parser.parse_args()
    versions = {"jax": jax.__version__, "keras": keras.__version__}
    print(json.dumps(versions), flush=True)
    for preset in chosen.preset:
        found = {"preset": preset, "largest_difference": largest_difference(preset)}
        print(json.dumps(found), flush=True)
        for precision in chosen.precision:
            for batch in chosen.batch:
                try:
                    found = measure(preset, precision, batch, chosen.steps)
                except Exception as error:  # out of memory ends one line, not all
                    found = {"preset": preset, "precision": precision, "batch": batch,
                             "failed": str(error)[:300]}  # fmt: skip
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
