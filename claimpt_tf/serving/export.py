"""A trained model as a SavedModel that takes raw codes.

`ExportArchive` tracks the Transform layer only: tracking the Keras model too would
double the weights on disk, and `tf.saved_model.save` of a Keras 3 model fails in TF
Serving's C++ loader.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from claimpt_tf.serving.explanation import explain
from claimpt_tf.serving.saved_model import CLASSIFY, REGRESS
from claimpt_tf.serving.signature_methods import set_methods
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
_PER_VISIT = ("visit_days", "visit_types", "visit_length", "cost")
_OF_RECORD = ("patient_id", "institution")
_NO_GRAPPLER = "disable_meta_optimizer"
CLASSES = ("no", "yes")  # whether the outcome comes


def export_risk_model(
    model: keras.Model,
    transform: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    limits: Limits,
    folder: str,
    metadata: Mapping[str, Any],
) -> None:
    """Writes a SavedModel of a risk model.

    Signatures that take `examples`, string [B], serialised records:
    `serving_default`, which gives `probability` float32 [B]. Those that take padded
    raw codes by name (PREDICT_INPUTS; a visit with an empty type is padding):
    `predict`, which gives the same; `embed`, which gives the patient's `state`
    float32 [B, width]; `explain`, which gives `probability`, `reference` float32 [B],
    `visit_share` [B, V] and `code_share` [B, V, C] of the given visits and codes
    (claimpt_tf.serving.explanation). `classify` and `regress` take records as
    `inputs` and answer TensorFlow Serving's Classify and Regress.

    A missing index day means the last known one. Visits after it are ignored.

    Args:
      model: A model of `risk_model`.
      transform: The Transform graph's layer (`transform_features_layer`).
      limits: Cut of a timeline, as in training.
      folder: Where the SavedModel goes; must not exist yet or be empty.
      metadata: Facts that travel with the model as `assets.extra/claimpt.json`.
    """
    with _graphs_as_written():
        runner = _Runner(model, transform, limits)
        archive = keras.export.ExportArchive()
        archive.track(transform)
        for name, function in runner.signatures().items():
            archive.add_endpoint(name, function)
        archive.write_out(folder, verbose=False)
    set_methods(folder, {"classify": CLASSIFY, "regress": REGRESS})
    _write_metadata(folder, metadata)


@contextlib.contextmanager
def _graphs_as_written() -> Iterator[None]:
    """Functions traced inside are not rewritten by whoever runs them.

    Grappler takes seconds a signature when a model is loaded, and no request is
    answered faster for it (compare `claimpt_tf.serving.cpp_session`).
    """
    options = tf.config.optimizer
    before = options.get_experimental_options().get(_NO_GRAPPLER, False)
    options.set_experimental_options({_NO_GRAPPLER: True})
    try:
        yield
    finally:
        options.set_experimental_options({_NO_GRAPPLER: before})


class _Runner:
    """The functions behind the signatures; the network is traced once for all."""

    def __init__(
        self, model: keras.Model, transform: Callable[..., Any], limits: Limits
    ) -> None:
        self._transform, self._limits = transform, limits
        asked = {
            name: tf.TensorSpec([None] * len(one.shape), one.dtype, name)
            for name, one in model.input.items()
        }
        self._asked = tuple(asked)
        self._network = tf.function(
            lambda inputs: model(inputs, training=False),
            input_signature=[asked],
            autograph=False,
        )
        self._of_record = tf.function(self._prepared, autograph=False)
        self._of_records = tf.function(
            lambda serialized: self._risk(parse(serialized))["probability"],
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )

    def signatures(self) -> dict[str, Any]:
        """Functions with their signatures, by name."""
        examples = tf.TensorSpec([None], tf.string, "examples")
        inputs = tf.TensorSpec([None], tf.string, "inputs")
        by_record = {
            "serving_default": (
                lambda examples: {"probability": self._of_records(examples)},
                examples,
            ),
            "classify": (lambda inputs: _classes(self._of_records(inputs)), inputs),
            "regress": (lambda inputs: {"outputs": self._of_records(inputs)}, inputs),
        }
        by_code = {
            "predict": lambda codes: self._risk(_record(codes)),
            "embed": lambda codes: self._state(_record(codes)),
            "explain": self._explained,
        }
        found = {
            name: tf.function(function, input_signature=[spec], autograph=False)
            for name, (function, spec) in by_record.items()
        }
        for name, function in by_code.items():
            found[name] = _of_codes(function)
        return found

    def _prepared(self, record: dict[str, Any]) -> dict[str, Any]:
        """The network's inputs: what was known on the index day, padded."""
        index_day = _index_day(record)
        record = {name: value for name, value in record.items() if name != "index_day"}
        inputs = as_of(self._transform(record), index_day, self._limits)
        return {name: inputs[name] for name in self._asked}

    def _probability(self, inputs: dict[str, Any]) -> tf.Tensor:
        return tf.sigmoid(self._network(inputs)["logit"][:, 0])

    def _risk(self, record: dict[str, Any]) -> dict[str, tf.Tensor]:
        return {"probability": self._probability(self._of_record(record))}

    def _state(self, record: dict[str, Any]) -> dict[str, tf.Tensor]:
        state = self._network(self._of_record(record))["state"][:, 0]
        return {"state": tf.cast(state, tf.float32)}

    def _explained(self, given: dict[str, Any]) -> dict[str, tf.Tensor]:
        record = _record(given)
        inputs = self._of_record(record)
        found = explain(inputs, self._probability)
        visit, code = self._read(given, _index_day(record))
        share = _spread(found["visit_share"], visit, axis=1)
        # Codes to their visits, then to their places within them.
        rank = tf.maximum(tf.cumsum(tf.cast(visit, tf.int32), axis=1) - 1, 0)
        codes = tf.gather(found["code_share"], rank, batch_dims=1)
        return {
            "probability": found["probability"],
            "reference": found["reference"],
            "visit_share": share,
            "code_share": _spread(codes, code, axis=2),
        }

    def _read(self, given: dict[str, Any], index_day: Any) -> tuple[Any, Any]:
        """Which given visits [B, V] and codes [B, V, C] the network was shown."""
        real = given["visit_types"] != ""
        end = given["visit_days"] + given["visit_length"]
        visit = tf.logical_and(real, end <= index_day[:, None])
        if self._limits.lookback_days is not None:
            since = index_day - self._limits.lookback_days
            visit = tf.logical_and(visit, given["visit_days"] > since[:, None])
        later = tf.cumsum(
            tf.cast(visit, tf.int32), axis=1, reverse=True, exclusive=True
        )
        visit = tf.logical_and(visit, later < self._limits.visits)
        code = tf.logical_and(given["codes"] != "", visit[:, :, None])
        before = tf.cumsum(tf.cast(code, tf.int32), axis=2, exclusive=True)
        return visit, tf.logical_and(code, before < self._limits.codes)


