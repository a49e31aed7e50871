"""Streams of transformed patients to training batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from claimpt_tf.training.choices import Limits
from claimpt_tf.training.inputs import (
    Tensors,
    as_of,
    last_day,
    random_dates,
)

# AutoGraph reads and rewrites source code for many seconds; nothing here needs it.
plain = tf.autograph.experimental.do_not_convert

READ_BATCH = 1024  # patients sorted by length together, so that padding stays small


def by_length(
    source: tf.data.Dataset,
    batch_size: int,
    seed: Any,
    reshuffle: bool = True,
    empty: bool = False,
) -> tf.data.Dataset:
    """Regroups read batches into training batches of patients of similar length.

    Lengths are compared with a quarter of noise, so that another seed puts other
    patients together.

    Args:
      source: Batches of ragged features with `visit_day`.
      batch_size: Patients a batch.
      seed: Of the noise and of the order of the batches, an int or int64 scalar.
      reshuffle: Another order at each iteration.
      empty: Whether patients without a visit stay.
    """

    @plain
    def split(window: Any, features: Tensors) -> tf.data.Dataset:
        lengths = features["visit_day"].row_lengths()
        noise = tf.random.stateless_uniform(
            tf.shape(lengths), tf.stack([tf.cast(seed, tf.int64), window]), 0.8, 1.25
        )
        order = tf.argsort(tf.cast(lengths, tf.float32) * noise)
        if not empty:
            order = tf.boolean_mask(order, tf.gather(lengths, order) > 0)
        groups = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return groups.map(
            plain(lambda rows: {k: tf.gather(v, rows) for k, v in features.items()})
        )

    return (
        source.enumerate()
        .flat_map(split)
        .shuffle(
            max(READ_BATCH // batch_size, 1) * 4,
            seed=seed,
            reshuffle_each_iteration=reshuffle,
        )
    )


def batches_from(
    source: tf.data.Dataset,
    *,
    epoch: int,
    start: int,
    steps: int,
    ahead: int,
    dates: int,
    batch_size: int,
    limits: Limits,
    seed: int,
    only_visits: bool = False,
) -> tf.data.Dataset:
    """The batches of a run from any place on, epoch after epoch, without end.

    What an epoch holds is a function of (seed, number of the epoch) alone, so a run
    that was cut short goes on with the very batches it would have seen.

    Args:
      source: Batches of transformed patients, observed as in `dated_batches`.
      epoch: Number of the first epoch, from 0.
      start: Batches of it to leave out, because they were trained on.
      steps: Batches an epoch; what is beyond is left out.
      ahead: Days that should still be observed after a date.
      dates: Dates a patient; every epoch draws others.
      batch_size: Patients a batch.
      limits: Cut of each timeline.
      seed: Of the run.
      only_visits: Dates are ends of visits only.
    """

    @plain
    def of_epoch(number: Any) -> tf.data.Dataset:
        drawn = _hashed(seed, number)
        batches = by_length(source, batch_size, drawn, reshuffle=False).take(steps)
        done = tf.where(tf.equal(number, epoch), tf.constant(start, tf.int64), 0)
        seeds = tf.data.Dataset.range(done, steps).map(
            plain(lambda step: tf.stack([drawn, step]))
        )
        return tf.data.Dataset.zip(batches.skip(done), seeds)

    @plain
    def draw(features: Tensors, pair: Any) -> Tensors:
        observed = _observed(features)
        return random_dates(features, observed, ahead, dates, limits, pair, only_visits)

    epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
    return epochs.flat_map(of_epoch).map(draw, num_parallel_calls=2, deterministic=True)


def _hashed(seed: int, number: Any) -> Any:
    """A seed of an epoch, int64 below 2 ** 31, unlike that of its neighbours."""
    pair = tf.stack([tf.constant(seed, tf.int64), number])
    limit = np.iinfo(np.int32).max
    return tf.random.stateless_uniform([], pair, maxval=limit, dtype=tf.int64)


def dated_batches(
    source: tf.data.Dataset,
    *,
    ahead: int,
    dates: int,
    batch_size: int,
    limits: Limits,
    seed: int,
    fixed: bool = False,
    only_visits: bool = False,
) -> tf.data.Dataset:
    """Batches that predict from random dates of each patient's past.

    Args:
      source: Batches of transformed patients. Everything is observed up to
        `index_day` where that is given, else up to the end of enrolment.
      ahead: Days that should still be observed after a date.
      dates: Dates a patient.
      batch_size: Patients a batch.
      limits: Cut of each timeline.
      seed: Of order and dates; every epoch draws other dates.
      fixed: The same order and dates every epoch, for validation.
      only_visits: Dates are ends of visits only.
    """
    if fixed:
        batches = source.unbatch().batch(batch_size)
        batches = batches.filter(plain(_any_visit)).map(plain(_with_visits))
    else:
        batches = by_length(source, batch_size, seed)
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=not fixed)

    @plain
    def draw(features: Tensors, pair: Any) -> Tensors:
        observed = _observed(features)
        return random_dates(features, observed, ahead, dates, limits, pair, only_visits)

    return tf.data.Dataset.zip(batches, seeds.batch(2)).map(
        draw, num_parallel_calls=2, deterministic=True
    )


def batch_count(source: tf.data.Dataset, batch_size: int) -> tuple[int, int, int]:
    """Sizes of an epoch.

    Args:
      source: Batches of transformed patients; one pass is made over them.
      batch_size: Patients a batch.

    Returns:
      Batches, patients with a visit, and visits.
    """
    batches = patients = visits = 0
    per_batch = source.map(plain(lambda features: features["visit_day"].row_lengths()))
    for lengths in per_batch:
        some = int(np.count_nonzero(lengths))
        batches += -(-some // batch_size)
        patients += some
        visits += int(np.sum(lengths))
    return batches, patients, visits


def labelled_batches(
    source: tf.data.Dataset,
    *,
    targets: Callable[[Tensors], Any],
    epoch: int,
    start: int,
    steps: int,
    batch_size: int,
    limits: Limits,
    seed: int,
) -> tf.data.Dataset:
    """Inputs as of the index date with `target`, epoch after epoch, without end.

    As in `batches_from`, what an epoch holds is a function of (seed, number of the
    epoch) alone.

    Args:
      source: Batches of transformed labelled examples; rows without a visit stay.
      targets: What the loss needs of the labels, [B, T].
      epoch: Number of the first epoch, from 0.
      start: Batches of it to leave out.
      steps: Batches an epoch, as `labelled_steps` counts them.
      batch_size: Rows a batch.
      limits: Cut of each timeline.
      seed: Of the order.
    """

    @plain
    def of_epoch(number: Any) -> tf.data.Dataset:
        drawn = _hashed(seed, number)
        batches = by_length(source, batch_size, drawn, reshuffle=False, empty=True)
        done = tf.where(tf.equal(number, epoch), tf.constant(start, tf.int64), 0)
        return batches.take(steps).skip(done)

    @plain
    def prepare(features: Tensors) -> Tensors:
        inputs = as_of(features, features["index_day"], limits)
        inputs.pop("visit_outcome", None)
        return {**inputs, "target": targets(features)}

    epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
    return epochs.flat_map(of_epoch).map(
        prepare, num_parallel_calls=2, deterministic=True
    )


def labelled_steps(source: tf.data.Dataset, batch_size: int) -> int:
    """Batches an epoch of `labelled_batches`; one pass is made over the source."""
    sizes = source.map(plain(lambda features: tf.shape(features["sex"])[0]))
    return sum(-(-int(size) // batch_size) for size in sizes)


def code_counts(
    source: tf.data.Dataset, patients: int = 20_000
) -> Iterator[dict[str, np.ndarray]]:
    """Codes and visit types of the first training patients, as numpy, batchwise."""
    seen = 0
    for features in source:
        seen += int(features["sex"].shape[0])
        codes = features["code_ids"]
        per_code = tf.repeat(
            features["visit_type"].flat_values, codes.values.row_lengths()
        )
        yield {
            "code_ids": codes.flat_values.numpy(),
            "visit_type": per_code.numpy(),
        }
        if seen >= patients:
            return


def _observed(features: Tensors) -> Any:
    """The last day whose visits would be seen, int64 [B]."""
    if "index_day" in features:
        return features["index_day"]
    return last_day(features["enrolled_to"])


def _any_visit(features: Tensors) -> Any:
    return tf.reduce_any(features["visit_day"].row_lengths() > 0)


def _with_visits(features: Tensors) -> Tensors:
    keep = features["visit_day"].row_lengths() > 0
    return {
        name: tf.ragged.boolean_mask(value, keep)
        if isinstance(value, tf.RaggedTensor)
        else tf.boolean_mask(value, keep)
        for name, value in features.items()
    }
