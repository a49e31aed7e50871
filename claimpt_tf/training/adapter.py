"""The training step of adaptation: a task's own outcome in the cohort's past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from claimpt_tf.training.outcome_windows import days_until_targets, window_loss


class Adapter(keras.Model):
    """Continues training on outcome windows that end before the index date.

    No label is used: the outcome's definition marks visits of the past, and every
    earlier date of every training member becomes an example. The windows next to the
    task's own teach the state more than the one alone.

    Args:
      risk: A model of `risk_model`; its score learns the task's window.
      window_days: The task's outcome window.
      gap_days: Days between a date and its window.
      beside: Other windows, in days.
    """

    def __init__(
        self,
        risk: keras.Model,
        window_days: int,
        gap_days: int = 0,
        beside: Sequence[int] = (30, 90),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.risk, self.gap_days = risk, gap_days
        others = [days for days in beside if days != window_days]
        self.horizons = np.asarray([window_days, *others], np.int32)
        self.beside = keras.layers.Dense(len(others), name="beside")
        self.beside.build(risk.output["state"].shape)
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Outcome logits, float [B, Q, H, 1], the task's window first."""
        extra = ("observed_to", "visit_outcome")
        asked = {k: v for k, v in inputs.items() if k not in extra}
        out = self.risk(asked, training=training)
        logits = ops.concatenate(
            [out["logit"][..., None], self.beside(out["state"])], axis=-1
        )
        return logits[..., None]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None,
        sample_weight: Any = None, training: bool = True,
    ) -> Any:  # fmt: skip
        """Window loss of the outcome, read off the later visits of the past."""
        marks = ops.where(ops.equal(x["visit_outcome"], 1), 0, -1)[..., None]
        from_day = x["query_day"] + self.gap_days
        days = days_until_targets(x["visit_day"], x["visit_type"], marks, from_day, 1)
        observed = x["observed_to"][:, None] - from_day
        return window_loss(y_pred, days, observed, self.horizons)
