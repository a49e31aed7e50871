"""Adaptation: a task's own question on everybody's past, before any label.

What is learned from the past is kept apart from what is learned from labels, so that
one adaptation serves any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from claimpt_tf.models.risk_model import RiskModel
from claimpt_tf.training.adapter import Adapter
from claimpt_tf.training.batches import batch_count, batches_from, dated_batches
from claimpt_tf.training.boosted_trees import fill, grow, rounds_of, tree_layer
from claimpt_tf.training.checkpoints import CheckpointFile
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.counted_rows import Counter, decayed_counts
from claimpt_tf.training.foreknowledge import HeadStart
from claimpt_tf.training.label_head import fit_label_head, platt
from claimpt_tf.training.label_training import layerwise_adamw, loop_callbacks
from claimpt_tf.training.loop import TrainingLoop
from claimpt_tf.training.scores import Scorer
from claimpt_tf.training.sources import column, with_rows
from claimpt_tf.training.weight_average import WeightAverage

HELD_OUT = 10
MANY, GENTLE = 3, 0.03  # times the members; of the rate


class Adapted:
    """A risk model that knows the past; labels can be fitted to it, and others again.

    Args:
      model: A model of `risk_model` whose score knows the past.
      config: Choices.

    Attributes:
      model: The model, with trees once `add_trees` was called.
      scorer: Scores with it.
    """

    def __init__(self, model: RiskModel, config: FinetuneConfig) -> None:
        self.model, self._config = model, config
        self.scorer = Scorer(model, config.limits)
        self._trees: _Trees | None = None

    def add_trees(
        self,
        past: tf.data.Dataset,
        valid: tf.data.Dataset,
        question: Question,
        codes: Sequence[str],
    ) -> None:
        """Grows trees on the same past and gives them as much say as the network.

        Args:
          past: Of `rehearsal`.
          valid: Batches of transformed labelled examples of held-out members, on whom
            the spread of both scores is taken; no label is.
          question: The task.
          codes: The code vocabulary, in file order.
        """
        self._trees = _Trees(past, question, self._config, codes)
        before = self.model.get_layer("risk_head").get_weights()
        self.model = RiskModel(
            self.model.backbone, counts=self._trees.counts, trees=self._trees.layer
        )
        head = self.model.get_layer("risk_head")
        head.set_weights(before)
        self.scorer = Scorer(self.model, self._config.limits)
        alone = self.scorer(valid).logit
        head.tree_scale.assign(1.0)
        beside = self.scorer(valid).logit - alone
        head.tree_scale.assign(np.std(alone) / max(float(np.std(beside)), 1e-6))

    def fit(self, labelled: tf.data.Dataset, valid: tf.data.Dataset) -> None:
        """Fits the label head, and calibrates it.

        Trees that have not seen the labels give the head its scores; the trees that
        stay have, where the labels are the outcome that was rehearsed.

        Args:
          labelled: Batches of transformed labelled examples whose labels may be used.
          valid: The same of held-out members, for calibration.
        """
        head = self.model.get_layer("risk_head")
        head.scale.assign(1.0)
        head.shift.assign(0.0)
        head.correction.assign(np.zeros(head.correction.shape))
        if self._trees:
            self._trees.forget_labels()
        rows = self.scorer(labelled)
        fit_label_head(rows.logit, rows.state, rows.label, rows.patient).set_in(head)
        if self._trees:
            self._trees.learn(labelled)
        calibrate([self.model], self.scorer, valid)


class _Trees:
    """Trees on the past, and again on the past with labels."""

    def __init__(
        self,
        past: tf.data.Dataset,
        question: Question,
        config: FinetuneConfig,
        codes: Sequence[str],
    ) -> None:
        self.counts = decayed_counts(codes, past)
        self._counter = Counter(self.counts, question, config)
        self._own_labels, self._seed = question.own_labels, config.seed
        self._rows = self._counter.past(past)
        self._rounds = rounds_of(self._rows, config.seed)
        self.layer = tree_layer(self._rounds)
        self._of_past = grow(self._rows, self._rounds, config.seed)
        fill(self.layer, self._of_past)

    def forget_labels(self) -> None:
        fill(self.layer, self._of_past)

    def learn(self, labelled: tf.data.Dataset) -> None:
        if not self._own_labels:
            return
        more = self._counter.labelled(labelled, int(self._rows.member.max()) + 1)
        fill(self.layer, grow(self._rows, self._rounds, self._seed, more))


def adapt(
    model: RiskModel,
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    question: Question,
    config: FinetuneConfig,
    *,
    unlabelled: tf.data.Dataset | None = None,
    codes: Sequence[str] = (),
    start: HeadStart | None = None,
    log_dir: str | None = None,
    checkpoint: CheckpointFile | None = None,
) -> Adapted:
    """Trains on a task's own outcome in everybody's past; no label is used.

    Where pre-training has read many times the members whose past is here, what it
    knows of the outcome is better than what they can teach: the head begins with it,
    and the network goes on at `GENTLE` of the rate, or they would overwrite it.

    Args:
      model: A model of `risk_model`; it is changed.
      train: Batches of transformed labelled examples of training members.
      valid: The same of held-out members, whose past decides when to stop.
      question: The task.
      config: Choices.
      unlabelled: Batches of training members outside the cohort.
      codes: The code vocabulary, in file order; without it no trees are grown.
      start: What pre-training knows of the outcome.
      log_dir: Where TensorBoard scalars go.
      checkpoint: Where the run's state is kept; it goes on from there if there is one.
    """
    adapted, title = Adapted(model, config), "adaptation"
    past, held_out = rehearsal(train, valid, unlabelled, config)
    steps, members, _ = batch_count(past, config.batch_size)
    if start is not None and start.members >= MANY * members:
        known = start.around(adapted.scorer(train).state)
        model.get_layer("risk_head").begin_with(*known)
        rate = config.learning_rate * GENTLE
        config = config.model_copy(update={"learning_rate": rate})
        title = "adaptation from what pre-training knows"
    _train(model, past, held_out, steps, question, config, title, log_dir, checkpoint)
    if config.trees and len(codes):
        adapted.add_trees(past, valid, question, codes)
    return adapted


def calibrate(
    models: Sequence[RiskModel], scorer: Scorer, valid: tf.data.Dataset
) -> None:
    """Sets heads so that held-out members' risks are calibrated (Platt).

    Args:
      models: Of `risk_model`; of several the mean logit is calibrated.
      scorer: Scores with them.
      valid: Batches of transformed labelled examples of held-out members.
    """
    held_out = scorer(valid)
    slope, intercept = platt(held_out.logit, held_out.label)
    for model in models:
        head = model.get_layer("risk_head")
        head.scale.assign(head.scale * slope)
        head.shift.assign(head.shift * slope + intercept)
        head.correction.assign(head.correction * slope)


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
    train: tf.data.Dataset,
    valid: tf.data.Dataset,
    unlabelled: tf.data.Dataset | None,
    config: FinetuneConfig,
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Whose past adaptation trains on, and whose decides when to stop.

    One timeline a member. Members of the cohort and others take turns, batch by batch,
    so that training meets both throughout. A tenth of the others is held out: the
    cohort's own held-out members are often too few to tell one epoch from the next.

    Args:
      train: Batches of transformed labelled examples of training members.
      valid: The same of held-out members.
      unlabelled: The same of training members outside the cohort, or None.
      config: Choices.
    """
    own, held_out = (with_rows(one, latest_rows(one)) for one in (train, valid))
    if unlabelled is None or not config.most_rehearsed:
        return own, held_out
    number = np.arange(len(column(unlabelled, "index_day")))
    taken, apart = number < config.most_rehearsed, number % HELD_OUT == 0
    rest = with_rows(unlabelled, taken & ~apart)
    sizes = [sum(1 for _ in one) for one in (own, rest)]
    turns = np.argsort(
        np.concatenate([(np.arange(size) + 0.5) / size for size in sizes if size]),
        kind="stable",
    )
    whose = np.repeat(np.arange(2), sizes)[turns]
    mixed = tf.data.Dataset.choose_from_datasets(
        [own, rest], tf.data.Dataset.from_tensor_slices(whose.astype(np.int64))
    )
    return mixed, held_out.concatenate(with_rows(unlabelled, taken & apart))


