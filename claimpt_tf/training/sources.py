"""Records on disk to batches of transformed patients."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from claimpt_tf.errors import ArtifactError
from claimpt_tf.training.batches import READ_BATCH, plain
from claimpt_tf.visits.parse import parse
from claimpt_tf.visits.schema import load_schema

_OF_TASK = (
    "index_day",
    "label",
    "label_value",
    "label_categories",
    "label_row",
    "visit_outcome",
    "past_days",
)
Transform = Callable[[Mapping[str, Any]], Mapping[str, Any]]

SCHEMA_FILE = "schema.pbtxt"
# Zipped records grow about ninefold as int64 tensors: 500 MB are 4.5 GB.
MOST_IN_MEMORY = 500 << 20


def record_source(
    files: Sequence[str], transform: Transform, cache_file: str = ""
) -> tf.data.Dataset:
    """Records of a split, transformed once and kept.

    Args:
      files: Paths of gzipped TFRecords, as `claimpt ingest` writes them.
      transform: The layer of a `TransformGraph`.
      cache_file: Where a split that does not fit in memory is kept.

    Returns:
      Batches of `preprocessing_fn`'s output, in the order of the files.
    """

    @plain
    def prepare(serialized: tf.Tensor) -> dict[str, Any]:
        record = parse(serialized)
        record.pop("index_day")
        return dict(transform(record))

    source = (
        tf.data.TFRecordDataset(files, "GZIP")
        .batch(READ_BATCH)
        .map(prepare, num_parallel_calls=2, deterministic=True)
    )
    return kept(source, files, cache_file)


def labelled_sources(
    files: Mapping[str, Sequence[str]], transform: Transform
) -> dict[str, tf.data.Dataset]:
    """Labelled examples of each split, transformed and kept in memory.

    Args:
      files: Split -> glob patterns of gzipped TFRecords, as CohortGen writes them.
      transform: The layer of a `TransformGraph`.

    Returns:
      Split -> batches of `preprocessing_fn`'s output with `patient_id` string,
      `index_day`, `label`, `label_row` int64, `label_value` float32 [B],
      `label_categories` string [B, (K)], `visit_outcome` int64 [B, (V)] and `past_days`
      int64 [B, (D)].

    Raises:
      ArtifactError: No file of a split matches.
    """

    # One function for all splits: tracing the transformation takes seconds.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def prepare(serialized: tf.Tensor) -> dict[str, Any]:
        record = parse(serialized, labelled=True)
        beside = {name: record.pop(name) for name in _OF_TASK}
        return {**transform(record), **beside, "patient_id": record["patient_id"]}

    return {
        split: tf.data.TFRecordDataset(matching(patterns), "GZIP")
        .batch(READ_BATCH)
        .map(plain(prepare), num_parallel_calls=2, deterministic=True)
        .cache()
        for split, patterns in files.items()
    }


def with_rows(source: tf.data.Dataset, chosen: np.ndarray) -> tf.data.Dataset:
    """The chosen rows of a source in memory.

    Args:
      source: Batches of READ_BATCH rows, the last one shorter, as the sources here
        give them.
      chosen: bool [N], which rows to keep.
    """
    marks = tf.data.Dataset.from_tensor_slices(chosen).batch(READ_BATCH)
    return (
        tf.data.Dataset.zip(source, marks)
        .filter(plain(lambda _, mark: tf.reduce_any(mark)))
        .map(plain(_marked))
        .cache()
    )


def column(source: tf.data.Dataset, name: str) -> np.ndarray:
    """A feature of one value a row, of all rows in their order, [N]; N may be 0.

    Args:
      source: Batches of transformed examples.
      name: The feature.
    """
    parts = [batch[name].numpy() for batch in source]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _marked(features: Mapping[str, Any], mark: tf.Tensor) -> dict[str, Any]:
    return {
        name: tf.ragged.boolean_mask(value, mark)
        if isinstance(value, tf.RaggedTensor)
        else tf.boolean_mask(value, mark)
        for name, value in features.items()
    }


def kept(
    source: tf.data.Dataset, files: Sequence[str], cache_file: str = ""
) -> tf.data.Dataset:
    """Keeps what a source yields, so that later epochs read no records.

    Args:
      source: Batches that were read from `files`.
      files: Paths; their size decides whether memory holds the batches.
      cache_file: Where to keep larger ones; without it they are read again.
    """
    if sum(tf.io.gfile.stat(path).length for path in files) <= MOST_IN_MEMORY:
        return source.cache()
    return source.cache(cache_file) if cache_file else source


def split_files(folder: str, split: str) -> list[str]:
    """Files of one split of a folder that `claimpt ingest` made.

    Raises:
      ArtifactError: The folder, or the split in it, holds no records.
    """
    if not tf.io.gfile.isdir(folder):
        raise ArtifactError(f"{folder}: no such folder; make it with `claimpt ingest`")
    return matching([os.path.join(folder, f"Split-{split}", "*.gz")])


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


def check_schema(folder: str) -> None:
    """Refuses records that another version of the schema describes.

    Features may have been added since; none may be missing or of another type.

    Args:
      folder: A folder that `claimpt ingest` made.

    Raises:
      ArtifactError: The folder has no schema, or one that differs.
    """
    path = os.path.join(folder, SCHEMA_FILE)
    if not tf.io.gfile.exists(path):
        raise ArtifactError(
            f"{folder} has no {SCHEMA_FILE}: it was not made by `claimpt ingest`, or "
            "an ingest was interrupted; run it again"
        )
    with tf.io.gfile.GFile(path) as file:
        try:
            given = text_format.Parse(file.read(), schema_pb2.Schema())
        except text_format.ParseError as error:
            raise ArtifactError(f"{path} is not a schema: {error}") from error
    theirs = {feature.name: feature.type for feature in given.feature}
    differ = []
    for feature in load_schema().feature:
        kind = schema_pb2.FeatureType.Name(feature.type)
        if feature.name not in theirs:
            differ.append(f"{feature.name} ({kind}) is missing")
        elif theirs[feature.name] != feature.type:
            other = schema_pb2.FeatureType.Name(theirs[feature.name])
            differ.append(f"{feature.name} is {other}, not {kind}")
    if differ:
        raise ArtifactError(
            f"the records in {folder} are of another schema version: "
            f"{'; '.join(differ)}. Make them again with this version's "
            "`claimpt ingest`"
        )
