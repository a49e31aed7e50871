"""The training step of pre-training: windows ahead of random dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from claimpt_tf.models.backbone import ClaimBackbone
from claimpt_tf.models.window_head import WindowHead
from claimpt_tf.training.objectives import days_until_targets, recall_at, window_loss
from claimpt_tf.training.targets import ACUTE_TYPES, Targets

HORIZONS = (30, 90, 180, 365)
RECALL_WINDOW = HORIZONS.index(90)


class Pretrainer(keras.Model):
    """Backbone and window head, trained on the batches of `random_dates`.

    Args:
      backbone: Any backbone that answers for `query_day`.
      targets: What to predict.
      horizons: Windows in days.
    """

    def __init__(
        self,
        backbone: ClaimBackbone,
        targets: Targets,
        horizons: Sequence[int] = HORIZONS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone
        self.window_head = WindowHead(
            len(targets.names), len(horizons), name="window_head"
        )
        self.window_head.build((None, None, backbone.width))
        self.horizons = np.asarray(horizons, np.int32)
        self._anywhere = np.asarray(targets.anywhere, np.int32)
        self._acute = np.asarray(targets.acute, np.int32)
        self.recall = keras.metrics.Mean(name="recall_at_10")
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Window logits, float [B, Q, H, K]."""
        asked = {k: v for k, v in inputs.items() if k != "observed_to"}
        return self.window_head(self.backbone(asked, training=training))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None,
        sample_weight: Any = None, training: bool = True,
    ) -> Any:  # fmt: skip
        """Window loss; the targets are read off the inputs' later visits."""
        acute = ops.any(
            ops.equal(x["visit_type"][..., None], np.asarray(ACUTE_TYPES)), axis=-1
        )
        ids = x["code_ids"]
        both = ops.concatenate(
            [
                ops.take(self._anywhere, ids),
                ops.where(acute[..., None], ops.take(self._acute, ids), -1),
            ],
            axis=-1,
        )
        days = days_until_targets(
            x["visit_day"],
            x["visit_type"],
            both,
            x["query_day"],
            self.window_head.targets,
        )
        observed = x["observed_to"][:, None] - x["query_day"]
        self._update_recall(y_pred, days, observed)
        return window_loss(y_pred, days, observed, self.horizons)

    def _update_recall(self, logits: Any, days: Any, observed: Any) -> None:
        window = self.horizons[RECALL_WINDOW]
        happened = ops.logical_and(days <= window, observed[..., None] >= window)
        wide = self.window_head.targets
        hits, came = recall_at(
            ops.reshape(logits[:, :, RECALL_WINDOW], (-1, wide)),
            ops.reshape(happened, (-1, wide)),
            min(10, wide),
        )
        self.recall.update_state(hits / ops.maximum(came, 1.0), sample_weight=came)

    @property
    def metrics(self) -> list[Any]:
        """Loss, and recall of the next 90 days' targets among the 10 likeliest."""
        return [*super().metrics, self.recall]