def _train(
    model: RiskModel,
    past: tf.data.Dataset,
    held_out: tf.data.Dataset,
    steps: int,
    question: Question,
    config: FinetuneConfig,
    title: str,
    log_dir: str | None,
    checkpoint: CheckpointFile | None,
) -> None:
    """Continues training on the task's own outcome in each member's past."""
    adapter = Adapter(model, question.window_days, question.gap_days)
    passes = config.model_copy(update={"epochs": config.rehearsals})
    adapter.compile(layerwise_adamw(model.backbone, steps, passes), jit_compile=False)
    cut: dict[str, Any] = {
        "ahead": question.ahead_days,
        "dates": config.dates,
        "batch_size": config.batch_size,
        "limits": config.limits,
        "seed": config.seed,
        "only_visits": question.at_visits,
    }
    TrainingLoop(
        adapter,
        tf.distribute.get_strategy(),
        WeightAverage(adapter.trainable_variables, config.ema),
        config.rehearsals,
        config.patience,
        loop_callbacks(title, config.batch_size, log_dir),
        checkpoint,
    ).run(
        lambda epoch, start, steps: batches_from(
            past, epoch=epoch, start=start, steps=steps, **cut
        ),
        dated_batches(held_out, fixed=True, **cut).cache(),
        steps,
    )
