"""Backbone and one dense layer as one model, for labels of any kind."""

from __future__ import annotations

import keras

from claimpt_tf.models.inputs import backbone_inputs
from claimpt_tf.models.timeline_backbone import TimelineBackbone

HEAD = "endpoint_head"


def endpoint_model(backbone: TimelineBackbone, outputs: int) -> keras.Model:
    """A model that gives some numbers for each asked date.

    Args:
      backbone: Any backbone; its weights are shared, not copied.
      outputs: Numbers a date, K; what they mean is the endpoint's affair.

    Returns:
      A functional model of `backbone_inputs` with outputs `logit` float32 [B, Q, K]
      and `state` float [B, Q, width].

    Example:
      >>> from claimpt_tf.models.presets import backbone
      >>> model = endpoint_model(backbone("tiny", codes=50, stems=20), outputs=4)
      >>> model.output["logit"].shape
      (None, None, 4)
    """
    inputs = backbone_inputs()
    state = backbone(inputs)
    logit = keras.layers.Dense(outputs, dtype="float32", name=HEAD)(state)
    return keras.Model(inputs, {"logit": logit, "state": state}, name="endpoint_model")
