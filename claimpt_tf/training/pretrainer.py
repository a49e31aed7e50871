"""The training step of pre-training: any mix of objectives on dated batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import ops

from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.training.objectives import View, default_mix, make_objectives
from claimpt_tf.training.occurrences import occurrences
from claimpt_tf.training.targets import ACUTE_TYPES, Targets
from claimpt_tf.visits.ids import MASK, PAD


@keras.saving.register_keras_serializable("claimpt_tf")
class Pretrainer(keras.Model):
    """A backbone and the heads of its objectives, trained on `random_dates`' batches.

    Logs the weighted sum as `loss`, each objective's own as `NAME_loss`, and in
    validation recalls among the likeliest. Where codes are masked, validation asks
    everything else of the network with all codes in sight.

    Args:
      backbone: Answers for `query_day`.
      targets: What to predict.
      objectives: As `make_objectives` takes them; None for `default_mix`.
      seed: Of the masks.
    """

    def __init__(
        self,
        backbone: TimelineBackbone,
        targets: Targets,
        objectives: Mapping[str, Any] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.backbone, self.targets, self.seed = backbone, targets, seed
        self.mix = dict(default_mix("") if objectives is None else objectives)
        self.network = backbone.with_visits()
        self.objectives = make_objectives(self.mix, targets)
        for objective in self.objectives:
            objective.prepare(backbone)
        self.hides = max(objective.hides for objective in self.objectives)
        self._anywhere = np.asarray(targets.anywhere, np.int32)
        self._acute = np.asarray(targets.acute, np.int32)
        self._draws = keras.random.SeedGenerator(seed)
        self._evaluating = False
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """What the network makes of a batch.

        Returns:
          The outputs of `TimelineBackbone.with_visits`; in training, if codes are
          masked, `hidden` bool [B, V, C] too.
        """
        if training and self.hides:
            return self._half_blind(inputs, self._draws, training=True)
        return self.network(self._read(inputs), training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None,
        sample_weight: Any = None, training: bool = True,
    ) -> Any:  # fmt: skip
        """Weighted sum; the targets are read off the inputs' later visits."""
        del y, sample_weight
        self._evaluating = not training
        categories = ops.take(self._anywhere, x["code_ids"])
        asked = categories
        if any(objective.acute for objective in self.objectives):
            acute = ops.any(
                ops.equal(x["visit_type"][..., None], np.asarray(ACUTE_TYPES)), axis=-1
            )
            there = ops.where(
                acute[..., None], ops.take(self._acute, x["code_ids"]), -1
            )
            asked = ops.concatenate([categories, there], axis=-1)
        known = occurrences(x["visit_day"], x["visit_type"], asked)

        def view(outputs: Mapping[str, Any]) -> View:
            return View(x, occurrences=known, categories=categories, **outputs)

        seen = view(y_pred)
        blind = seen
        if self.hides and not training:
            # The same codes are hidden in every evaluation.
            blind = view(self._half_blind(x, self.seed, training=False))
        total = 0.0
        for objective in self.objectives:
            value = objective.loss(blind if objective.hides else seen, not training)
            objective.mean_loss.update_state(value)
            total += objective.weight * value
        return total

    def _half_blind(self, inputs: dict[str, Any], seed: Any, training: bool) -> Any:
        codes = inputs["code_ids"]
        drawn = keras.random.uniform(ops.shape(codes), seed=seed) < self.hides
        hidden = ops.logical_and(drawn, ops.not_equal(codes, PAD))
        masked = {
            name: ops.where(hidden, MASK, inputs[name])
            for name in ("code_ids", "stem_ids")
        }
        outputs = self.network(self._read({**inputs, **masked}), training=training)
        return {**outputs, "hidden": hidden}

    def _read(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: inputs[name] for name in self.network.input}

    def get_metrics_result(self) -> dict[str, Any]:
        """Losses; in validation, recalls too."""
        return {
            metric.name: metric.result()
            for metric in self.metrics
            if self._evaluating or metric.name.endswith("loss")
        }

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the model."""
        return {
            "name": self.name,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "targets": asdict(self.targets),
            "objectives": self.mix,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Rebuilds the model."""
        backbone = keras.saving.deserialize_keras_object(config.pop("backbone"))
        return cls(backbone, Targets(**config.pop("targets")), **config)
