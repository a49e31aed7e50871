"""A trained model as a SavedModel that takes raw codes.

`ExportArchive` tracks the Transform layer only: tracking the Keras model too would
double the weights on disk, and `tf.saved_model.save` of a Keras 3 model fails in TF
Serving's C++ loader.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from claimpt_tf.training.choices import Limits
from claimpt_tf.training.inputs import as_of
from claimpt_tf.visits.parse import parse

METADATA_FILE = "claimpt.json"
PREDICT_INPUTS = {
    "codes": tf.TensorSpec([None, None, None], tf.string, "codes"),
    "visit_days": tf.TensorSpec([None, None], tf.int64, "visit_days"),
    "visit_types": tf.TensorSpec([None, None], tf.string, "visit_types"),
    "visit_length": tf.TensorSpec([None, None], tf.int64, "visit_length"),
    "cost": tf.TensorSpec([None, None], tf.float32, "cost"),
    "sex": tf.TensorSpec([None], tf.string, "sex"),
    "birth_days": tf.TensorSpec([None], tf.int64, "birth_days"),
    "index_day": tf.TensorSpec([None], tf.int64, "index_day"),
}
_EXAMPLES = [tf.TensorSpec([None], tf.string, "examples")]
_OF_RECORD = ("patient_id", "institution")


def export_risk_model(
    model: keras.Model,
    transform: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    limits: Limits,
    folder: str,
    metadata: Mapping[str, Any],
) -> None:
    """Writes a SavedModel of a risk model.

    Signatures: `serving_default` takes `examples` string [B], serialised records, and
    gives `probability` float32 [B]; `predict` takes padded raw codes by name
    (PREDICT_INPUTS; a visit with an empty type is padding) and gives the same. A
    missing index day means the last known one. Visits after it are ignored.

    Args:
      model: A model of `risk_model`.
      transform: The Transform graph's layer (`transform_features_layer`).
      limits: Cut of a timeline, as in training.
      folder: Where the SavedModel goes; must not exist yet or be empty.
      metadata: Facts that travel with the model as `assets.extra/claimpt.json`.
    """
    run = _Runner(model, transform, limits)
    archive = keras.export.ExportArchive()
    archive.track(transform)
    archive.add_endpoint("serving_default", run.probability_of_examples)
    archive.add_endpoint("predict", run.probability_of_codes)
    archive.write_out(folder, verbose=False)
    _write_metadata(folder, metadata)


class _Runner:
    """The functions behind the signatures."""

    def __init__(
        self, model: keras.Model, transform: Callable[..., Any], limits: Limits
    ) -> None:
        self._model, self._transform, self._limits = model, transform, limits
        # Traced once for both signatures.
        self._probability = tf.function(self._scored, autograph=False)

        @tf.function(input_signature=_EXAMPLES, autograph=False)
        def probability_of_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._probability(parse(examples))

        # A list keeps the order of the specs; their names are the signature's.
        @tf.function(input_signature=list(PREDICT_INPUTS.values()), autograph=False)
        def probability_of_codes(
            codes: tf.Tensor,
            visit_days: tf.Tensor,
            visit_types: tf.Tensor,
            visit_length: tf.Tensor,
            cost: tf.Tensor,
            sex: tf.Tensor,
            birth_days: tf.Tensor,
            index_day: tf.Tensor,
        ) -> dict[str, tf.Tensor]:
            visit = visit_types != ""
            coded = tf.logical_and(codes != "", visit[:, :, None])
            batch = tf.shape(codes)[0]
            nothing = tf.RaggedTensor.from_row_lengths(
                tf.zeros([0], tf.int64), tf.zeros([batch], tf.int64)
            )
            return self._probability(
                {
                    "codes": tf.ragged.boolean_mask(
                        tf.ragged.boolean_mask(codes, coded), visit
                    ),
                    "visit_days": tf.ragged.boolean_mask(visit_days, visit),
                    "visit_types": tf.ragged.boolean_mask(visit_types, visit),
                    "visit_length": tf.ragged.boolean_mask(visit_length, visit),
                    "cost": tf.ragged.boolean_mask(cost, visit),
                    "sex": sex,
                    "birth_days": birth_days,
                    "index_day": index_day,
                    "enrolled_from": nothing,
                    "enrolled_to": nothing,
                    **{name: tf.fill([batch], "") for name in _OF_RECORD},
                }
            )

        self.probability_of_examples = probability_of_examples
        self.probability_of_codes = probability_of_codes

    def _run(self, record: dict[str, Any]) -> Any:
        index_day = record["index_day"]
        record = {name: value for name, value in record.items() if name != "index_day"}
        known = record["visit_days"] + record["visit_length"]
        latest = tf.maximum(tf.reduce_max(known, axis=1), 0)
        index_day = tf.where(index_day < 0, latest, index_day)
        inputs = as_of(self._transform(record), index_day, self._limits)
        return self._model(inputs, training=False)

    def _scored(self, record: dict[str, Any]) -> dict[str, tf.Tensor]:
        return {"probability": tf.sigmoid(self._run(record)["logit"][:, 0])}


def _write_metadata(folder: str, metadata: Mapping[str, Any]) -> None:
    extra = os.path.join(folder, "assets.extra")
    tf.io.gfile.makedirs(extra)
    with tf.io.gfile.GFile(os.path.join(extra, METADATA_FILE), "w") as file:
        file.write(json.dumps(metadata, indent=1, sort_keys=True))
