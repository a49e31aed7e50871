"""Several networks as one: their scores are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from claimpt_tf.models.inputs import backbone_inputs


def bag(models: Sequence[keras.Model]) -> keras.Model:
    """One model of several that read the same.

    Args:
      models: Of `risk_model`, or of `endpoint_model` with the same outputs each; they
        are renamed, and their weights are shared, not copied. One stays as it is.

    Returns:
      A functional model of `backbone_inputs` whose `logit` is the mean of theirs and
      whose `state` holds theirs side by side, float [B, Q, sum of widths].

    Example:
      >>> from claimpt_tf.models.presets import backbone
      >>> from claimpt_tf.models.risk_model import risk_model
      >>> some = [risk_model(backbone("tiny", codes=50, stems=20)) for _ in range(2)]
      >>> bag(some).output["state"].shape[-1] / some[0].output["state"].shape[-1]
      2.0
    """
    if len(models) == 1:
        return models[0]
    inputs = backbone_inputs()
    found = []
    for number, model in enumerate(models):
        model.name = f"member_{number}"
        found.append(model(inputs))
    logit = keras.layers.Average(dtype="float32", name="mean_logit")(
        [one["logit"] for one in found]
    )
    state = keras.layers.Concatenate(name="states")([one["state"] for one in found])
    return keras.Model(inputs, {"logit": logit, "state": state}, name="bag")
