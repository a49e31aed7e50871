"""What a run computes on: precision, replicas, workers."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import keras
import tensorflow as tf

Precision = Literal["auto", "float32", "mixed_bfloat16"]
Distribution = Literal["auto", "none", "mirrored", "multiworker"]

_CPU_FACTS = Path("/proc/cpuinfo")


def choose_precision(asked: Precision = "auto", cpu_facts: Path = _CPU_FACTS) -> str:
    """The Keras dtype policy of a run.

    `auto` takes bfloat16 where there is hardware for it: a GPU or TPU, or a CPU with
    AMX. Elsewhere bfloat16 is emulated and several times slower than float32.

    Args:
      asked: The user's choice.
      cpu_facts: Linux's list of the CPU's features.
    """
    if asked != "auto":
        return asked
    accelerated = any(
        tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU")
    ) or ("amx_bf16" in (cpu_facts.read_text() if cpu_facts.exists() else ""))
    return "mixed_bfloat16" if accelerated else "float32"


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers made inside compute in this Keras dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def choose_strategy(asked: Distribution = "auto") -> tf.distribute.Strategy:
    """The distribution strategy of a run.

    Args:
      asked: `auto` takes MultiWorkerMirrored where TF_CONFIG names several workers,
        Mirrored where there are several GPUs, else none. With `multiworker` every
        worker is started with the same command, and TF_CONFIG says which it is;
        TensorFlow wants this to be the first that it is asked for, and once only.
    """
    if asked == "auto":
        workers = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        if len(workers.get("worker", [])) + len(workers.get("chief", [])) > 1:
            asked = "multiworker"
        elif len(tf.config.list_logical_devices("GPU")) > 1:
            asked = "mirrored"
    if asked == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if asked == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        devices = [device.name for device in tf.config.list_logical_devices(kind)]
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes what all workers share."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )


def any_worker(strategy: tf.distribute.Strategy, here: bool) -> bool:
    """Whether it is so at any worker; all of them must ask."""
    if strategy.cluster_resolver is None:
        return here
    votes = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant(float(here))
    )
    return float(strategy.reduce(tf.distribute.ReduceOp.SUM, votes, axis=None)) > 0


def meet(strategy: tf.distribute.Strategy) -> None:
    """Waits until every worker has come here."""
    any_worker(strategy, True)
