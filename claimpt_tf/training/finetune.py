"""Fine-tuning a backbone for a small population."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from claimpt_tf.errors import TaskError
from claimpt_tf.models.backbone import ClaimBackbone
from claimpt_tf.models.risk_model import risk_model
from claimpt_tf.training.adapter import Adapter
from claimpt_tf.training.batches import dated_batches, labelled_batches
from claimpt_tf.training.choices import FinetuneConfig, Limits, Question
from claimpt_tf.training.label_head import fit_label_head, platt
from claimpt_tf.training.layerwise import LayerwiseAdamW, discriminative_groups
from claimpt_tf.training.pretrain import fit_callbacks, warmup_cosine

CLASSIFIER_FILE = "classifier.keras"
SCORE_BATCH = 256
FEWEST_PAST_OUTCOMES = 20


@dataclass(frozen=True)
class Scored:
    """Rows of a labelled dataset, scored.

    Attributes:
      patient: bytes [N].
      index_day: int [N].
      label: 0 or 1 [N].
      logit: float [N].
      state: float [N, width].
    """

    patient: np.ndarray
    index_day: np.ndarray
    label: np.ndarray
    logit: np.ndarray
    state: np.ndarray


def finetune(
    backbone: ClaimBackbone,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    question: Question,
    config: FinetuneConfig,
    log_dir: str | None = None,
) -> tuple[keras.Model, str]:
    """Trains a risk model for one task.

    Args:
      backbone: Pre-trained, or fresh for the from-scratch comparison; it is changed.
      train: Batches of transformed labelled examples of training members.
      valid: The same of held-out members, for early stopping and calibration.
      question: The task.
      config: Choices.
      log_dir: Where TensorBoard scalars go.

    Returns:
      A model of `risk_model`, and the recipe that was followed.

    Raises:
      TaskError: Every training label is the same.
    """
    keras.utils.set_random_seed(config.seed)
    model = risk_model(backbone)
    labels, past = _outcomes(train)
    if labels.min() == labels.max():
        raise TaskError(
            f"all {len(labels)} training labels are {int(labels[0])}: "
            "widen the outcome, the window or the population"
        )
    recipe = config.recipe
    if recipe == "auto":
        enough = question.by_visit and past >= FEWEST_PAST_OUTCOMES
        recipe = "adapt" if enough else "labels"
    optimizer = _optimizer(backbone, len(labels), config)
    head = model.get_layer("risk_head")
    if recipe == "labels":
        head.shift.assign(_log_odds(labels.mean()))
        _fit_labels(model, optimizer, train, valid, len(labels), config, log_dir)
    else:
        _fit_windows(model, optimizer, train, valid, question, config, log_dir)
        rows = score(model, train, config.limits)
        fitted = fit_label_head(rows.logit, rows.state, rows.label, rows.patient)
        head.scale.assign(fitted.scale)
        head.shift.assign(fitted.shift)
        head.correction.assign(fitted.correction)
    # A member's earlier windows were trained on, so training rows look too certain.
    held_out = score(model, valid, config.limits)
    slope, intercept = platt(held_out.logit, held_out.label)
    head.scale.assign(head.scale * slope)
    head.shift.assign(head.shift * slope + intercept)
    head.correction.assign(head.correction * slope)
    return model, recipe


def score(model: keras.Model, source: tf.data.Dataset, limits: Limits) -> Scored:
    """Scores every row of a labelled dataset, in its order.

    Args:
      model: A model of `risk_model`.
      source: Batches of transformed labelled examples.
      limits: Cut of a timeline, as in training.
    """
    parts = []
    run = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    for inputs, label, patient in labelled_batches(
        source, batch_size=SCORE_BATCH, limits=limits
    ):
        out = run(inputs)
        parts.append(
            Scored(
                patient.numpy(),
                inputs["query_day"][:, 0].numpy(),
                label[:, 0].numpy().astype(int),
                out["logit"][:, 0].numpy(),
                out["state"][:, 0].numpy(),
            )
        )
    names = Scored.__dataclass_fields__
    return Scored(
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    )


def _outcomes(source: tf.data.Dataset) -> tuple[np.ndarray, int]:
    """The labels, and how many visits of the past are outcomes themselves."""
    labels, past = [np.zeros(0, int)], 0
    for batch in source:
        labels.append(batch["label"].numpy())
        past += int(tf.reduce_sum(batch["visit_outcome"].flat_values))
    return np.concatenate(labels), past


def _log_odds(rate: float) -> float:
    rate = float(np.clip(rate, 1e-4, 1 - 1e-4))
    return float(np.log(rate / (1 - rate)))


def _optimizer(
    backbone: ClaimBackbone, rows: int, config: FinetuneConfig
) -> LayerwiseAdamW:
    steps = config.epochs * -(-rows // config.batch_size)
    return LayerwiseAdamW(
        discriminative_groups(backbone.layer_count, config.layer_decay),
        learning_rate=warmup_cosine(config.learning_rate, steps),
        weight_decay=config.weight_decay,
        global_clipnorm=1.0,
    )


def _fit_windows(
    model: keras.Model,
    optimizer: LayerwiseAdamW,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    question: Question,
    config: FinetuneConfig,
    log_dir: str | None,
) -> None:
    adapter = Adapter(model, question.window_days, question.gap_days)

    def batches(source: tf.data.Dataset, fixed: bool) -> tf.data.Dataset:
        return dated_batches(
            source,
            ahead=question.window_days + question.gap_days,
            dates=config.dates,
            batch_size=config.batch_size,
            limits=config.limits,
            seed=config.seed,
            fixed=fixed,
            only_visits=question.at_visits,
        ).prefetch(4)

    adapter.compile(optimizer, jit_compile=False)
    adapter.fit(
        batches(train, fixed=False),
        validation_data=batches(valid, fixed=True),
        epochs=config.epochs,
        verbose=0,
        callbacks=fit_callbacks(
            "adaptation", config.batch_size, config.patience, log_dir
        ),
    )


def _fit_labels(
    model: keras.Model,
    optimizer: LayerwiseAdamW,
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
        optimizer,
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auroc")],
        jit_compile=False,
    )
    logits.fit(
        batches(train).cache().shuffle(rows, seed=config.seed).prefetch(4),
        validation_data=batches(valid).cache(),
        epochs=config.epochs,
        verbose=0,
        callbacks=fit_callbacks(
            "fine-tuning", config.batch_size, config.patience, log_dir
        ),
    )
