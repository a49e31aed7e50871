"""Parsing serialized records inside a TensorFlow graph."""

from __future__ import annotations

import tensorflow as tf

from claimpt_tf.visits.ids import NO_LABEL_ROW

UNKNOWN_INDEX_DAY = -1  # no index day given: everything in the record is known


def parse(
    serialized: tf.Tensor, labelled: bool = False
) -> dict[str, tf.Tensor | tf.RaggedTensor]:
    """Parses a batch of serialized `tf.train.Example` records.

    Gives the same tensors as TFXIO with the curated schema, so a served model sees
    what training saw. Every feature but `label` may be missing: lists become empty,
    `sex` "U", `birth_days` 0, `index_day` -1, other strings empty.

    Args:
      serialized: string [B].
      labelled: Also parse the label, `visit_outcome` and `past_days`.

    Returns:
      `patient_id`, `sex`, `institution` string [B]; `birth_days`, `index_day` int64
      [B]; `enrolled_from`, `enrolled_to` int64 [B, (S)]; `visit_days`,
      `visit_length` int64, `visit_types` string and `cost` float32 [B, (V)];
      `codes` string [B, (V), (C)]; row splits are int64. With `labelled` also
      `label`, `label_row` int64 and `label_value` float32 [B], `label_categories`
      string [B, (K)], `visit_outcome` int64 [B, (V)] and `past_days` int64 [B, (D)].

    Raises:
      tf.errors.InvalidArgumentError: `serialized` holds something else than
        records, or `labelled` is set and a record has no `label`.
    """
    return tf.io.parse_example(serialized, parsing_spec(labelled))


def parsing_spec(labelled: bool = False) -> dict[str, object]:
    """The feature spec `parse` uses, for `tf.io.parse_example`."""
    spec: dict[str, object] = {
        "patient_id": tf.io.FixedLenFeature([], tf.string, default_value=""),
        "sex": tf.io.FixedLenFeature([], tf.string, default_value="U"),
        "birth_days": tf.io.FixedLenFeature([], tf.int64, default_value=0),
        "institution": tf.io.FixedLenFeature([], tf.string, default_value=""),
        "index_day": tf.io.FixedLenFeature(
            [], tf.int64, default_value=UNKNOWN_INDEX_DAY
        ),
        "enrolled_from": _ragged(tf.int64),
        "enrolled_to": _ragged(tf.int64),
        "visit_days": _ragged(tf.int64),
        "visit_types": _ragged(tf.string),
        "visit_length": _ragged(tf.int64),
        "codes": tf.io.RaggedFeature(
            tf.string,
            value_key="codes",
            partitions=[tf.io.RaggedFeature.RowLengths("codes__row_lengths")],
            row_splits_dtype=tf.int64,
        ),
        "cost": _ragged(tf.float32),
    }
    if labelled:
        spec["label"] = tf.io.FixedLenFeature([], tf.int64)
        spec["label_value"] = tf.io.FixedLenFeature([], tf.float32, default_value=0.0)
        spec["label_categories"] = _ragged(tf.string)
        spec["label_row"] = tf.io.FixedLenFeature(
            [], tf.int64, default_value=NO_LABEL_ROW
        )
        spec["visit_outcome"] = _ragged(tf.int64)
        spec["past_days"] = _ragged(tf.int64)
    return spec


def _ragged(dtype: tf.DType) -> tf.io.RaggedFeature:
    return tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)