def _classes(risk: tf.Tensor) -> dict[str, tf.Tensor]:
    names = tf.tile(tf.constant([CLASSES]), [tf.shape(risk)[0], 1])
    return {"classes": names, "scores": tf.stack([1 - risk, risk], axis=1)}


def _index_day(record: dict[str, Any]) -> tf.Tensor:
    """The index day, where it is missing the last known day, int64 [B]."""
    begin, given = record["visit_days"], record["index_day"]
    latest = tf.math.unsorted_segment_max(
        begin.flat_values + record["visit_length"].flat_values,
        begin.value_rowids(),
        begin.nrows(),
    )
    return tf.where(given < 0, tf.maximum(latest, 0), given)


def _spread(values: Any, real: Any, axis: int) -> Any:
    """Values of the real places, in order, put where these are; 0 elsewhere."""
    rank = tf.maximum(tf.cumsum(tf.cast(real, tf.int32), axis=axis) - 1, 0)
    return tf.where(real, tf.gather(values, rank, batch_dims=axis), 0.0)


def _of_codes(function: Callable[[dict[str, Any]], Any]) -> Any:
    """A signature of PREDICT_INPUTS; a list keeps the specs' order and names."""

    @tf.function(input_signature=list(PREDICT_INPUTS.values()), autograph=False)
    def of_codes(
        codes: tf.Tensor,
        visit_days: tf.Tensor,
        visit_types: tf.Tensor,
        visit_length: tf.Tensor,
        cost: tf.Tensor,
        sex: tf.Tensor,
        birth_days: tf.Tensor,
        index_day: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        return function(
            {
                "codes": codes,
                "visit_days": visit_days,
                "visit_types": visit_types,
                "visit_length": visit_length,
                "cost": cost,
                "sex": sex,
                "birth_days": birth_days,
                "index_day": index_day,
            }
        )

    return of_codes


def _record(given: dict[str, Any]) -> dict[str, Any]:
    """Padded codes as the record that `parse` gives."""
    visit = given["visit_types"] != ""
    coded = tf.logical_and(given["codes"] != "", visit[:, :, None])
    batch = tf.shape(visit)[0]

    def of_rows(values: Any, lengths: Any) -> Any:
        return tf.RaggedTensor.from_row_lengths(values, lengths, validate=False)

    visits = tf.math.count_nonzero(visit, axis=1)
    codes = tf.boolean_mask(tf.math.count_nonzero(coded, axis=2), visit)
    nothing = of_rows(tf.zeros([0], tf.int64), tf.zeros([batch], tf.int64))
    return {
        "codes": of_rows(
            of_rows(tf.boolean_mask(given["codes"], coded), codes), visits
        ),
        **{
            name: of_rows(tf.boolean_mask(given[name], visit), visits)
            for name in _PER_VISIT
        },
        **{name: given[name] for name in ("sex", "birth_days", "index_day")},
        "enrolled_from": nothing,
        "enrolled_to": nothing,
        **{name: tf.fill([batch], "") for name in _OF_RECORD},
    }


def _write_metadata(folder: str, metadata: Mapping[str, Any]) -> None:
    extra = os.path.join(folder, "assets.extra")
    tf.io.gfile.makedirs(extra)
    with tf.io.gfile.GFile(os.path.join(extra, METADATA_FILE), "w") as file:
        file.write(json.dumps(metadata, indent=1, sort_keys=True))
