"""Backbone and risk head as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_hub

from claimpt_tf.models.decayed_counts import COUNTED, DecayedCounts
from claimpt_tf.models.inputs import backbone_inputs
from claimpt_tf.models.presets import PRESETS
from claimpt_tf.models.risk_head import RiskHead
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.models.tree_ensemble import TreeEnsemble

HEAD_WEIGHTS = "task.weights.h5"  # keras-hub's name for what a task adds


@keras.saving.register_keras_serializable("claimpt_tf")
class RiskModel(keras_hub.models.Task):
    """Scores the outcome of a task after each asked date.

    A functional model of `backbone_inputs` with outputs `logit` float [B, Q] and
    `state` float [B, Q, width].

    Args:
      backbone: Any backbone; its weights are shared, not copied.
      counts: Features that the trees read.
      trees: Gradient-boosted trees whose score is added to the network's.

    Example:
      >>> model = RiskModel.from_preset("tiny", codes=50, stems=20)
      >>> sorted(model.output)
      ['logit', 'state']
    """

    backbone_cls = TimelineBackbone

    def __init__(
        self,
        backbone: TimelineBackbone,
        preprocessor: None = None,
        counts: DecayedCounts | None = None,
        trees: TreeEnsemble | None = None,
        name: str = "risk_model",
        **kwargs: Any,
    ) -> None:
        inputs = backbone_inputs()
        state = backbone(inputs)
        read = [state]
        if counts is not None and trees is not None:
            read.append(trees(counts(*(inputs[name] for name in COUNTED))))
        logit = RiskHead(dtype=backbone.dtype_policy, name="risk_head")(*read)
        self.backbone, self.preprocessor = backbone, preprocessor
        self.counts, self.trees = counts, trees
        kwargs.setdefault("compile", False)  # fine-tuning compiles what it fits
        super().__init__(
            inputs=inputs, outputs={"logit": logit, "state": state}, name=name, **kwargs
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the model."""
        beside = {
            name: layer and keras.layers.serialize(layer)
            for name, layer in (("counts", self.counts), ("trees", self.trees))
        }
        return {**super().get_config(), **beside}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RiskModel:
        """Rebuilds the model."""
        config = dict(config)
        for name in ("counts", "trees"):
            if config.get(name):
                config[name] = keras.layers.deserialize(config[name])
        return super().from_config(config)

    def save_to_preset(self, preset_dir: str, max_shard_size: float = 10) -> None:
        """Writes the backbone as a preset, and the head's weights beside it.

        keras-hub's own method stops at a task without a preprocessor; ours has none,
        because the Transform graph makes the inputs.

        Args:
          preset_dir: A local folder.
          max_shard_size: Largest file of weights in GB.
        """
        self.backbone.save_to_preset(preset_dir, max_shard_size=max_shard_size)
        self.save_task_weights(str(Path(preset_dir) / HEAD_WEIGHTS))

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, **kwargs: Any
    ) -> RiskModel:
        """A risk model of a named size, or of a folder.

        Args:
          preset: A name, for a fresh network, or a folder that `save_to_preset` wrote
            for a risk model, or for a backbone, which then gets a fresh head.
          load_weights: Whether a folder's weights are loaded.
          **kwargs: Arguments of the backbone that replace the preset's.

        Raises:
          ArtifactError: There is no such name, nor such a folder.
        """
        family = PRESETS.get(preset, TimelineBackbone)
        model = cls(family.from_preset(preset, load_weights, **kwargs))
        head = Path(preset) / HEAD_WEIGHTS
        if load_weights and head.exists():
            model.load_task_weights(str(head))
        return model


def risk_model(backbone: TimelineBackbone) -> RiskModel:
    """The risk model of a backbone, whose weights it shares."""
    return RiskModel(backbone)
