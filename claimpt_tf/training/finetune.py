"""Fine-tuning a backbone for a small population."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from claimpt_tf.errors import TaskError
from claimpt_tf.models.risk_model import RiskModel, risk_model
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.training.adapter import Adapter
from claimpt_tf.training.batches import batch_count, dated_batches, labelled_batches
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.label_head import fit_label_head, platt
from claimpt_tf.training.layerwise import (
    GroupRates,
    LayerwiseAdamW,
    discriminative_groups,
)
from claimpt_tf.training.loop import TrainingLoop
from claimpt_tf.training.pretrain import fit_callbacks
from claimpt_tf.training.progress import EpochLine, Scalars
from claimpt_tf.training.schedules import SlantedTriangle, warmup_cosine
from claimpt_tf.training.scores import Scorer
from claimpt_tf.training.sources import column, with_rows
from claimpt_tf.training.weight_average import WeightAverage

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

    Returns:
      A model of `risk_model`, the recipe that was followed, and what scores with it.

    Raises:
      TaskError: Every training label is the same.
    """
    keras.utils.set_random_seed(config.seed)
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
        enough = question.by_visit and _past_outcomes(train) >= FEWEST_PAST_OUTCOMES
        recipe = "adapt" if enough else "labels"
    head = model.get_layer("risk_head")
    scorer = Scorer(model, config.limits)
    if recipe == "labels":
        head.shift.assign(_log_odds(labels.mean()))
        _fit_labels(model, chosen, valid, len(labels), config, log_dir)
    else:
        _adapt(model, train, valid, question, config, log_dir)
        rows = scorer(chosen)
        fitted = fit_label_head(rows.logit, rows.state, rows.label, rows.patient)
        head.scale.assign(fitted.scale)
        head.shift.assign(fitted.shift)
        head.correction.assign(fitted.correction)
    # A member's earlier windows were trained on, so training rows look too certain.
    held_out = scorer(valid)
    slope, intercept = platt(held_out.logit, held_out.label)
    head.scale.assign(head.scale * slope)
    head.shift.assign(head.shift * slope + intercept)
    head.correction.assign(head.correction * slope)
    return model, recipe, scorer


def latest_rows(source: tf.data.Dataset) -> np.ndarray:
    """Which rows are the last of their member, bool [N].

    The past of a member's last index date holds that of all earlier ones.

    Args:
      source: Batches of transformed labelled examples.
    """
    patient, day = column(source, "patient_id"), column(source, "index_day")
    order = np.lexsort((np.arange(len(day)), day, patient))
    last = np.ones(len(order), bool)
    last[:-1] = patient[order][1:] != patient[order][:-1]
    chosen = np.zeros(len(order), bool)
    chosen[order[last]] = True
    return chosen


def _adapt(
    model: RiskModel,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    question: Question,
    config: FinetuneConfig,
    log_dir: str | None,
) -> None:
    """Continues training on the task's own outcome in each member's past."""
    adapter = Adapter(model, question.window_days, question.gap_days)
    past = with_rows(train, latest_rows(train))
    steps, members, _ = batch_count(past, config.batch_size)
    adapter.compile(_optimizer(model, members, config), jit_compile=False)
    cut: dict[str, Any] = {
        "ahead": question.window_days + question.gap_days,
        "dates": config.dates,
        "batch_size": config.batch_size,
        "limits": config.limits,
        "seed": config.seed,
        "only_visits": question.at_visits,
    }
    callbacks: list[keras.callbacks.Callback] = [
        EpochLine("adaptation", config.batch_size)
    ]
    if log_dir:
        callbacks += [Scalars(log_dir, config.batch_size), GroupRates(log_dir)]
    held_out = with_rows(valid, latest_rows(valid))
    TrainingLoop(
        adapter,
        tf.distribute.get_strategy(),
        WeightAverage(adapter.trainable_variables, config.ema),
        config.epochs,
        config.patience,
        callbacks,
    ).run(
        lambda epoch, start, steps: dated_batches(past, **cut).repeat(),
        dated_batches(held_out, fixed=True, **cut).cache(),
        steps,
    )


def _fit_labels(
    model: RiskModel,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    rows: int,
    config: FinetuneConfig,
    log_dir: str | None,
) -> None:
    def batches(source: tf.data.Dataset) -> tf.data.Dataset:
        pairs = labelled_batches(
            source, batch_size=config.batch_size, limits=config.limits
        )
        return pairs.map(lambda inputs, label, patient: (inputs, label))

    logits = keras.Model(model.input, model.output["logit"])
    logits.compile(
        _optimizer(model, rows, config),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auroc")],
        jit_compile=False,
    )
    callbacks = fit_callbacks(
        "fine-tuning", config.batch_size, config.patience, log_dir
    )
    if log_dir:
        callbacks.append(GroupRates(log_dir))
    logits.fit(
        batches(train).cache().shuffle(rows, seed=config.seed).prefetch(4),
        validation_data=batches(valid).cache(),
        epochs=config.epochs,
        verbose=0,
        callbacks=callbacks,
    )


def _optimizer(model: RiskModel, rows: int, config: FinetuneConfig) -> LayerwiseAdamW:
    each_epoch = -(-rows // config.batch_size)
    schedule = SlantedTriangle if config.schedule == "slanted" else warmup_cosine
    return LayerwiseAdamW(
        discriminative_groups(
            model.backbone,
            config.layer_decay,
            config.train,
            each_epoch if config.unfreeze else 0,
        ),
        learning_rate=schedule(config.learning_rate, config.epochs * each_epoch),
        weight_decay=config.weight_decay,
        global_clipnorm=1.0,
    )


def _past_outcomes(source: tf.data.Dataset) -> int:
    """Visits of the past that are outcomes themselves."""
    return sum(
        int(tf.reduce_sum(batch["visit_outcome"].flat_values)) for batch in source
    )


def _log_odds(rate: float) -> float:
    rate = float(np.clip(rate, 1e-4, 1 - 1e-4))
    return float(np.log(rate / (1 - rate)))
