"""Records on disk to batches of transformed patients."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from claimpt_tf.errors import ArtifactError
from claimpt_tf.training.batches import READ_BATCH
from claimpt_tf.visits.parse import parse

_OF_TASK = ("index_day", "label", "visit_outcome")
Transform = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def labelled_source(files: Sequence[str], transform: Transform) -> tf.data.Dataset:
    """Labelled examples, transformed and kept in memory.

    Args:
      files: Glob patterns of gzipped TFRecords, as CohortGen writes them.
      transform: The Transform graph's layer.

    Returns:
      Batches of `preprocessing_fn`'s output with `patient_id` string, `index_day`,
      `label` int64 [B] and `visit_outcome` int64 [B, (V)].

    Raises:
      ArtifactError: No file matches.
    """

    def prepare(serialized: tf.Tensor) -> dict[str, Any]:
        record = parse(serialized, labelled=True)
        beside = {name: record.pop(name) for name in _OF_TASK}
        return {**transform(record), **beside, "patient_id": record["patient_id"]}

    return (
        tf.data.TFRecordDataset(matching(files), "GZIP")
        .batch(READ_BATCH)
        .map(prepare, num_parallel_calls=2, deterministic=True)
        .cache()
    )


def matching(patterns: Sequence[str]) -> list[str]:
    """Files of glob patterns, in order.

    Raises:
      ArtifactError: There are none.
    """
    files = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    if not files:
        folder = os.path.dirname(patterns[0]) if patterns else "nowhere"
        raise ArtifactError(f"no records in {folder}: the split is empty")
    return files
