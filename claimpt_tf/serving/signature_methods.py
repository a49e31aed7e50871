"""The methods of a SavedModel's signatures, by which TensorFlow Serving knows them."""

from __future__ import annotations

import os
from collections.abc import Mapping

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from claimpt_tf.serving.saved_model import SAVED_MODEL_FILE


def set_methods(folder: str, methods: Mapping[str, str]) -> None:
    """Says of signatures that they classify or regress.

    Keras and TensorFlow write every signature as one to predict; Classify and Regress
    take only their own.

    Args:
      folder: Of the SavedModel.
      methods: Method by the name of a signature, e.g.
        `{"classify": "tensorflow/serving/classify"}`.
    """
    path = os.path.join(folder, SAVED_MODEL_FILE)
    with tf.io.gfile.GFile(path, "rb") as file:
        model = saved_model_pb2.SavedModel.FromString(file.read())
    for graph in model.meta_graphs:
        for name, method in methods.items():
            if name in graph.signature_def:
                graph.signature_def[name].method_name = method
    with tf.io.gfile.GFile(f"{path}.part", "wb") as file:
        file.write(model.SerializeToString(deterministic=True))
    tf.io.gfile.rename(f"{path}.part", path, overwrite=True)
