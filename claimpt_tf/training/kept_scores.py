"""Scores of the same rows under one label head after another."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from claimpt_tf.models.decayed_counts import COUNTED
from claimpt_tf.models.risk_model import RiskModel
from claimpt_tf.training.choices import Limits
from claimpt_tf.training.scores import Scored, Scorer

_BATCH = 1024


class KeptScorer:
    """What a risk model's backbone and counts say of some rows, kept.

    Heads and trees are small beside them: the rows are scored under other labels in
    no time.

    Args:
      model: A risk model.
      limits: Cut of a timeline, as in training.
      source: Batches of transformed labelled examples.
    """

    def __init__(
        self, model: RiskModel, limits: Limits, source: tf.data.Dataset
    ) -> None:
        inputs = model.input
        state = model.backbone(inputs)
        counted = state
        if model.counts is not None:
            counted = model.counts(*(inputs[name] for name in COUNTED))
        body = keras.Model(inputs, {"state": state, "logit": counted})
        rows = Scorer(body, limits)(source)
        # Counts are thousands of columns, and mostly nought.
        self._counted = sparse.csr_matrix(rows.logit)
        self._rows = replace(rows, logit=rows.logit[:, :0])

    def __call__(self, model: RiskModel) -> Scored:
        """The rows, scored.

        Args:
          model: The same model; only its head and its trees may have changed.
        """
        head, trees = model.get_layer("risk_head"), model.trees

        @tf.function(reduce_retracing=True, autograph=False)
        def logit(state: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
            read = (state,) if trees is None else (state, trees(counted))
            return head(*read)[:, 0]

        found = []
        for first in range(0, len(self._rows.state), _BATCH):
            some = slice(first, first + _BATCH)
            counted = self._counted[some].toarray()
            found.append(logit(self._rows.state[some, None], counted[:, None]).numpy())
        return replace(self._rows, logit=np.concatenate(found))
