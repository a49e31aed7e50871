"""Learning rates over a run."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


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


@keras.saving.register_keras_serializable("claimpt_tf")
class SlantedTriangle(keras.optimizers.schedules.LearningRateSchedule):
    """ULMFiT's slanted triangular rate (Howard & Ruder 2018, equation 3).

    Rises in a straight line from `peak / ratio` to `peak`, and falls in a straight
    line back to `peak / ratio` at the last step, where it stays. The published slope
    of the fall, `cut * (1 / rise - 1)` steps, is `steps - cut` but for the rounding of
    `cut`; the latter is taken, as the former gives negative rates in short runs.

    Args:
      peak: Highest rate, above 0.
      steps: Steps of the whole run, from 1; Keras counts batches, also where gradients
        are accumulated.
      rise: Share of the steps in which the rate rises, between 0 and 1.
      ratio: How much lower the lowest rate is, from 1.

    Raises:
      ValueError: An argument out of its range.

    Example:
      >>> rate = SlantedTriangle(0.32, steps=100)
      >>> [round(float(rate(step)), 3) for step in (0, 5, 10, 55, 100, 200)]
      [0.01, 0.165, 0.32, 0.165, 0.01, 0.01]
    """

    def __init__(
        self, peak: float, steps: int, rise: float = 0.1, ratio: float = 32.0
    ) -> None:
        super().__init__()
        if peak <= 0 or steps < 1 or not 0 < rise < 1 or ratio < 1:
            raise ValueError(
                "a slanted triangle needs peak > 0, steps >= 1, 0 < rise < 1 and "
                f"ratio >= 1, not {peak=}, {steps=}, {rise=}, {ratio=}"
            )
        self.peak, self.steps, self.rise, self.ratio = peak, steps, rise, ratio

    def __call__(self, step: Any) -> Any:
        """The rate at a step, counted from 0."""
        cut = max(int(self.steps * self.rise), 1)
        step = ops.cast(step, "float32")
        share = ops.minimum(step / cut, 1 - (step - cut) / max(self.steps - cut, 1))
        share = ops.maximum(share, 0.0)
        return self.peak * (1 + share * (self.ratio - 1)) / self.ratio

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the schedule."""
        return {
            "peak": self.peak,
            "steps": self.steps,
            "rise": self.rise,
            "ratio": self.ratio,
        }
