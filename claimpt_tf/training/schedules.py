"""Learning rates over a run."""

from __future__ import annotations

from typing import Any

import keras


def warmup_cosine(peak: float, steps: int, warmup: float = 0.05) -> Any:
    """Linear warm-up, then a cosine down to a hundredth of the peak.

    Args:
      peak: Highest rate.
      steps: Steps of the whole run.
      warmup: Share of the steps in which the rate rises.
    """
    warm = max(int(steps * warmup), 1)
    return keras.optimizers.schedules.CosineDecay(
        peak / 100, max(steps - warm, 1), alpha=0.01, warmup_target=peak,
        warmup_steps=warm,
    )  # fmt: skip
