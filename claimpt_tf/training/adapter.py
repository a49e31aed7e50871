"""The training step of adaptation: a task's own outcome in everybody's past."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.training.outcome_windows import days_until_targets, hazard_loss

PIECES = (30, 90, 180, 365)  # days at which the rate may change within the window
RARE = -2.0  # where log-rates a year begin


class Adapter(keras.Model):
    """Continues training on the outcome's rate after dates of the past.

    No label is used: the outcome's definition marks visits of the past, and every
    earlier date of every training member becomes an example, watched as far as the
    window or the record goes. The score is the log of the rate a year, up to a
    constant for each piece of the window.

    Args:
      risk: A model of `risk_model`; its score learns.
      window_days: The task's outcome window.
      gap_days: Days between a date and its window.
    """

    def __init__(
        self, risk: keras.Model, window_days: int, gap_days: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.risk, self.gap_days = risk, gap_days
        inner = [day for day in PIECES if day < window_days]
        self.edges = (0, *inner, window_days)
        self.base = self.add_weight(
            shape=(len(self.edges) - 1,),
            initializer=keras.initializers.Constant(RARE),
            name="base",
        )
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Log-rates a year, float [B, Q, P]."""
        extra = ("observed_to", "visit_outcome")
        asked = {k: v for k, v in inputs.items() if k not in extra}
        out = self.risk(asked, training=training)
        return ops.cast(out["logit"], "float32")[..., None] + self.base

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None,
        sample_weight: Any = None, training: bool = True,
    ) -> Any:  # fmt: skip
        """Likelihood of the outcome, read off the later visits of the past."""
        marks = ops.where(ops.equal(x["visit_outcome"], 1), 0, -1)[..., None]
        from_day = x["query_day"] + self.gap_days
        days = days_until_targets(x["visit_day"], x["visit_type"], marks, from_day, 1)
        observed = x["observed_to"][:, None] - from_day
        return hazard_loss(y_pred, days[..., 0], observed, self.edges)
