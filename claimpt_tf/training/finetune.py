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
from claimpt_tf.training.adapter import Adapter
from claimpt_tf.training.batches import (
    READ_BATCH,
    batch_count,
    batches_from,
    dated_batches,
)
from claimpt_tf.training.boosted_trees import (
    Counter,
    decayed_counts,
    fill,
    grow,
    rounds_of,
    tree_layer,
)
from claimpt_tf.training.checkpoints import CheckpointFile
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.label_head import LabelHead, fit_label_head, platt
from claimpt_tf.training.label_training import (
    LabelTrainer,
    layerwise_adamw,
    loop_callbacks,
    train_on_labels,
)
from claimpt_tf.training.linear_head import fit_linear_head
from claimpt_tf.training.loop import TrainingLoop
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
    checkpoint: CheckpointFile | None = None,
    unlabelled: tf.data.Dataset | None = None,
    codes: Sequence[str] = (),
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
        seen = train if unlabelled is None else train.concatenate(unlabelled)
        enough = question.by_visit and _past_outcomes(seen) >= FEWEST_PAST_OUTCOMES
        recipe = "adapt" if enough else "labels"
    head = model.get_layer("risk_head")
    scorer = Scorer(model, config.limits)
    if recipe == "labels":
        head.shift.assign(_log_odds(labels.mean()))
        trainer = LabelTrainer(
            model, _entropy, [keras.metrics.AUC(from_logits=True, name="auroc")]
        )
        train_on_labels(
            trainer, backbone, _label, chosen, valid, config, log_dir, checkpoint
        )
    elif recipe == "head":
        rows = scorer(chosen)
        kernel, bias, _ = fit_linear_head(
            rows.state, rows.label[:, None], rows.patient, 1, _entropy
        )
        head.scale.assign(0.0)
        head.shift.assign(bias[0])
        head.correction.assign(kernel[:, 0])
    else:
        past = rehearsal(train, unlabelled, config)
        _adapt(model, past, valid, question, config, log_dir, checkpoint)
        if config.trees and len(codes):
            model, fitted, scorer = _with_trees(
                model, past, chosen, valid, question, config, codes
            )
            head = model.get_layer("risk_head")
        else:
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


def rehearsal(
    train: tf.data.Dataset, unlabelled: tf.data.Dataset | None, config: FinetuneConfig
) -> tf.data.Dataset:
    """Whose past adaptation trains on, one timeline a member.

    Members of the cohort and others take turns, batch by batch, so that training meets
    both throughout.

    Args:
      train: Batches of transformed labelled examples of training members.
      unlabelled: The same of training members outside the cohort, or None.
      config: Choices.
    """
    own = with_rows(train, latest_rows(train))
    if unlabelled is None or not config.most_rehearsed:
        return own
    others = unlabelled.unbatch().take(config.most_rehearsed).batch(READ_BATCH).cache()
    sizes = [sum(1 for _ in one) for one in (own, others)]
    if not sizes[1]:
        return own
    turns = np.argsort(
        np.concatenate([(np.arange(size) + 0.5) / size for size in sizes]),
        kind="stable",
    )
    whose = np.repeat(np.arange(2), sizes)[turns]
    return tf.data.Dataset.choose_from_datasets(
        [own, others], tf.data.Dataset.from_tensor_slices(whose.astype(np.int64))
    )


def _with_trees(
    model: RiskModel, past: tf.data.Dataset, chosen: tf.data.Dataset,
    valid: tf.data.Dataset, question: Question, config: FinetuneConfig,
    codes: Sequence[str],
) -> tuple[RiskModel, LabelHead, Scorer]:  # fmt: skip
    """The adapted network with trees beside it, and the label head of their sum.

    The head is fitted where trees have not seen the labels; the trees that are kept
    have, where the labels are the outcome they rehearsed.
    """
    counts = decayed_counts(codes, past)
    counter = Counter(counts, question, config)
    rows = counter.past(past)
    rounds = rounds_of(rows, config.seed)
    trees = tree_layer(rounds)
    fill(trees, grow(rows, rounds, config.seed))
    both = RiskModel(model.backbone, counts=counts, trees=trees)
    head = both.get_layer("risk_head")
    head.set_weights(model.get_layer("risk_head").get_weights())
    scorer = Scorer(both, config.limits)
    alone = scorer(valid)
    head.tree_scale.assign(1.0)
    beside = scorer(valid).logit - alone.logit
    head.tree_scale.assign(np.std(alone.logit) / max(float(np.std(beside)), 1e-6))
    labelled = scorer(chosen)
    fitted = fit_label_head(
        labelled.logit, labelled.state, labelled.label, labelled.patient
    )
    if question.own_labels:
        more = counter.labelled(chosen, int(rows.member.max()) + 1)
        fill(trees, grow(rows.with_more(more), rounds, config.seed))
    return both, fitted, scorer


def _adapt(
    model: RiskModel,
    past: tf.data.Dataset,
    valid: tf.data.Dataset,
    question: Question,
    config: FinetuneConfig,
    log_dir: str | None,
    checkpoint: CheckpointFile | None,
) -> None:
    """Continues training on the task's own outcome in each member's past."""
    adapter = Adapter(model, question.window_days, question.gap_days)
    steps = batch_count(past, config.batch_size)[0]
    passes = config.model_copy(update={"epochs": config.rehearsals})
    adapter.compile(layerwise_adamw(model.backbone, steps, passes), jit_compile=False)
    cut: dict[str, Any] = {
        "ahead": question.window_days + question.gap_days,
        "dates": config.dates,
        "batch_size": config.batch_size,
        "limits": config.limits,
        "seed": config.seed,
        "only_visits": question.at_visits,
    }
    held_out = with_rows(valid, latest_rows(valid))
    TrainingLoop(
        adapter,
        tf.distribute.get_strategy(),
        WeightAverage(adapter.trainable_variables, config.ema),
        config.rehearsals,
        config.patience,
        loop_callbacks("adaptation", config.batch_size, log_dir),
        checkpoint,
    ).run(
        lambda epoch, start, steps: batches_from(
            past, epoch=epoch, start=start, steps=steps, **cut
        ),
        dated_batches(held_out, fixed=True, **cut).cache(),
        steps,
    )


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
