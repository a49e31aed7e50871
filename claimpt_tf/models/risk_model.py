"""Backbone and risk head as one model."""

from __future__ import annotations

import keras

from claimpt_tf.models.inputs import backbone_inputs
from claimpt_tf.models.risk_head import RiskHead
from claimpt_tf.models.timeline_backbone import TimelineBackbone


def risk_model(backbone: TimelineBackbone) -> keras.Model:
    """Scores the outcome of a task after each asked date.

    Args:
      backbone: Any backbone; its weights are shared, not copied.

    Returns:
      A functional model of the backbone's inputs with outputs `logit` float [B, Q]
      and `state` float [B, Q, width].
    """
    inputs = backbone_inputs()
    state = backbone(inputs)
    logit = RiskHead(name="risk_head")(state)
    return keras.Model(inputs, {"logit": logit, "state": state}, name="risk_model")
