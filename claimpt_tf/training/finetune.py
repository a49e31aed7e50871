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
from claimpt_tf.training.choices import FinetuneConfig, Limits
from claimpt_tf.training.label_head import fit_label_head
from claimpt_tf.training.layerwise import LayerwiseAdamW, discriminative_groups
from claimpt_tf.training.pretrain import fit_callbacks, warmup_cosine

CLASSIFIER_FILE = "classifier.keras"
SCORE_BATCH = 256


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
    window_days: int,
    gap_days: int,
    config: FinetuneConfig,
    log_dir: str | None = None,
) -> keras.Model:
    """Trains a risk model for one task.

    Args:
      backbone: Pre-trained, or fresh for the from-scratch comparison; it is changed.
      train: Batches of transformed labelled examples of training members.
      valid: The same of held-out members, for early stopping.
      window_days: The task's outcome window.
      gap_days: Days between index date and window.
      config: Choices.
      log_dir: Where TensorBoard scalars go.

    Returns:
      A model of `risk_model`.

    Raises:
      TaskError: Every training label is the same.
    """
    keras.utils.set_random_seed(config.seed)
    model = risk_model(backbone)
    rows = _labels(train)
    if rows.min() == rows.max():
        raise TaskError(
            f"all {len(rows)} training labels are {int(rows[0])}: "
            "widen the outcome, the window or the population"
        )
    if config.recipe == "labels":
        rate = np.clip(rows.mean(), 1e-4, 1 - 1e-4)
        model.get_layer("risk_head").shift.assign(np.log(rate / (1 - rate)))
        _fit_labels(model, backbone, train, valid, len(rows), config, log_dir)
        return model
    _fit_windows(
        model, backbone, train, valid, window_days, gap_days, len(rows), config, log_dir
    )
    scored = score(model, train, config.limits)
    fitted = fit_label_head(scored.logit, scored.state, scored.label, scored.patient)
    head = model.get_layer("risk_head")
    head.scale.assign(fitted.scale)
    head.shift.assign(fitted.shift)
    head.correction.assign(fitted.correction)
    return model


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


def _labels(source: tf.data.Dataset) -> np.ndarray:
    labels = [batch["label"].numpy() for batch in source]
    return np.concatenate(labels) if labels else np.zeros(1)


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
    backbone: ClaimBackbone,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    window_days: int,
    gap_days: int,
    rows: int,
    config: FinetuneConfig,
    log_dir: str | None,
) -> None:
    adapter = Adapter(model, window_days, gap_days)

    def batches(source: tf.data.Dataset, fixed: bool) -> tf.data.Dataset:
        return dated_batches(
            source,
            ahead=window_days + gap_days,
            dates=config.dates,
            batch_size=config.batch_size,
            limits=config.limits,
            seed=config.seed,
            fixed=fixed,
        ).prefetch(4)

    adapter.compile(_optimizer(backbone, rows, config))
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
    backbone: ClaimBackbone,
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
        _optimizer(backbone, rows, config),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auroc")],
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
