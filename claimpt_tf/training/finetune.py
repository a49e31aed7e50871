"""Fine-tuning a backbone for a small population: the risk of an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from claimpt_tf.errors import TaskError
from claimpt_tf.models.risk_model import RiskModel, risk_model
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.training.adaptation import adapt, calibrate
from claimpt_tf.training.checkpoints import CheckpointFile
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.foreknowledge import HeadStart
from claimpt_tf.training.label_head import fit_label_head
from claimpt_tf.training.label_training import LabelTrainer, train_on_labels
from claimpt_tf.training.linear_head import fit_linear_head
from claimpt_tf.training.scores import Scorer
from claimpt_tf.training.seeds import set_seed
from claimpt_tf.training.sources import column, with_rows

CLASSIFIER_FILE = "classifier.keras"
FEWEST_PAST_OUTCOMES = 20


def finetune(
    backbone: TimelineBackbone,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    question: Question,
    config: FinetuneConfig,
    log_dir: str | None = None,
    labelled: np.ndarray | None = None,
    checkpoint: CheckpointFile | None = None,
    unlabelled: tf.data.Dataset | None = None,
    codes: Sequence[str] = (),
    start: HeadStart | None = None,
) -> tuple[RiskModel, str, Scorer]:
    """Trains a risk model for one task.

    Args:
      backbone: Pre-trained, or fresh for the from-scratch comparison; it is changed.
      train: Batches of transformed labelled examples of training members.
      valid: The same of held-out members, for early stopping and calibration.
      question: The task.
      config: Choices.
      log_dir: Where TensorBoard scalars go.
      labelled: bool [N], which training rows' labels may be used; None for all.
        Adaptation needs no labels, and sees the past of every training member.
      checkpoint: Where the run's state is kept; it goes on from there if there is one.
      unlabelled: Batches of training members outside the cohort, whose past adaptation
        sees too.
      codes: The code vocabulary, in file order; without it no trees are grown.
      start: What pre-training knows of the outcome, where the head begins if
        `config.foreknown`.

    Returns:
      A model of `risk_model`, the recipe that was followed, and what scores with it.

    Raises:
      TaskError: Every training label is the same.
    """
    set_seed(config.seed)
    model = risk_model(backbone)
    chosen = train if labelled is None else with_rows(train, labelled)
    labels = column(chosen, "label")
    if not len(labels) or labels.min() == labels.max():
        raise TaskError(
            f"all {len(labels)} training labels are the same: "
            "widen the outcome, the window or the population, or take more shots"
        )
    recipe = config.recipe
    if recipe == "auto":
        seen = train if unlabelled is None else train.concatenate(unlabelled)
        enough = question.by_visit and _past_outcomes(seen) >= FEWEST_PAST_OUTCOMES
        recipe = "adapt" if enough else "labels"
    head = model.get_layer("risk_head")
    scorer = Scorer(model, config.limits)
    if not config.foreknown:
        start = None
    if start is not None and recipe != "adapt":
        head.begin_with(*start.around(scorer(chosen).state))
    if recipe == "labels":
        head.shift.assign(_log_odds(labels.mean()))
        trainer = LabelTrainer(
            model, _entropy, [keras.metrics.AUC(from_logits=True, name="auroc")]
        )
        train_on_labels(
            trainer, backbone, _label, chosen, valid, config, log_dir, checkpoint
        )
    elif recipe == "head" and start is not None:
        rows = scorer(chosen)
        fit_label_head(rows.logit, rows.state, rows.label, rows.patient).set_in(head)
    elif recipe == "head":
        rows = scorer(chosen)
        kernel, bias, _ = fit_linear_head(
            rows.state, rows.label[:, None], rows.patient, 1, _entropy
        )
        head.scale.assign(0.0)
        head.shift.assign(bias[0])
        head.correction.assign(kernel[:, 0])
    else:
        adapted = adapt(
            model, train, valid, question, config, unlabelled=unlabelled, codes=codes,
            start=start, log_dir=log_dir, checkpoint=checkpoint,
        )  # fmt: skip
        adapted.fit(chosen, valid)
        return adapted.model, recipe, adapted.scorer
    # A member's earlier windows were trained on, so training rows look too certain.
    calibrate([model], scorer, valid)
    return model, recipe, scorer


def _entropy(logit: Any, label: Any) -> Any:
    """Binary cross-entropy of each row, [B]."""
    return ops.softplus(logit[:, 0]) - label[:, 0] * logit[:, 0]


def _label(features: Any) -> Any:
    return tf.cast(features["label"], tf.float32)[:, None]


def _past_outcomes(source: tf.data.Dataset) -> int:
    """Visits of the past that are outcomes themselves."""
    return sum(
        int(tf.reduce_sum(batch["visit_outcome"].flat_values)) for batch in source
    )


def _log_odds(rate: float) -> float:
    rate = float(np.clip(rate, 1e-4, 1 - 1e-4))
    return float(np.log(rate / (1 - rate)))
