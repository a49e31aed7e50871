"""The one transformation from records to numbers, shared by training and serving.

TFX Transform runs it over the training split to make the vocabularies, and the
resulting graph travels inside the served model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from claimpt_tf.visits.ids import (
    CODE_VOCABULARY,
    FIRST_CODE,
    SEXES,
    STEM_VOCABULARY,
    UNKNOWN,
    VISIT_TYPES,
)

MIN_CODE_COUNT = 11  # a rarer code could point at a person, and teaches little
_STEM = r"^([^:]*:.{0,3}).*$"

Tensors = Mapping[str, Any]


def preprocessing_fn(
    inputs: Tensors, custom_config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Turns a batch of records into model-ready ragged features.

    Args:
      inputs: The record's features as `schema.pbtxt` declares them: `codes` string
        [B, (V), (C)]; `visit_days`, `visit_length` int64, `visit_types` string and
        `cost` float32 [B, (V)]; `sex` string and `birth_days` int64 [B].
      custom_config: `min_code_count` (default 11): rarer codes become UNKNOWN.

    Returns:
      `code_ids`, `stem_ids` int64 [B, (V), (C)] (a stem is the system and the first
      three characters, so that an unseen code keeps its family); `visit_day`,
      `visit_length`, `visit_type` int64 and `log_cost` float32 [B, (V)];
      `enrolled_to` int64 [B, (S)]; `sex`, `birth_day` int64 [B].
    """
    minimum = int((custom_config or {}).get("min_code_count", MIN_CODE_COUNT))
    codes = inputs["codes"]
    stems = codes.with_flat_values(
        tf.strings.regex_replace(codes.flat_values, _STEM, r"\1")
    )
    types = inputs["visit_types"]
    cost = inputs["cost"]
    return {
        "code_ids": _ids(codes, CODE_VOCABULARY, minimum),
        "stem_ids": _ids(stems, STEM_VOCABULARY, minimum),
        "visit_day": inputs["visit_days"],
        "visit_length": inputs["visit_length"],
        "visit_type": types.with_flat_values(
            _index_of(types.flat_values, VISIT_TYPES, otherwise=len(VISIT_TYPES))
        ),
        "log_cost": cost.with_flat_values(
            tf.math.log1p(tf.maximum(cost.flat_values, 0.0))
        ),
        "enrolled_to": inputs["enrolled_to"],
        "sex": _index_of(inputs["sex"], SEXES, otherwise=0),
        "birth_day": inputs["birth_days"],
    }


def _ids(codes: tf.RaggedTensor, vocabulary: str, minimum: int) -> tf.RaggedTensor:
    ids = tft.compute_and_apply_vocabulary(
        codes,
        default_value=UNKNOWN - FIRST_CODE,
        frequency_threshold=minimum,
        vocab_filename=vocabulary,
    )
    return ids.with_flat_values(ids.flat_values + FIRST_CODE)


def _index_of(values: tf.Tensor, names: tuple[str, ...], otherwise: int) -> tf.Tensor:
    """1-based position of each string in `names`."""
    found = tf.fill(tf.shape(values), tf.constant(otherwise, tf.int64))
    for position, name in enumerate(names, start=1):
        found = tf.where(tf.equal(values, name), tf.constant(position, tf.int64), found)
    return found
