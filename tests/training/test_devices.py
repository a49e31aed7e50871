"""Which precision and which strategy a machine gets."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from claimpt_tf.training.devices import (
    choose_precision,
    choose_strategy,
    dtype_policy,
    is_chief,
)


def test_bfloat16_where_the_cpu_has_it(tmp_path: Path) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text("flags\t\t: fpu avx2 amx_bf16 avx512f amx_tile\n")
    assert choose_precision(cpu_facts=facts) == "mixed_bfloat16"
    assert choose_precision("float32", facts) == "float32"
    facts.write_text("flags\t\t: fpu avx2 avx512f\n")
    assert choose_precision(cpu_facts=facts) == "float32"
    assert choose_precision(cpu_facts=tmp_path / "none") == "float32"


def test_dtype_policy_lasts_as_long_as_its_block() -> None:
    before = keras.config.dtype_policy().name
    with dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == before


def test_one_process_is_its_own_chief() -> None:
    strategy = choose_strategy()
    assert strategy is tf.distribute.get_strategy()
    assert is_chief(strategy)
