"""Ragged visit sequences to the padded tensors that a backbone takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from claimpt_tf.training.choices import Limits

Tensors = dict[str, Any]
_PER_VISIT = ("visit_type", "visit_day", "visit_length", "log_cost")
_OF_TASK = "visit_outcome"
_PER_CODE = ("code_ids", "stem_ids")


def as_of(transformed: Mapping[str, Any], index_day: Any, limits: Limits) -> Tensors:
    """What was known on the index date, padded.

    Args:
      transformed: The output of `preprocessing_fn`, batch of B.
      index_day: int64 [B]; visits that end later are dropped here, whatever the
        record holds.
      limits: The latest `limits.visits` visits of the lookback are kept.

    Returns:
      The inputs of `ClaimBackbone`, `query_day` being [B, 1].

    Raises:
      tf.errors.InvalidArgumentError: A record has more of one thing than visits.
    """
    starts = transformed["visit_day"]
    splits = starts.row_splits
    others = [transformed[name].row_splits for name in (*_PER_VISIT, *_PER_CODE)]
    tf.debugging.assert_equal(
        tf.stack(others),
        tf.repeat(splits[None], len(others), axis=0),
        "every visit needs a day, a type, a length, a cost and a list of codes",
    )
    row, day = starts.value_rowids(), starts.flat_values
    asked = tf.gather(index_day, row)
    keep = day + transformed["visit_length"].flat_values <= asked
    if limits.lookback_days is not None:
        keep = tf.logical_and(keep, day > asked - limits.lookback_days)
    count = tf.math.unsorted_segment_sum(
        tf.cast(keep, tf.int64), row, starts.nrows(out_type=tf.int64)
    )
    chosen = tf.where(keep)[:, 0]
    kept = tf.minimum(count, limits.visits)
    return {
        **_dense(transformed, tf.cumsum(count) - kept, kept, limits, chosen),
        **_person(transformed),
        "query_day": tf.cast(index_day, tf.int32)[:, None],
    }


def random_dates(
    transformed: Mapping[str, Any],
    observed_to: Any,
    ahead: int,
    dates: int,
    limits: Limits,
    seed: Any,
    only_visits: bool = False,
) -> Tensors:
    """A random run of each timeline, and random dates within it to predict from.

    Half of the dates are ends of visits, half are any day, so that the state is
    learned both at a visit and between visits.

    Args:
      transformed: The output of `preprocessing_fn`, batch of B; `visit_outcome`
        int64 [B, (V)] is carried along where it is given.
      observed_to: int64 [B], last day whose visits would be seen.
      ahead: Days that must still be observed after a date, as far as there are any.
      dates: Dates a patient, Q.
      limits: At most `limits.visits` consecutive visits are kept.
      seed: int64 [2], stateless seed of this batch.
      only_visits: Every date is the end of a visit, for tasks that ask there.

    Returns:
      The inputs of `ClaimBackbone` with `query_day` [B, Q], and `observed_to` int32
      [B]: the last day before anything that was cut off.
    """
    starts = transformed["visit_day"]
    count = starts.row_lengths()
    batch = starts.nrows(out_type=tf.int32)
    draws = tf.random.stateless_uniform([3, batch, dates], tf.cast(seed, tf.int32))
    first = _scale(draws[0, :, 0], tf.maximum(count - limits.visits, 0))
    end = first + limits.visits
    cut = end < count
    following = tf.gather(
        tf.concat([starts.flat_values, [0]], axis=0),
        tf.where(cut, starts.row_starts() + end, tf.size(starts.flat_values, tf.int64)),
    )
    observed_to = tf.where(cut, following - 1, observed_to)

    kept = tf.minimum(count, limits.visits)
    dense = _dense(transformed, starts.row_starts() + first, kept, limits)
    known = tf.cast(dense["visit_day"] + dense["visit_length"], tf.int64)
    earliest = known[:, 0]
    latest = tf.maximum(observed_to - ahead, earliest)
    anywhere = earliest[:, None] + _scale(draws[1], (latest - earliest)[:, None])
    chosen = _scale(draws[2], tf.maximum(kept - 1, 0)[:, None])
    at_visit = tf.minimum(tf.gather(known, chosen, batch_dims=1), latest[:, None])
    half = tf.logical_and(tf.range(dates) % 2 == 0, not only_visits)
    return {
        **dense,
        **_person(transformed),
        "query_day": tf.cast(tf.where(half[None], anywhere, at_visit), tf.int32),
        "observed_to": tf.cast(observed_to, tf.int32),
    }


def last_day(enrolled_to: Any) -> Any:
    """The last enrolled day of each patient.

    Args:
      enrolled_to: int64 ragged [B, (S)].

    Returns:
      int64 [B]; 0 where there is no span.
    """
    return tf.maximum(tf.reduce_max(enrolled_to, axis=1), 0)


def _scale(uniform: Any, largest: Any) -> Any:
    """Uniform [0, 1) to whole numbers 0..largest."""
    largest = tf.cast(largest, tf.float32)
    return tf.cast(tf.minimum(tf.floor(uniform * (largest + 1)), largest), tf.int64)


def _dense(
    transformed: Mapping[str, Any],
    first: Any,
    kept: Any,
    limits: Limits,
    chosen: Any = None,
) -> Tensors:
    """Runs of visits, padded; at least one column, so that nothing has a shape too.

    Gathers by place instead of ragged arithmetic, which takes several times as long to
    run and to trace.

    Args:
      transformed: The output of `preprocessing_fn`, batch of B.
      first: int64 [B], the first visit of each run, counted through all patients.
      kept: int64 [B], its visits.
      limits: Codes a visit.
      chosen: int64 [M], the visits that are counted; None means all.
    """
    column = tf.range(tf.maximum(tf.reduce_max(kept), 1))
    real = column < kept[:, None]
    place = tf.where(real, first[:, None] + column, 0)
    if chosen is not None:
        place = _taken(chosen, place, real)
    dense = {
        name: _taken(transformed[name].flat_values, place, real)
        for name in (*_PER_VISIT, _OF_TASK)
        if name in transformed
    }
    of_visits = transformed[_PER_CODE[0]].values
    lengths = _taken(of_visits.row_lengths(), place, real)
    lengths = tf.minimum(lengths, limits.codes)
    column = tf.range(tf.maximum(tf.reduce_max(lengths), 1))
    real = column < lengths[..., None]
    begin = _taken(of_visits.row_starts(), place, True)
    place = tf.where(real, begin[..., None] + column, 0)
    for name in _PER_CODE:
        dense[name] = _taken(transformed[name].flat_values, place, real)
    return {
        name: tf.cast(value, tf.float32 if name == "log_cost" else tf.int32)
        for name, value in dense.items()
    }


def _taken(flat: Any, place: Any, real: Any) -> Any:
    """Values by place, 0 where nothing is real; `flat` may be empty."""
    padded = tf.concat([flat, tf.zeros([1], flat.dtype)], axis=0)
    return tf.where(real, tf.gather(padded, place), tf.zeros([], flat.dtype))


def _person(transformed: Mapping[str, Any]) -> Tensors:
    return {name: tf.cast(transformed[name], tf.int32) for name in ("sex", "birth_day")}
